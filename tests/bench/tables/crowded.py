"""A crowded database beside an empty one: the same drain in both, by turns, and jobs that are due at a moment."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from tests.bench.tables.load import SAY, Load, eyes

AT_ONCE = 500_000  # rows of one insert


@dataclass(frozen=True, slots=True)
class Crowd:
    """How many rows lie about."""

    finished: int = 10_000_000
    scheduled: int = 1_000_000
    ready: int = 1_000_000  # in queues that nobody serves


async def fill(dsn: str, crowd: Crowd) -> None:
    """Fill a database that has our tables."""
    async with eyes(dsn) as look:
        for name, count in (
            ("fill_finished", crowd.finished),
            ("fill_scheduled", crowd.scheduled),
            ("fill_ready", crowd.ready),
        ):
            await _fill(look, name, count)
        await look.execute("vacuum analyze")
        await look.execute("checkpoint")


async def _fill(look: asyncpg.Connection, name: str, count: int) -> None:
    for begun in range(0, count, AT_ONCE):
        await look.fetch(SAY[name], begun, min(AT_ONCE, count - begun), timeout=None)


async def drains(empty: str, crowded: str, count: int, repeat: int) -> list[tuple[float, float]]:
    """Drain so many jobs in each, by turns; gives jobs a second in the empty and in the crowded one."""
    return [
        (await Load(empty).drain(count), await Load(crowded).drain(count)) for _ in range(repeat)
    ]


async def lateness(dsn: str, count: int, gap: float) -> list[float]:
    """By how many seconds jobs of this database, due `gap` seconds apart, start late."""
    return sorted(await Load(dsn).lateness(count, gap))
