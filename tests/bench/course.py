"""One run: every measure, by each contestant in turn, again and again."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterable

from tests.bench.contestant import ask
from tests.bench.measures import MEASURES, Sizes, contestants

SAMPLE_WITHIN = 120.0  # seconds

Samples = dict[str, dict[str, list[list[float]]]]
"""By measure and contestant: for each repeat its samples."""


async def run(
    dsn: str, sizes: Sizes, repeat: int, only: Iterable[str], told: Callable[[str], None]
) -> Samples:
    """
    Measure in an empty database.

    Contestants take turns (A B A B), because a machine is never as quick in one minute as in the next:
    what can be compared are neighbours.
    """
    everybody = contestants(dsn)
    for name in ("ours", "loop", "bare loop"):  # the other variants share the loop's table
        await everybody[name].prepare()
    wanted = [measure for measure in MEASURES if measure.name in set(only)]
    samples: Samples = {
        measure.name: {name: [] for name in ("ours", *measure.rivals)} for measure in wanted
    }
    for number in range(repeat):
        for measure in wanted:
            for name, taken in samples[measure.name].items():
                told(f"{number + 1}/{repeat} {measure.name}: {name}")
                await everybody[name].clear()
                gc.collect()
                async with asyncio.timeout(SAMPLE_WITHIN):
                    taken.append(await measure.run(everybody[name], sizes))
    return samples


async def server_version(dsn: str) -> str:
    """Ask Postgres what it is."""
    version: str = await ask(dsn, "show server_version")
    return version
