"""Who this operating system process is, and whether another one is provably dead."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_PIDS = Path("/proc/self/ns/pid")


def machine() -> str | None:
    """
    Name the place where a pid means something: this boot of this machine, and the pid namespace.

    None where the system does not tell (no /proc): then nobody's death can be proved there.
    """
    try:
        return f"{_BOOT.read_text().strip()} {_PIDS.readlink()}"
    except OSError:
        return None


def started(pid: int) -> int | None:
    """Tell when that process started, in the kernel's clock ticks since boot; None if it is not there."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None
    # The name in parentheses may hold spaces and parentheses itself; a zombie runs nothing any more.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def is_provably_dead(where: str | None, pid: int | None, since: int | None) -> bool:
    """Tell whether the process that started then, as that pid, on that machine, is certainly gone."""
    if where is None or pid is None or since is None or where != machine():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True  # also where /proc hides the processes of others, a missing file proves nothing
    except PermissionError:
        pass  # somebody else's, and there: its start time tells whether it is the one
    try:
        now = started(pid)
    except OSError:
        return False
    return now != since if now is not None else _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    """Tell whether it is dead and only waits for its parent to hear of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return False


def name() -> str:
    """Give this process a name for people: host and pid."""
    return f"{socket.gethostname()}:{os.getpid()}"
