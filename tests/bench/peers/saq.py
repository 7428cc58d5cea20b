"""
SAQ on Postgres or on Redis, whichever the address names; as its documentation says.

On Postgres it has its own pool of 4 to 20 connections, and is woken by NOTIFY; on Redis as it comes. It has no call
for many jobs at once, so that many are stored side by side, as its documentation does.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from saq import Queue, Worker

from tests.bench.peers.player import Body, CannotError, Sender

AT_ONCE = 100
STOPS_WITHIN = 5.0  # seconds


class Player:
    """SAQ."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._running: Any = None
        logging.getLogger("saq").setLevel(logging.WARNING)

    @asynccontextmanager
    async def _queue(self) -> AsyncIterator[Any]:
        queue = Queue.from_url(self._address)
        await queue.connect()
        try:
            yield queue
        finally:
            await queue.disconnect()

    async def prepare(self) -> None:
        async with self._queue():
            pass

    async def clear(self) -> None:
        """Empty Redis, which is the bench's own."""
        async with self._queue() as queue:
            await queue.redis.flushdb()

    async def left(self) -> int:
        """Count what is not finished."""
        async with self._queue() as queue:
            left: int = await queue.count("incomplete")
            return left

    @asynccontextmanager
    async def running(self, slots: int, body: Body) -> AsyncIterator[None]:
        async def run(context: Any, *, payload: str = "") -> None:
            await body(payload)

        async with self._queue() as queue:
            worker = Worker(queue, functions=[("run", run)], concurrency=slots)
            working = asyncio.create_task(worker.start())
            self._running = queue
            try:
                yield
            finally:
                self._running = None
                await worker.stop()
                with suppress(asyncio.CancelledError, TimeoutError):
                    await asyncio.wait_for(working, STOPS_WITHIN)

    @asynccontextmanager
    async def sending(self, connections: int | None) -> AsyncIterator[Sender]:
        if self._running is not None:
            yield Sends(self._running)
            return
        async with self._queue() as queue:
            yield Sends(queue)

    @asynccontextmanager
    async def beside(
        self, connections: int, insert: str
    ) -> AsyncIterator[list[Callable[[], Awaitable[None]]]]:
        raise CannotError("it enqueues on connections of its own only")
        yield []


class Sends:
    """Enqueues."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    async def one(self, payload: str) -> None:
        await self._queue.enqueue("run", **({"payload": payload} if payload else {}))

    async def many(self, payloads: Sequence[str]) -> None:
        for begun in range(0, len(payloads), AT_ONCE):
            await asyncio.gather(
                *(self.one(payload) for payload in payloads[begun : begun + AT_ONCE])
            )

    async def later(self, payload: str, at: float) -> None:
        """In whole seconds, as it has them; not before."""
        await self._queue.enqueue("run", payload=payload, scheduled=math.ceil(at))


player = Player
