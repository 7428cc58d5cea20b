"""
taskiq with taskiq-postgres, as their documentation says: the broker on asyncpg, a receiver with `max_async_tasks`.

It learns of a message by its NOTIFY only: what was stored while nobody listened is never run.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from taskiq.receiver import Receiver
from taskiq_pg.asyncpg import AsyncpgBroker

from tests.bench.peers.player import Body, CannotError, Sender

AT_ONCE = 100


class Player:
    """taskiq-postgres."""

    forgets = "what is stored while nobody listens is never run"

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._running: Any = None
        logging.getLogger("taskiq").setLevel(logging.WARNING)

    @asynccontextmanager
    async def _broker(self, body: Body, *, works: bool) -> AsyncIterator[Any]:
        broker = AsyncpgBroker(dsn=self._dsn)
        broker.is_worker_process = works

        async def run(payload: str = "") -> None:
            await body(payload)

        task = broker.task("run")(run)
        await broker.startup()
        try:
            yield broker, task
        finally:
            await broker.shutdown()

    async def prepare(self) -> None:
        async with self._broker(_nothing, works=False):
            pass

    @asynccontextmanager
    async def running(self, slots: int, body: Body) -> AsyncIterator[None]:
        async with self._broker(body, works=True) as (broker, task):
            receiver = Receiver(broker, max_async_tasks=slots, run_startup=False)
            working = asyncio.create_task(receiver.listen(asyncio.Event()))
            self._running = task
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
            yield Sends(self._running)
            return
        async with self._broker(_nothing, works=False) as (_, task):
            yield Sends(task)

    @asynccontextmanager
    async def beside(
        self, connections: int, insert: str
    ) -> AsyncIterator[list[Callable[[], Awaitable[None]]]]:
        raise CannotError("it enqueues on connections of its own only")
        yield []


class Sends:
    """Kicks."""

    def __init__(self, task: Any) -> None:
        self._task = task

    async def one(self, payload: str) -> None:
        await (self._task.kiq(payload) if payload else self._task.kiq())

    async def many(self, payloads: Sequence[str]) -> None:
        for begun in range(0, len(payloads), AT_ONCE):
            await asyncio.gather(
                *(self.one(payload) for payload in payloads[begun : begun + AT_ONCE])
            )

    async def later(self, payload: str, at: float) -> None:
        raise CannotError("it needs a scheduler, in a process of its own")


async def _nothing(payload: str) -> None:
    pass


player = Player
