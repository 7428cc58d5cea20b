"""What a guest costs when there is nothing to do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from asyncjobs.postgres.statements import Statements
from tests.bench.contestant import connections
from tests.bench.counted import Count, logged
from tests.bench.guest.stay import host, keep

SQL = Statements("tests.bench.guest", "asyncjobs")


async def idle(
    name: str, dsn: str, log: Path, loop: str, settled: float, seconds: float
) -> dict[str, Any]:
    """Measure an app with this guest for so long, while nobody asks anything of it; from `settled` seconds after its start."""
    await keep(name, dsn, "clear")
    async with connections(dsn, 1) as [look], logged(dsn), host(name, dsn, loop) as app:
        database = await look.fetchval("select current_database()")
        await asyncio.sleep(settled)
        count, before = Count(log), await app.figures()
        await asyncio.sleep(seconds)
        after, statements = await app.figures(), count.told()
        held = await look.fetchval(SQL["connections"], database)
    return {
        "seconds": seconds,
        "cpu": after["cpu"] - before["cpu"],
        "statements": statements,
        "connections": held - 1,  # without the one that asks
        "resident": after["resident"],
    }
