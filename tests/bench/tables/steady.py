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
        began = last = time.perf_counter()
        ran = 0
        async for stored in load.steadily(rate, seconds):
            now = time.perf_counter()
            if now - began >= seconds / stretches * (len(moments) + 1):
                [sizes] = await look.fetch(SAY["sizes"])
                claims = sorted(load.claims) or [0.0]
                moments.append(
                    Moment(
                        now - began,
                        (load.ran - ran) / (now - last),
                        stored - load.ran,
                        statistics.median(claims),
                        claims[-1 - len(claims) // 100],
                        *sizes.values(),
                    )
                )
                load.claims.clear()
                last, ran = now, load.ran
    return moments


@asynccontextmanager
async def _pin(dsn: str) -> AsyncIterator[None]:
    async with eyes(dsn) as holder, holder.transaction(isolation="repeatable_read"):
        await holder.execute(SAY["pin"])
        yield
