"""
Procrastinate, as its documentation says: psycopg with its binary part, LISTEN on, `concurrency` as many as slots.

Its pool has up to 20 connections here, where psycopg's own word would be 4: each of its jobs takes one to begin
and one to end.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import procrastinate
import psycopg

from tests.bench.peers.player import Body, Sender

POOL = 20


class Player:
    """Procrastinate."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._running: Any = None

    @asynccontextmanager
    async def _app(self, body: Body, pool: int = POOL) -> AsyncIterator[Any]:
        connector = procrastinate.PsycopgConnector(
            conninfo=self._dsn, min_size=min(pool, 4), max_size=pool
        )
        app = procrastinate.App(connector=connector)

        async def run(payload: str = "") -> None:
            await body(payload)

        app.run = app.task(run, name="run")
        async with app.open_async():
            yield app

    async def prepare(self) -> None:
        async with self._app(_nothing) as app:
            await app.schema_manager.apply_schema_async()

    @asynccontextmanager
    async def running(self, slots: int, body: Body) -> AsyncIterator[None]:
        async with self._app(body) as app:
            working = asyncio.create_task(
                app.run_worker_async(concurrency=slots, install_signal_handlers=False)
            )
            self._running = app
            try:
                yield
            finally:
                self._running = None
                working.cancel()
                with suppress(asyncio.CancelledError):
                    await working

    @asynccontextmanager
    async def sending(self, connections: int | None) -> AsyncIterator[Sender]:
        if self._running is not None:
            yield Sends(self._running.run)
            return
        async with self._app(_nothing, connections or POOL) as app:
            yield Sends(app.run)

    @asynccontextmanager
    async def beside(
        self, connections: int, insert: str
    ) -> AsyncIterator[list[Callable[[], Awaitable[None]]]]:
        async with self._app(_nothing) as app, AsyncExitStack() as stack:

            async def opened() -> Callable[[], Awaitable[None]]:
                connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
                stack.push_async_callback(connection.close)
                task = app.run.configure(connection=connection)

                async def one() -> None:
                    async with connection.transaction():
                        await connection.execute(insert)
                        await task.defer_async()

                return one

            yield [await opened() for _ in range(connections)]


class Sends:
    """Defers."""

    def __init__(self, task: Any) -> None:
        self._task = task

    async def one(self, payload: str) -> None:
        await self._task.defer_async(**_arguments(payload))

    async def many(self, payloads: Sequence[str]) -> None:
        await self._task.batch_defer_async(*[_arguments(payload) for payload in payloads])

    async def later(self, payload: str, at: float) -> None:
        moment = datetime.fromtimestamp(at, UTC)
        await self._task.configure(schedule_at=moment).defer_async(payload=payload)


def _arguments(payload: str) -> dict[str, str]:
    return {"payload": payload} if payload else {}


async def _nothing(payload: str) -> None:
    pass


player = Player
