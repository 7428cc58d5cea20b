"""
The yardstick: a hand-written asyncpg loop that does the least work possible.

It keeps nothing of what it ran, knows no retries, and loses the jobs of a process that dies. There are two:

The *loop* is the least that is still a queue: a table with queues, priorities and due times, one
connection, one step after the other: claim as many as there are slots, run them, delete them
(`sql/limit_*.sql`).

The *bare loop* is the least that there is: a table without an order or a second index, whose claims touch
no index (HOT), and two connections, so that the next claim is under way while the last ends are deleted
(`sql/bare_*.sql`). No queue is like that; it tells how far the machine goes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import asyncpg

from asyncjobs.postgres.statements import Statements
from tests.bench.contestant import WARM, ask, connections

BATCH = 500  # ends in one delete

Body = Callable[[str], Awaitable[None]]


async def noop(arguments: str) -> None:
    """Do nothing."""


class Limit:
    """
    The loop as a contestant.

    `bare`: whether it is the bare loop.
    `pool`: how many connections concurrent inserts have; 10 is what asyncpg gives when not told.
    `notifies`: whether each concurrent insert also tells idle workers, as a queue must sometime.
    """

    def __init__(
        self,
        dsn: str,
        name: str = "loop",
        *,
        bare: bool = False,
        pool: int = 10,
        notifies: bool = False,
    ) -> None:
        self.name = name
        self.dsn = dsn
        self._bare = bare
        self._table = "bare" if bare else "limit"
        self._pool = pool
        self._insert = "limit_insert_and_notify" if notifies else "limit_insert"
        self._say = Statements("tests.bench", "asyncjobs")

    async def prepare(self) -> None:
        await ask(self.dsn, self._say[f"{self._table}_create"])
        if not self._bare:
            await ask(self.dsn, self._say["limit_index"])

    async def clear(self) -> None:
        await ask(self.dsn, self._say[f"{self._table}_clear"])

    async def left(self) -> int:
        left: int = await ask(self.dsn, self._say[f"{self._table}_left"])
        return left

    async def drain(self, count: int, slots: int) -> float:
        await ask(self.dsn, self._say[f"{self._table}_fill"], "noop", "{}", count)
        if not self._bare:
            return await self._drain_by_hand(count, slots)
        async with self._loop(noop, slots) as loop:
            began = time.perf_counter()
            await loop.run(until=count)
            return count / (time.perf_counter() - began)

    async def _drain_by_hand(self, count: int, slots: int) -> float:
        async with connections(self.dsn, 1) as [connection]:
            claim = await connection.prepare(self._say[f"{self._table}_claim"])
            delete = await connection.prepare(self._say[f"{self._table}_delete"])
            began = time.perf_counter()
            while rows := await claim.fetch(slots):
                await asyncio.gather(*(noop(arguments) for _, _, arguments in rows))
                await delete.fetch([id for id, _, _ in rows])
            return count / (time.perf_counter() - began)

    async def enqueue_alone(self, count: int) -> float:
        async with connections(self.dsn, 1) as [connection]:
            insert = await connection.prepare(self._say["limit_insert"])
            began = time.perf_counter()
            for _ in range(count):
                await insert.fetch("noop", "{}")
            return count / (time.perf_counter() - began)

    async def enqueue_together(self, count: int, callers: int) -> float:
        insert = self._say[self._insert]
        # asyncpg resets a connection at each release, in a round trip of its own: not here.
        async with asyncpg.create_pool(
            self.dsn, min_size=self._pool, max_size=self._pool, reset=_leave_as_is
        ) as pool:

            async def call() -> None:
                for _ in range(count // callers):
                    await pool.fetch(insert, "noop", "{}")

            began = time.perf_counter()
            await asyncio.gather(*(call() for _ in range(callers)))
            return count / (time.perf_counter() - began)

    async def delays_here(self, count: int) -> list[float]:
        delays: list[float] = []
        sent = 0.0

        async def started(arguments: str) -> None:
            delays.append(time.perf_counter() - sent)

        async with (
            self._loop(started, slots=10) as loop,
            connections(self.dsn, 1) as [connection],
            asyncio.TaskGroup() as group,
        ):
            insert = await connection.prepare(self._say["limit_insert_and_notify"])
            await loop.listen()
            group.create_task(loop.run(until=WARM + count))
            for number in range(WARM + count):
                sent = time.perf_counter()
                await insert.fetch("started", "{}")
                await loop.deleted(number + 1)
        return delays[WARM:]

    async def send(self, count: int, pause: float) -> None:
        async with connections(self.dsn, 1) as [connection]:
            insert = await connection.prepare(self._say["limit_insert_and_notify"])
            for _ in range(count):
                await insert.fetch("started", str(time.monotonic()))
                await asyncio.sleep(pause)

    async def work(self, up: Callable[[], None], tell: Callable[[float], None]) -> None:
        async def started(arguments: str) -> None:
            tell(time.monotonic() - float(arguments))

        async with self._loop(started, slots=10) as loop:
            await loop.listen()
            up()
            await loop.run(until=None)

    @asynccontextmanager
    async def _loop(self, body: Body, slots: int) -> AsyncIterator[Loop]:
        async with connections(self.dsn, 2) as [claiming, deleting]:
            yield Loop(
                claiming,
                await claiming.prepare(self._say[f"{self._table}_claim"]),
                await deleting.prepare(self._say[f"{self._table}_delete"]),
                body,
                slots,
            )


class Loop:
    """Claim, run, delete."""

    def __init__(
        self,
        listening: asyncpg.Connection,
        claim: asyncpg.prepared_stmt.PreparedStatement,
        delete: asyncpg.prepared_stmt.PreparedStatement,
        body: Body,
        slots: int,
    ) -> None:
        self._listening = listening
        self._claim = claim
        self._delete = delete
        self._body = body
        self._free = slots
        self._running: set[asyncio.Task[None]] = set()
        self._ended: list[int] = []
        self._deleted = 0
        self._woken = asyncio.Event()
        self._slot_freed = asyncio.Event()
        self._some_ended = asyncio.Event()
        self._some_deleted = asyncio.Event()

    async def listen(self) -> None:
        """Hear of new jobs."""
        await self._listening.add_listener("limit", lambda *_: self._woken.set())

    async def deleted(self, count: int) -> None:
        """Wait until so many ends are recorded."""
        while self._deleted < count:
            self._some_deleted.clear()
            await self._some_deleted.wait()

    async def run(self, until: int | None) -> None:
        """Claim, run and delete, until so many are done."""
        claiming = asyncio.create_task(self._claim_all())
        deleting = asyncio.create_task(self._delete_all())
        try:
            await (asyncio.gather(claiming, deleting) if until is None else self.deleted(until))
        finally:
            for task in (claiming, deleting):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def _claim_all(self) -> None:
        create_task = asyncio.get_running_loop().create_task
        while True:
            if not self._free:
                self._slot_freed.clear()
                await self._slot_freed.wait()
            self._woken.clear()
            rows = await self._claim.fetch(self._free)
            if not rows:
                await self._woken.wait()
                continue
            self._free -= len(rows)
            for id, _, arguments in rows:
                self._running.add(create_task(self._live(id, arguments)))

    async def _live(self, id: int, arguments: str) -> None:
        await self._body(arguments)
        self._running.discard(asyncio.current_task())
        self._free += 1
        self._ended.append(id)
        self._slot_freed.set()
        self._some_ended.set()

    async def _delete_all(self) -> None:
        while True:
            await self._some_ended.wait()
            self._some_ended.clear()
            while self._ended:
                batch, self._ended = self._ended[:BATCH], self._ended[BATCH:]
                await self._delete.fetch(batch)
                self._deleted += len(batch)
                self._some_deleted.set()


async def _leave_as_is(connection: asyncpg.Connection) -> None:
    pass
