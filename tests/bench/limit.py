"""
The yardstick: a hand-written asyncpg loop that does the least work possible.

It keeps nothing of what it ran, knows no retries, and loses the jobs of a process that dies. There are two:

The *loop* is the least that is still a queue: a table with queues, priorities and due times. Where jobs wait it
goes one step after the other on one connection: claim as many as there are slots, run them, delete them
(`sql/limit_*.sql`). Where jobs come and go the *flowing loop* stands for it: on two connections, so that no job
waits for another's end.

The *bare loop* is the least that there is: a table without an order or a second index, whose claims touch
no index (HOT), and two connections, so that the next claim is under way while the last ends are deleted
(`sql/bare_*.sql`). No queue is like that; it tells how far the machine goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import asyncpg

from asyncjobs.postgres.statements import Statements
from tests.bench.contestant import ask, connections
from tests.bench.peers.player import Body, CannotError, Sender

BATCH = 500  # ends in one delete
POOL = 10  # connections for concurrent inserts: what asyncpg gives when not told


class Limit:
    """
    The loop as a player.

    `bare`: whether it is the bare loop.
    `pool`: how many connections concurrent inserts have, if not 10.
    `notifies`: whether each insert also tells idle workers, as a queue must sometime.
    `steps`: whether it goes step by step, on one connection.
    """

    def __init__(
        self,
        dsn: str,
        *,
        bare: bool = False,
        pool: int = POOL,
        notifies: bool = True,
        steps: bool = False,
    ) -> None:
        self.dsn = dsn
        self._table = "bare" if bare else "limit"
        self._pool = pool
        self._insert = "limit_insert_and_notify" if notifies else "limit_insert"
        self._steps = steps
        self._say = Statements("tests.bench", "asyncjobs")

    async def prepare(self) -> None:
        """Make the table."""
        await ask(self.dsn, self._say[f"{self._table}_create"])
        if self._table == "limit":
            await ask(self.dsn, self._say["limit_index"])

    @asynccontextmanager
    async def running(self, slots: int, body: Body) -> AsyncIterator[None]:
        """Run, until left."""
        async with connections(self.dsn, 2) as [claiming, deleting]:
            loop = Loop(
                claiming,
                await claiming.prepare(self._say[f"{self._table}_claim"]),
                await (claiming if self._steps else deleting).prepare(
                    self._say[f"{self._table}_delete"]
                ),
                body,
                slots,
            )
            await loop.listen()
            running = asyncio.create_task(loop.step() if self._steps else loop.run())
            try:
                yield
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running

    @asynccontextmanager
    async def sending(self, connections: int | None) -> AsyncIterator[Sender]:
        """Insert, through a pool."""
        size = connections or self._pool
        # asyncpg resets a connection at each release, in a round trip of its own: not here.
        async with asyncpg.create_pool(
            self.dsn, min_size=size, max_size=size, reset=_leave_as_is
        ) as pool:
            yield LimitSender(pool, self._say, self._table, self._insert)

    @asynccontextmanager
    async def beside(
        self, count: int, insert: str
    ) -> AsyncIterator[list[Callable[[], Awaitable[None]]]]:
        """Insert in transactions."""
        store = self._say[self._insert]

        def transaction(connection: asyncpg.Connection) -> Callable[[], Awaitable[None]]:
            async def one() -> None:
                async with connection.transaction():
                    await connection.execute(insert)
                    await connection.fetch(store, "run", "{}")

            return one

        async with connections(self.dsn, count) as opened:
            yield [transaction(connection) for connection in opened]


class LimitSender:
    """Inserts."""

    def __init__(
        self, pool: asyncpg.Pool[asyncpg.Record], say: Statements, table: str, insert: str
    ) -> None:
        self._pool = pool
        self._say = say
        self._table = table
        self._insert = say[insert]

    async def one(self, payload: str) -> None:
        """Insert one; the payload is JSON already."""
        if self._table != "limit":
            raise CannotError("no queue is like that")
        await self._pool.fetch(self._insert, "run", f'"{payload}"')

    async def many(self, payloads: Sequence[str]) -> None:
        """Insert many in one statement, from arrays."""
        arguments = [f'"{payload}"' for payload in payloads]
        insert = self._say[f"{self._table}_insert_many"]
        await self._pool.fetch(insert, ["run"] * len(arguments), arguments)

    async def later(self, payload: str, at: float) -> None:
        """Not at all: the loop looks when it is woken."""
        raise CannotError("it has no clock")


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
        self._slots = self._free = slots
        self._running: set[asyncio.Task[None]] = set()
        self._ended: list[int] = []
        self._woken = asyncio.Event()
        self._slot_freed = asyncio.Event()
        self._some_ended = asyncio.Event()

    async def listen(self) -> None:
        """Hear of new jobs."""
        await self._listening.add_listener("limit", lambda *_: self._woken.set())

    async def step(self) -> None:
        """Claim, run and delete, one after the other."""
        while True:
            self._woken.clear()
            rows = await self._claim.fetch(self._slots)
            if not rows:
                await self._woken.wait()
                continue
            await asyncio.gather(*(self._body(arguments[1:-1]) for _, _, arguments in rows))
            await self._delete.fetch([id for id, _, _ in rows])

    async def run(self) -> None:
        """Claim, run and delete, all at once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._claim_all())
            group.create_task(self._delete_all())

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
        await self._body(arguments[1:-1])
        task = asyncio.current_task()
        assert task is not None
        self._running.discard(task)
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


async def _leave_as_is(connection: asyncpg.Connection) -> None:
    pass
