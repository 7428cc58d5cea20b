"""
An island: a network namespace with one wire to this machine, which can go dark.

The kernels at both ends are real, and so is their patience. In the dark each end has a wrong hardware
address of the other: what is sent leaves, and nobody takes it, as in a network that drops what passes. Needs
root and the kernel's leave; where these are missing `NoIsland` says so.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.moments import until_true

NOWHERE = "02:00:00:00:00:00"  # a hardware address that nobody has


class NoIsland(Exception):
    """The machine does not permit one; says why."""


class Island:
    """See the module's text; `here` and `there` are the addresses of the two ends of the wire."""

    def __init__(self) -> None:
        number = os.getpid() % (1 << 14)
        network = f"198.18.{number // 64}"  # set aside for experiments
        self.here = f"{network}.{number % 64 * 4 + 1}"
        self.there = f"{network}.{number % 64 * 4 + 2}"
        self.wire = f"faults{number}"
        self._keeper: asyncio.subprocess.Process | None = None

    @property
    def enter(self) -> Sequence[str]:
        """The words before a command that is to run there."""
        assert self._keeper is not None
        return ("nsenter", f"--net=/proc/{self._keeper.pid}/ns/net", "--")

    async def make(self) -> None:
        """Make it; raises NoIsland."""
        for tool in ("unshare", "nsenter", "ip"):
            if shutil.which(tool) is None:
                raise NoIsland(f"there is no {tool} here")
        self._keeper = keeper = await asyncio.create_subprocess_exec(
            "unshare", "--net", "sleep", "infinity", stderr=asyncio.subprocess.DEVNULL
        )
        await until_true(lambda: keeper.returncode is not None or _is_elsewhere(keeper.pid))
        if keeper.returncode is not None:
            raise NoIsland("a network namespace may not be made here")
        await _run("ip", "link", "add", self.wire, "type", "veth", "peer", "wire", "netns", str(keeper.pid))  # fmt: skip
        await _run("ip", "address", "add", f"{self.here}/30", "dev", self.wire)
        await _run("ip", "link", "set", self.wire, "up")
        await _run(*self.enter, "ip", "address", "add", f"{self.there}/30", "dev", "wire")
        await _run(*self.enter, "ip", "link", "set", "wire", "up")

    async def go_dark(self) -> None:
        """Let nothing arrive, at either end."""
        await asyncio.gather(
            _run("ip", "neighbour", "replace", self.there, "lladdr", NOWHERE, "dev", self.wire),
            _run(*self.enter, "ip", "neighbour", "replace", self.here, "lladdr", NOWHERE, "dev", "wire"),
        )  # fmt: skip

    async def come_back(self) -> None:
        """Let everything arrive again."""
        await asyncio.gather(
            _run("ip", "neighbour", "del", self.there, "dev", self.wire),
            _run(*self.enter, "ip", "neighbour", "del", self.here, "dev", "wire"),
        )

    async def end(self) -> None:
        """Be gone, the wire first: the kernel would take its time, and the next one here has the same name."""
        if self._keeper is None:
            return
        with suppress(NoIsland):  # it may never have been made
            await _run("ip", "link", "del", self.wire)
        if self._keeper.returncode is None:
            self._keeper.kill()
            await self._keeper.wait()


@asynccontextmanager
async def an_island() -> AsyncIterator[Island]:
    """Make an island, and see that it goes; raises NoIsland."""
    island = Island()
    try:
        await island.make()
        yield island
    finally:
        await island.end()


def _is_elsewhere(pid: int) -> bool:
    own, its = Path("/proc/self/ns/net"), Path(f"/proc/{pid}/ns/net")
    return its.exists() and own.readlink() != its.readlink()


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    if process.returncode:
        raise NoIsland(f"{' '.join(command)}: {said.decode().strip()}")
