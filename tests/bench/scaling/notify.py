"""What a NOTIFY costs an app: inserts from many connections, with one in each transaction, with some, with none."""

from __future__ import annotations

import asyncio
import time

from tests.bench.contestant import connections
from tests.bench.scaling.load import SAY

SOME = 0.05  # seconds between two that a process of ours would send


async def rate(dsn: str, count: int, seconds: float, *, each: bool, some: bool) -> float:
    """Commit small inserts from so many connections for so long; gives transactions a second."""
    done = 0
    async with connections(dsn, count + 1) as [teller, *opened]:
        await teller.execute(SAY["order_create"])
        insert = SAY["order_and_notify" if each else "order"]
        ends = time.monotonic() + seconds

        async def call(number: int) -> None:
            nonlocal done
            while time.monotonic() < ends:
                await opened[number].execute(insert)
                done += 1

        async def tell() -> None:
            while some and time.monotonic() < ends:
                await teller.fetchval(SAY["notify"])
                await asyncio.sleep(SOME)

        began = time.monotonic()
        await asyncio.gather(tell(), *(call(number) for number in range(count)))
        took = time.monotonic() - began
        await teller.execute(SAY["order_drop"])
    return done / took
