"""Waiting for moments, never for time: each helper looks again until what it waits for is so."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

from asyncjobs import Enqueued, Jobs, JobState

T = TypeVar("T")

PATIENCE = 20.0  # seconds; only a failing test waits that long


async def until(look: Callable[[], Awaitable[T]], within: float = PATIENCE) -> T:
    """Look until something true is seen, and give it."""
    async with asyncio.timeout(within):
        while True:
            seen = await look()
            if seen:
                return seen
            await asyncio.sleep(0.01)


async def until_true(look: Callable[[], object], within: float = PATIENCE) -> None:
    """Look, without awaiting anything, until it is so."""

    async def seen() -> bool:
        return bool(look())

    await until(seen, within)


async def until_state(job: Enqueued[Any], *states: JobState) -> None:
    """Wait until a job stands there."""

    async def seen() -> bool:
        return await job.status() in states

    await until(seen)


async def until_stands(jobs: Jobs, id: UUID, state: JobState) -> None:
    """Wait until the job of this id stands there."""

    async def stands() -> bool:
        return (await jobs.get(id)).state is state

    await until(stands)


async def until_history(jobs: Jobs, id: UUID, length: int) -> None:
    """Wait until so many earlier attempts of the job are remembered."""

    async def long_enough() -> bool:
        return len((await jobs.get(id)).history) >= length

    await until(long_enough)


class Gate:
    """Holds jobs until they are let go, and knows who waits."""

    def __init__(self) -> None:
        self.inside: list[str] = []
        self.most = 0
        self.most_of: Counter[str] = Counter()
        self._open = asyncio.Event()

    async def pass_through(self, name: str = "") -> None:
        self.inside.append(name)
        self.most = max(self.most, len(self.inside))
        self.most_of[name] = max(self.most_of[name], self.inside.count(name))
        try:
            await self._open.wait()
        finally:
            self.inside.remove(name)

    def open(self) -> None:
        self._open.set()
