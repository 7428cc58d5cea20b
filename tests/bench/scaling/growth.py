"""What each further process brings, on one server or on several."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.bench.contestant import connections
from tests.bench.scaling.load import Moment, Postmaster, Spent, moment, store, workers

WARM = 1.0  # seconds that are not counted


@dataclass(frozen=True, slots=True)
class Place:
    """A database, and where its server keeps its data."""

    dsn: str
    data: Path


@dataclass(frozen=True, slots=True)
class Kind:
    """Workers of so many slots each, whose jobs wait so long."""

    slots: int
    milliseconds: float

    @property
    def most(self) -> float:
        """What one process may do at most, in jobs a second."""
        return self.slots / self.milliseconds * 1000 if self.milliseconds else 30_000


async def run(places: Sequence[Place], kind: Kind, processes: int, seconds: float) -> Spent:
    """Let so many processes, spread over these databases, run jobs for so long."""
    here = [place for _, place in zip(range(processes), _round(places), strict=False)]
    for place in places:
        share = here.count(place)
        await store(place.dsn, int(min(kind.most * share, 30_000) * (seconds + 3 * WARM)))
    async with AsyncExitStack() as stack:
        looking = [
            (await stack.enter_async_context(connections(place.dsn, 1)))[0] for place in places
        ]
        servers = [Postmaster(place.data) for place in places]
        commands = [(place.dsn, kind.slots, kind.milliseconds) for place in here]
        there = await stack.enter_async_context(workers(commands))
        await asyncio.sleep(WARM)
        first = await moment(looking, servers, there)
        await asyncio.sleep(seconds)
        last = await moment(looking, servers, there)
    _check(first, last)
    return Spent.between(first, last)


def _round(places: Sequence[Place]) -> Sequence[Place]:
    return list(places) * 64


def _check(first: Moment, last: Moment) -> None:
    if not last.left:
        raise RuntimeError("there were too few jobs for that time")
    if first.left == last.left:
        raise RuntimeError("no job ran in that time")
