"""
A steady load for minutes: is there a backlog, how long do claims take, what grows?

With `pinned`, another session holds a transaction open for the whole run, from before the first job: as a
forgotten `begin` in a console does, or a dump. Nothing that dies meanwhile may be cleaned away. A run that
is shorter than ten minutes can begin `aged`: with the dead rows of so many jobs, stored, claimed and ended
under the same transaction, by three statements instead of one by one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import asyncpg

from tests.bench.tables.load import SAY, Load, eyes


@dataclass(frozen=True, slots=True)
class Moment:
    """What was seen at the end of one stretch of a run."""

    at: float  # seconds since the beginning
    rate: float  # jobs/s that ran in the stretch
    backlog: int  # jobs, stored and not yet run
    claim_p50: float  # seconds
    claim_p99: float
    dead: int  # rows of the hot table, dead and not cleaned away
    table: int  # bytes of the hot table
    indexes: int  # bytes of its indexes
    archive: int  # bytes of its days, indexes included


async def run(
    dsn: str, rate: int, seconds: float, stretches: int, *, pinned: bool, aged: int = 0
) -> list[Moment]:
    """Run so many jobs a second for so long; gives what was seen in each of so many stretches."""
    load, moments = Load(dsn), list[Moment]()
    async with AsyncExitStack() as stack:
        look = await stack.enter_async_context(eyes(dsn))
        if pinned:
            await stack.enter_async_context(_pin(dsn))
        if aged:
            await look.fetch(SAY["age_store"], aged, 1 / rate)
            await look.fetch(SAY["age_claim"])
            await look.fetch(SAY["age_finish"])
        await stack.enter_async_context(load.desk.connected())
        await stack.enter_async_context(load.running())
        watch = Watch(load, look)
        stored = 0
        async for stored in load.steadily(rate, seconds):
            if watch.passed >= seconds / stretches * (len(moments) + 1):
                moments.append(await watch.moment(stored))
        if len(moments) < stretches:  # the load ended a tick before the last stretch did
            moments.append(await watch.moment(stored))
    return moments


class Watch:
    """Looks at a load and its tables, stretch by stretch."""

    def __init__(self, load: Load, look: asyncpg.Connection) -> None:
        self._load = load
        self._look = look
        self._began = self._last = time.perf_counter()
        self._ran = 0

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._began

    async def moment(self, stored: int) -> Moment:
        """See how the stretch that ends now has been."""
        load, now = self._load, time.perf_counter()
        [sizes] = await self._look.fetch(SAY["sizes"])
        claims = sorted(load.claims) or [0.0]
        moment = Moment(
            now - self._began,
            (load.ran - self._ran) / (now - self._last),
            stored - load.ran,
            statistics.median(claims),
            claims[-1 - len(claims) // 100],
            *sizes.values(),
        )
        load.claims.clear()
        self._last, self._ran = now, load.ran
        return moment


@asynccontextmanager
async def _pin(dsn: str) -> AsyncIterator[None]:
    async with eyes(dsn) as holder, holder.transaction(isolation="repeatable_read"):
        await holder.execute(SAY["pin"])
        yield
