"""Where contestants play: their processes, their tables, and what the server says of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg

from asyncjobs.postgres.statements import Statements
from tests.bench.contestant import Contestant
from tests.bench.counted import Count, logged
from tests.bench.remote import Remote, started

LOOKS = 0.001  # seconds between two looks for the last end
FLUSHED = 0.5  # seconds after which the statistics of connections that ended are told


class Court:
    """
    A database of the run's own.

    `log` is the server's, where statements are counted; None: they are not.
    """

    def __init__(self, dsn: str, logs: Path, log: Path | None = None) -> None:
        self.dsn = dsn
        self._logs = logs
        self._log = log
        self._say = Statements("tests.bench", "asyncjobs")
        self._remotes: dict[str, tuple[Remote, AsyncExitStack]] = {}
        self._looking: asyncpg.Connection | None = None

    async def of(self, contestant: Contestant) -> Remote:
        """Give the process that speaks for it, started where it is not."""
        if contestant.name not in self._remotes:
            stack = AsyncExitStack()
            remote = await stack.enter_async_context(started(contestant, self._logs))
            self._remotes[contestant.name] = remote, stack
        return self._remotes[contestant.name][0]

    async def part(self, contestant: Contestant, *, at_once: bool = False) -> None:
        """End its process."""
        if found := self._remotes.pop(contestant.name, None):
            if at_once:
                found[0].kill()
            await found[1].aclose()

    @asynccontextmanager
    async def others(self, contestant: Contestant, count: int) -> AsyncIterator[list[Remote]]:
        """Start so many processes more, and end them."""
        async with AsyncExitStack() as stack:
            starting = (started(contestant, self._logs) for _ in range(count))
            yield await asyncio.gather(*map(stack.enter_async_context, starting))

    async def close(self) -> None:
        """End all."""
        for _, stack in self._remotes.values():
            await stack.aclose()
        self._remotes.clear()
        if self._looking is not None:
            await self._looking.close()

    async def prepare(self, contestant: Contestant) -> None:
        """Make its tables."""
        if not contestant.is_copy:
            await (await self.of(contestant)).ask("prepare")

    async def clear(self, contestant: Contestant) -> None:
        """Empty its tables."""
        if contestant.table is None:
            await (await self.of(contestant)).ask("clear")
        else:
            await (await self._own()).execute(self._say[f"{contestant.table}_clear"])

    async def left(self, contestant: Contestant) -> int:
        """Count the stored jobs that nobody has finished."""
        if contestant.table is None:
            [left] = await (await self.of(contestant)).ask("left")
            return int(left)
        return int(await (await self._own()).fetchval(self._say[f"{contestant.table}_left"]))

    async def emptied(self, contestant: Contestant, looks: float = LOOKS) -> float:
        """Wait until the end of every job is recorded; gives the moment."""
        while await self.left(contestant):
            await asyncio.sleep(looks)
        return time.monotonic()

    async def execute(self, name: str) -> None:
        """Run a statement of the bench's own."""
        await (await self._own()).execute(self._say[name])

    def statement(self, name: str) -> str:
        """Give the text of one."""
        return self._say[name]

    async def spent(self) -> tuple[int, int]:
        """Tell the bytes of WAL and the commits since the server's begin, of this database."""
        await asyncio.sleep(FLUSHED)
        row = await (await self._own()).fetchrow(self._say["spent"])
        assert row is not None
        return int(row["wal"]), int(row["commits"])

    @asynccontextmanager
    async def counted(self, statements: list[int]) -> AsyncIterator[None]:
        """Count the statements of connections that are opened meanwhile; appends the number."""
        if self._log is None:
            yield
            return
        async with logged(self.dsn):
            count = Count(self._log)
            yield
        statements.append(count.told())

    async def _own(self) -> asyncpg.Connection:
        if self._looking is None or self._looking.is_closed():
            self._looking = await asyncpg.connect(self.dsn)
        return self._looking
