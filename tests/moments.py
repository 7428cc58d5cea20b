"""Waiting for moments, never for time: each helper looks again until what it waits for is so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from asyncjobs import Enqueued, JobState

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


async def until_state(job: Enqueued[object], *states: JobState) -> None:
    """Wait until a job stands there."""

    async def seen() -> bool:
        return await job.status() in states

    await until(seen)
