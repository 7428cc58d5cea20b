"""
The guard stops the server when nobody uses it any more.

Every user of a server holds a shared lock on the file `lease` of its cluster. The guard is a
process of its own that waits for the exclusive lock, which the kernel grants when the last user
is gone, however it went: nothing has to run in a process that is killed. Then the guard lingers,
takes `lock`, under which servers are started and stopped, looks again that nobody came, and stops
the server. A guard lives as long as it holds `guard.lock`; whoever starts a server sees by that
whether there is one, so a killed guard is replaced at the next start and not before.

This file also runs as a script, without site-packages: it imports the standard library only.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

FAST_LIMIT = 30.0  # seconds to write everything out before the server is told to drop it
IMMEDIATE_LIMIT = 10.0  # seconds; Postgres itself kills its children after 5
APPEAR_LIMIT = 5.0  # seconds for a server whose starter was killed half way to show up
LOOK_EVERY = 0.01  # seconds
LINGER_EVERY = 0.1  # seconds

PID, SOCKET_DIRECTORY, PORT, STATUS = 0, 4, 3, 7  # lines of postmaster.pid


class Postmaster(NamedTuple):
    pid: int
    port: str
    socket_directory: str
    ready: bool

    @property
    def reachable(self) -> bool:
        return self.ready and Path(self.socket_directory, f".s.PGSQL.{self.port}").exists()


def find_postmaster(data: Path) -> Postmaster | None:
    """Return the living server of a data directory."""
    lines = pid_file(data)
    if not lines or not runs(int(lines[PID]), data):
        return None
    written = lines + [""] * (STATUS + 1 - len(lines))  # it grows while the server starts
    return Postmaster(
        pid=int(written[PID]),
        port=written[PORT].strip(),
        socket_directory=written[SOCKET_DIRECTORY].strip(),
        ready=written[STATUS].strip() == "ready",
    )


def forget_the_dead(data: Path) -> None:
    """
    Remove a `postmaster.pid` whose process is a zombie, or has become some other program.

    Postgres itself only asks whether there is such a process, and would refuse to start. It still
    sees by its shared memory whether children of a dead server are at work.
    """
    lines = pid_file(data)
    if lines and program(int(lines[PID])) not in {"postgres", "postmaster"}:
        (data / "postmaster.pid").unlink(missing_ok=True)


def stop_postmaster(data: Path) -> bool:
    """Stop the server and tell whether it is gone: in good order, or else at once."""
    for sent, limit in ((signal.SIGINT, FAST_LIMIT), (signal.SIGQUIT, IMMEDIATE_LIMIT)):
        server = find_postmaster(data)
        if server is None:
            return True
        with suppress(ProcessLookupError):
            os.kill(server.pid, sent)
        if wait_for(partial(is_gone, server.pid, data), limit):
            return True
    return False


def pid_file(data: Path) -> list[str]:
    with suppress(FileNotFoundError):
        return (data / "postmaster.pid").read_text().splitlines()
    return []


def runs(pid: int, data: Path) -> bool:
    """Tell whether that process is the server of this directory: a pid may have a new owner."""
    return os.fsencode(data) in command_line(pid)


def is_gone(pid: int, data: Path) -> bool:
    return not runs(pid, data)


def program(pid: int) -> str | None:
    called = command_line(pid)
    return Path(os.fsdecode(called[0])).name if called else None


def command_line(pid: int) -> list[bytes]:
    """Return what a process was called with; nothing if it is gone, or a zombie."""
    if Path("/proc/self/cmdline").exists():
        with suppress(OSError):
            said = Path(f"/proc/{pid}/cmdline").read_bytes()
            return said.removesuffix(b"\0").split(b"\0") if said else []
        return []
    asked = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    said = subprocess.run(asked, capture_output=True, check=False).stdout  # noqa: S603
    return said.split()


def wait_for(moment: Callable[[], bool], limit: float) -> bool:
    """Wait until something is so, and tell whether it came to be within so many seconds."""
    deadline = time.monotonic() + limit
    while not moment():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_EVERY)
    return True


def watch(directory: Path, guard_lock: int) -> None:
    lease = os.open(directory / "lease", os.O_RDWR)
    lock = os.open(directory / "lock", os.O_RDWR)
    while True:
        wait_until_nobody_holds(lease)
        linger(directory)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if nobody_holds(lease):
            stop(directory)
            # In this order: who gets the lock must find the post of the guard free.
            os.close(guard_lock)
            os.close(lease)
            os.close(lock)
            return
        fcntl.flock(lock, fcntl.LOCK_UN)


def wait_until_nobody_holds(lease: int) -> None:
    fcntl.flock(lease, fcntl.LOCK_EX)
    fcntl.flock(lease, fcntl.LOCK_UN)


def linger(directory: Path) -> None:
    """Give the next user some time to come; how much, the last one who came has said."""
    since = time.monotonic()
    while time.monotonic() - since < float((directory / "linger").read_text()):
        time.sleep(LINGER_EVERY)


def nobody_holds(lease: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def stop(directory: Path) -> None:
    data = directory / "data"
    if (directory / "starting").exists():
        wait_for(lambda: find_postmaster(data) is not None, APPEAR_LIMIT)
    server = find_postmaster(data)
    if not stop_postmaster(data):
        print(f"the server of {data} does not stop", file=sys.stderr)  # noqa: T201
    elif server:
        leave(Path(server.socket_directory))


def leave(socket_directory: Path) -> None:
    """Remove the place of the socket if it was made for that alone, so if it is empty now."""
    with suppress(OSError):
        socket_directory.rmdir()


def main() -> None:
    """Leave the family of who started us, then watch: nobody has to wait for our end."""
    directory, guard_lock = Path(sys.argv[1]), int(sys.argv[2])
    if os.fork():
        os._exit(0)
    watch(directory, guard_lock)


if __name__ == "__main__":
    main()
