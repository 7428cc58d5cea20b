"""
Chancy, as its documentation says: the executor for asyncio, a queue that looks again at each end (`eager_polling`).

Its worker records ends once a second, which it does not let one set but by an attribute; that is left as it is.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import chancy
import psycopg
from chancy.worker import Worker
from psycopg.rows import dict_row

from tests.bench.peers.player import Body, Sender

POOL = 4, 10


class Runs:
    """Where the body is put."""

    body: Any = None


async def run(*, payload: str = "") -> None:
    """Run the body; found by its name."""
    await Runs.body(payload)


class Player:
    """Chancy."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._running: Any = None
        logging.getLogger("chancy").setLevel(logging.WARNING)

    def _app(self, connections: int | None = None) -> Any:
        least, most = (connections, connections) if connections else POOL
        return chancy.Chancy(
            self._dsn,
            min_connection_pool_size=least,
            max_connection_pool_size=most,
            log=logging.getLogger("chancy"),
        )

    async def prepare(self) -> None:
        async with self._app() as app:
            await app.migrate()

    @asynccontextmanager
    async def running(self, slots: int, body: Body) -> AsyncIterator[None]:
        Runs.body = staticmethod(body)
        async with self._app() as app:
            await app.declare(
                chancy.Queue(
                    "default",
                    concurrency=slots,
                    executor=chancy.Chancy.Executor.Async,
                    eager_polling=True,
                    polling_interval=1,
                ),
                upsert=True,
            )
            async with Worker(app, register_signal_handlers=False):
                self._running = app
                try:
                    yield
                finally:
                    self._running = None

    @asynccontextmanager
    async def sending(self, connections: int | None) -> AsyncIterator[Sender]:
        if self._running is not None:
            yield Sends(self._running)
            return
        async with self._app(connections) as app:
            yield Sends(app)

    @asynccontextmanager
    async def beside(
        self, connections: int, insert: str
    ) -> AsyncIterator[list[Callable[[], Awaitable[None]]]]:
        async with self._app() as app, AsyncExitStack() as stack:

            async def opened() -> Callable[[], Awaitable[None]]:
                connection = await psycopg.AsyncConnection.connect(
                    self._dsn, autocommit=True, row_factory=dict_row
                )
                stack.push_async_callback(connection.close)

                async def one() -> None:
                    async with connection.transaction(), connection.cursor() as cursor:
                        await cursor.execute(insert)
                        await app.push_ex(cursor, _job(""))

                return one

            yield [await opened() for _ in range(connections)]


class Sends:
    """Pushes."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def one(self, payload: str) -> None:
        await self._app.push(_job(payload))

    async def many(self, payloads: Sequence[str]) -> None:
        async for _ in self._app.push_many([_job(payload) for payload in payloads]):
            pass

    async def later(self, payload: str, at: float) -> None:
        await self._app.push(_job(payload).with_scheduled_at(datetime.fromtimestamp(at, UTC)))


def _job(payload: str) -> Any:
    job = chancy.Job.from_func(run)
    return job.with_kwargs(payload=payload) if payload else job


player = Player
