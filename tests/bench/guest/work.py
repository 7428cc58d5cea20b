"""What the jobs do, the same for every guest: plain functions, without any job system."""

from __future__ import annotations

import asyncio
import time
from itertools import cycle, islice

BURN = 0.005  # seconds of pure Python
WAIT = 0.05  # seconds of waiting
HOLD = 0.02  # seconds in which a plain function waits in its thread, with a little Python before

KINDS = ("noop", "wait", "burn", "thread")
"""The kinds of jobs; every guest declares a task for each, under this name."""

MIX = "mix"


async def noop() -> None:
    """Do nothing."""


async def wait() -> None:
    """Wait, as for somebody's API."""
    await asyncio.sleep(WAIT)


async def burn() -> None:
    """Compute on the event loop: what no job should do, and many do."""
    _compute(BURN)


def thread() -> None:
    """Compute a little and wait, as a driver that blocks does."""
    _compute(BURN / 5)
    time.sleep(HOLD)


def kinds_of(load: str, count: int) -> list[str]:
    """Name so many jobs: all of one kind, or the kinds in turn."""
    return list(islice(cycle(KINDS if load == MIX else (load,)), count))


def _compute(seconds: float) -> None:
    # Time of this thread's own, so that a job is as long beside others as it is alone.
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        sum(range(100))
