"""asyncjobs as a player, through its public face."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import asyncpg

from asyncjobs import Jobs
from asyncjobs.engine.ids import Ids
from asyncjobs.postgres.statements import Statements
from tests.bench.contestant import ask, connections
from tests.bench.peers.player import Body, Sender
from tests.moments import until

RUN = "run"


class Ours:
    """asyncjobs, as it comes."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._running: tuple[Jobs, Any] | None = None
        self._say = Statements("tests.bench", "asyncjobs")

    async def prepare(self) -> None:
        """Make the tables, and the archive's days: a server that has run for a while has them."""
        jobs = Jobs(self.dsn, migrate=True)

        async def has_days() -> bool:
            return bool(await jobs.database.fetchval(self._say["ours_has_days"]))

        async with jobs.running():
            await until(has_days)

    async def clear(self) -> None:
        """Empty them."""
        await ask(self.dsn, self._say["ours_clear"])

    @asynccontextmanager
    async def running(self, slots: int, body: Body) -> AsyncIterator[None]:
        """Run; what is sent meanwhile is sent through the same object, as an app does."""
        jobs = Jobs(self.dsn, slots=slots)
        run = _task(jobs, body)
        async with jobs.running():
            self._running = jobs, run
            try:
                yield
            finally:
                self._running = None

    @asynccontextmanager
    async def sending(self, connections: int | None) -> AsyncIterator[Sender]:
        """Send; the pool is ours, and as large as it is."""
        if self._running is not None:
            yield OursSender(*self._running)
            return
        jobs = Jobs(self.dsn)
        run = _task(jobs, _nothing)
        async with jobs.connected():
            yield OursSender(jobs, run)

    @asynccontextmanager
    async def beside(
        self, count: int, insert: str
    ) -> AsyncIterator[list[Callable[[], Awaitable[None]]]]:
        """Enqueue in transactions of asyncpg's."""
        jobs = Jobs(self.dsn)
        run = _task(jobs, _nothing)

        def transaction(connection: asyncpg.Connection) -> Callable[[], Awaitable[None]]:
            async def one() -> None:
                async with connection.transaction():
                    await connection.execute(insert)
                    await run.options(connection=connection).job().enqueue()

            return one

        async with jobs.connected(), connections(self.dsn, count) as opened:
            yield [transaction(connection) for connection in opened]


class ByHand(Ours):
    """Our statement for one job, sent by hand: what a row of ours costs in a transaction, without us."""

    @asynccontextmanager
    async def beside(
        self, count: int, insert: str
    ) -> AsyncIterator[list[Callable[[], Awaitable[None]]]]:
        """Insert a row, and a job, in transactions of asyncpg's."""
        store, ids = (
            Statements("asyncjobs.postgres", "asyncjobs")["enqueue_one"],
            Ids(time.time_ns() // 1_000_000),
        )

        def transaction(connection: asyncpg.Connection) -> Callable[[], Awaitable[None]]:
            async def one() -> None:
                async with connection.transaction():
                    await connection.execute(insert)
                    await connection.fetch(
                        store, str(ids.next()), RUN, "default", 0, None, 0.0, "{}", None
                    )

            return one

        async with connections(self.dsn, count) as opened:
            yield [transaction(connection) for connection in opened]


class OursSender:
    """Enqueues."""

    def __init__(self, jobs: Jobs, run: Any) -> None:
        self._jobs = jobs
        self._run = run

    async def one(self, payload: str) -> None:
        """Without an argument, where there is none."""
        await (self._run.enqueue(payload) if payload else self._run.enqueue())

    async def many(self, payloads: Sequence[str]) -> None:
        """In one statement."""
        job = self._run.job
        await self._jobs.enqueue_many([job(payload) if payload else job() for payload in payloads])

    async def later(self, payload: str, at: float) -> None:
        """With `run_at`."""
        await self._run.options(run_at=datetime.fromtimestamp(at, UTC)).enqueue(payload)


def _task(jobs: Jobs, body: Body) -> Any:
    @jobs.task(name=RUN)
    async def run(payload: str = "") -> None:
        await body(payload)

    return run


async def _nothing(payload: str) -> None:
    pass
