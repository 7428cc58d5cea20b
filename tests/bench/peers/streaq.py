"""streaQ on Redis, as its documentation says: a worker with `concurrency` as many as slots."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from streaq import Worker

from tests.bench.peers.player import Body, CannotError, Sender


class Player:
    """streaQ."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._running: Any = None
        logging.getLogger("streaq").setLevel(logging.WARNING)

    def _worker(self, slots: int, body: Body) -> tuple[Any, Any]:
        worker: Any = Worker(redis_url=self._address, concurrency=slots, handle_signals=False)

        async def run(payload: str = "") -> None:
            await body(payload)

        return worker, worker.task(name="run")(run)

    async def prepare(self) -> None:
        """Nothing is needed."""

    async def clear(self) -> None:
        """Empty Redis, which is the bench's own."""
        async with self._worker(1, _nothing)[0] as worker:
            await worker.redis.flushdb()

    async def left(self) -> int:
        """Count what is not finished."""
        async with self._worker(1, _nothing)[0] as worker:
            return len([key async for key in worker.redis.scan_iter(f"{worker.task_key}*")])

    @asynccontextmanager
    async def running(self, slots: int, body: Body) -> AsyncIterator[None]:
        worker, task = self._worker(slots, body)
        working = asyncio.create_task(worker.run_async())
        while not worker._running:
            if working.done():
                working.result()
            await asyncio.sleep(0.01)
        self._running = worker, task
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
            yield Sends(*self._running)
            return
        worker, task = self._worker(1, _nothing)
        async with worker:
            yield Sends(worker, task)

    @asynccontextmanager
    async def beside(
        self, connections: int, insert: str
    ) -> AsyncIterator[list[Callable[[], Awaitable[None]]]]:
        raise CannotError("Redis is not in the transaction")
        yield []


class Sends:
    """Enqueues."""

    def __init__(self, worker: Any, task: Any) -> None:
        self._worker = worker
        self._task = task

    async def one(self, payload: str) -> None:
        await self._made(payload)

    async def many(self, payloads: Sequence[str]) -> None:
        await self._worker.enqueue_many([self._made(payload) for payload in payloads])

    async def later(self, payload: str, at: float) -> None:
        await self._task.enqueue(payload).start(schedule=datetime.fromtimestamp(at, UTC))

    def _made(self, payload: str) -> Any:
        return self._task.enqueue(payload) if payload else self._task.enqueue()


async def _nothing(payload: str) -> None:
    pass


player = Player
