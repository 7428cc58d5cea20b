"""
PgQueuer, as its guide to performance says.

One asyncpg connection for the consumer, a pool of 5 to 20 for producers, the autovacuum settings that it
recommends, all tables logged (its default). It takes as many jobs at a time as there are slots, and has no cap
on those that run: a cap costs it more than it gives.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.queries import Queries

from tests.bench.peers.player import Body, Sender

POOL = 5, 20


class Player:
    """PgQueuer."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def prepare(self) -> None:
        connection = await asyncpg.connect(self._dsn)
        queries = Queries(AsyncpgDriver(connection))
        await queries.install()
        await queries.optimize_autovacuum()
        await connection.close()

    @asynccontextmanager
    async def running(self, slots: int, body: Body) -> AsyncIterator[None]:
        connection = await asyncpg.connect(self._dsn)
        queuer = PgQueuer.from_asyncpg_connection(connection)

        async def run(job: Any) -> None:
            await body(job.payload.decode() if job.payload else "")

        queuer.entrypoint("run")(run)
        working = asyncio.create_task(queuer.run(batch_size=slots))
        try:
            yield
        finally:
            queuer.shutdown.set()
            await working
            await connection.close()

    @asynccontextmanager
    async def sending(self, connections: int | None) -> AsyncIterator[Sender]:
        least, most = (connections, connections) if connections else POOL
        async with asyncpg.create_pool(self._dsn, min_size=least, max_size=most) as pool:
            yield Sends(Queries(AsyncpgPoolDriver(pool)))

    @asynccontextmanager
    async def beside(
        self, connections: int, insert: str
    ) -> AsyncIterator[list[Callable[[], Awaitable[None]]]]:
        async with AsyncExitStack() as stack:

            async def opened() -> Callable[[], Awaitable[None]]:
                connection = await asyncpg.connect(self._dsn)
                stack.push_async_callback(connection.close)
                queries = Queries(AsyncpgDriver(connection))

                async def one() -> None:
                    async with connection.transaction():
                        await connection.execute(insert)
                        await queries.enqueue("run", None)

                return one

            yield [await opened() for _ in range(connections)]


class Sends:
    """Enqueues."""

    def __init__(self, queries: Any) -> None:
        self._queries = queries

    async def one(self, payload: str) -> None:
        await self._queries.enqueue("run", payload.encode() or None)

    async def many(self, payloads: Sequence[str]) -> None:
        count = len(payloads)
        await self._queries.enqueue(
            ["run"] * count, [payload.encode() or None for payload in payloads], [0] * count
        )

    async def later(self, payload: str, at: float) -> None:
        left = datetime.fromtimestamp(at, UTC) - datetime.now(UTC)
        await self._queries.enqueue("run", payload.encode(), execute_after=max(left, timedelta(0)))


player = Player
