"""Small jobs, as a process runs them: drained, at a steady rate, or due at a moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from asyncjobs import Jobs
from asyncjobs.postgres.statements import Statements
from tests.moments import until_true

SAY = Statements("tests.bench.tables", "asyncjobs")
WITHIN = 120.0  # seconds for anything here that is not told how long it takes
TICK = 0.05  # seconds between two handfuls of a steady load


class Load:
    """A process that runs small jobs, and another, without slots, that stores them."""

    def __init__(self, dsn: str, *, slots: int = 100, keeps: bool = True) -> None:
        self.jobs = Jobs(dsn, slots=slots, queues=["default"])
        self.desk = Jobs(dsn)
        self.ran = 0
        self.late: list[float] = []
        """By how many seconds jobs that were due at a moment started after it."""
        self.claims: list[float] = []
        """How many seconds each claim took, as the process saw it."""
        keep = None if keeps else timedelta(0)

        async def small(number: int) -> None:
            self.ran += 1

        async def due(moment: float) -> None:
            self.late.append(time.time() - moment)

        for jobs in (self.jobs, self.desk):
            jobs.task(name="app.small", keep=keep)(small)
            jobs.task(name="app.due")(due)
        self.small, self.due = (self.desk.tasks[name] for name in ("app.small", "app.due"))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run, with a look at how long claims take."""
        async with self.jobs.running():
            executor: Any = self.jobs.executor
            claim = executor._ledger.claim

            async def timed(*arguments: Any) -> Any:
                began = time.perf_counter()
                answer = await claim(*arguments)
                self.claims.append(time.perf_counter() - began)
                return answer

            executor._ledger.claim = timed
            yield
            await self.recorded()

    async def recorded(self) -> None:
        """Wait until the ends of all that ran are recorded."""
        assert self.jobs.executor is not None
        await self.jobs.executor.recorded()

    async def store(self, count: int) -> None:
        """Store so many at once."""
        await self.desk.enqueue_many([self.small.job(number) for number in range(count)])

    async def drain(self, count: int) -> float:
        """Store so many, then run them all; gives jobs a second."""
        async with self.desk.connected():
            await self.store(count)
        began, before = time.perf_counter(), self.ran
        async with self.running():
            await until_true(lambda: self.ran == before + count, within=WITHIN)
            took = time.perf_counter() - began
        return count / took

    async def lateness(self, count: int, gap: float) -> list[float]:
        """Run jobs that are due `gap` seconds apart; gives how late each started."""
        began = time.time() + 1.0
        async with self.desk.connected(), self.running():
            for number in range(count):
                moment = began + number * gap
                at = datetime.fromtimestamp(moment, UTC)
                await self.due.options(run_at=at).enqueue(moment)
            await until_true(lambda: len(self.late) == count, within=WITHIN + count * gap)
        return self.late

    async def steadily(self, rate: int, seconds: float) -> AsyncIterator[int]:
        """Store so many a second, for so long; tells again and again how many there were."""
        began, stored = time.perf_counter(), 0
        async with asyncio.timeout(seconds + WITHIN):
            while (passed := time.perf_counter() - began) < seconds:
                wanted = int(rate * passed) - stored
                if wanted:
                    await asyncio.gather(*(self.small.enqueue(n) for n in range(wanted)))
                    stored += wanted
                yield stored
                await asyncio.sleep(TICK)


async def prepare(dsn: str) -> None:
    """Make our tables, the archive's days too."""
    jobs = Jobs(dsn, migrate=True)

    async def has_days() -> bool:
        return bool(await jobs.database.fetchval(SAY["has_days"]))

    async with jobs.running(), asyncio.timeout(WITHIN):
        while not await has_days():
            await asyncio.sleep(TICK)


@asynccontextmanager
async def eyes(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """Give a connection to look with."""
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()
