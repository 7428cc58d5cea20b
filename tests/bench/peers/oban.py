"""Oban for Python, as its documentation says: its own pool of up to 10 psycopg connections, one queue with a limit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from oban import Oban, worker
from oban.schema import install_sql

from tests.bench.peers.player import Body, Sender

POOL = 4, 10


class Runs:
    """What runs; the body is put in its place."""

    body: Any = None

    async def process(self, job: Any) -> None:
        await Runs.body(job.args.get("payload", ""))


Run: Any = worker(queue="default")(Runs)


class Player:
    """Oban."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._running: Any = None

    async def prepare(self) -> None:
        async with await psycopg.AsyncConnection.connect(self._dsn) as connection:
            await connection.execute(install_sql())

    @asynccontextmanager
    async def _oban(self, slots: int = 0, connections: int | None = None) -> AsyncIterator[Any]:
        least, most = (connections, connections) if connections else POOL
        pool = await Oban.create_pool(self._dsn, min_size=least, max_size=most)
        queues = {"default": slots} if slots else {}
        try:
            async with Oban(pool=pool, queues=queues) as oban:
                yield oban
        finally:
            await pool.close()

    @asynccontextmanager
    async def running(self, slots: int, body: Body) -> AsyncIterator[None]:
        Runs.body = staticmethod(body)
        async with self._oban(slots) as oban:
            self._running = oban
            try:
                yield
            finally:
                self._running = None

    @asynccontextmanager
    async def sending(self, connections: int | None) -> AsyncIterator[Sender]:
        if self._running is not None:
            yield Sends(self._running)
            return
        async with self._oban(connections=connections) as oban:
            yield Sends(oban)

    @asynccontextmanager
    async def beside(
        self, connections: int, insert: str
    ) -> AsyncIterator[list[Callable[[], Awaitable[None]]]]:
        async with self._oban() as oban, AsyncExitStack() as stack:

            async def opened() -> Callable[[], Awaitable[None]]:
                connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
                stack.push_async_callback(connection.close)

                async def one() -> None:
                    async with connection.transaction():
                        await connection.execute(insert)
                        await oban.enqueue(Run.new({}), conn=connection)

                return one

            yield [await opened() for _ in range(connections)]


class Sends:
    """Enqueues."""

    def __init__(self, oban: Any) -> None:
        self._oban = oban

    async def one(self, payload: str) -> None:
        await self._oban.enqueue(Run.new(_arguments(payload)))

    async def many(self, payloads: Sequence[str]) -> None:
        await self._oban.enqueue_many([Run.new(_arguments(payload)) for payload in payloads])

    async def later(self, payload: str, at: float) -> None:
        moment = datetime.fromtimestamp(at, UTC)
        await self._oban.enqueue(
            Run.new({"payload": payload}, scheduled_at=moment, state="scheduled")
        )


def _arguments(payload: str) -> dict[str, str]:
    return {"payload": payload} if payload else {}


player = Player
