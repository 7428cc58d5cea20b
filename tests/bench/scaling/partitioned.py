"""
The hot table cut by queue, beside the one that we have: what each statement takes.

The cut table is made for this alone. Its key must hold the queue, so an id is no longer known to be there once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg

from asyncjobs import Jobs
from asyncjobs.postgres.session import SETTINGS
from asyncjobs.postgres.statements import Statements
from tests.bench.scaling.load import SAY

QUEUES = 16
JOBS = 100  # in each claim and end
ME = 1

OWN = Statements("asyncjobs.postgres", "asyncjobs")
NOWHERE: tuple[list[Any], ...] = ([], [], [], [], [])
"""No stretches: see claim.sql."""


@dataclass(frozen=True, slots=True)
class Took:
    """Medians, in seconds for 100 jobs."""

    store: float
    claim_one: float  # of one queue
    claim_all: float  # of all of them
    end: float


async def measure(dsn: str, *, cut: bool, repeat: int) -> Took:
    """Store, claim and end, again and again, in a database of its own."""
    await _prepare(dsn)
    plain = {name: value for name, value in SETTINGS.items() if not name.startswith("tcp_")}
    connection = await asyncpg.connect(dsn, server_settings={**plain, "synchronous_commit": "off"})
    try:
        if cut:
            await connection.execute(SAY["cut_by_queue"])
            await connection.execute(SAY["cut"])
        return await _measured(connection, repeat)
    finally:
        await connection.close()


async def _prepare(dsn: str) -> None:
    async with Jobs(dsn, migrate=True).running():
        pass


async def _measured(connection: asyncpg.Connection[Any], repeat: int) -> Took:
    queues = [f"q{number}" for number in range(QUEUES)]
    store = await connection.prepare(OWN["enqueue"])
    claim, end = await connection.prepare(OWN["claim"]), await connection.prepare(OWN["finish"])
    ids = await connection.prepare(SAY["ids"])
    took: dict[str, list[float]] = {"store": [], "claim_one": [], "claim_all": [], "end": []}

    async def timed(name: str, *asked: Any) -> Any:
        statement: Callable[..., Any] = asked[0].fetch
        began = time.perf_counter()
        rows = await statement(*asked[1:])
        took[name].append(time.perf_counter() - began)
        return rows

    async def stored(count: int) -> None:
        new = [row["id"] for row in await ids.fetch(count)]
        spread = [queues[number % QUEUES] for number in range(count)]
        await timed("store", store, new, ["app.wait"], spread, [0], [], [0.0], ["{}"] * count, [])

    for _ in range(2 * QUEUES):
        await stored(JOBS)
    for turn in range(repeat):
        await stored(JOBS)
        served = [queues[turn % QUEUES]] if turn % 2 else queues
        name = "claim_one" if turn % 2 else "claim_all"
        rows = await timed(
            name, claim, served, [JOBS] * len(served), JOBS, ME, [], 1, 1, 2, *NOWHERE
        )
        ours = [(row["id"], row["fence"]) for row in rows if row["id"]]
        await timed(
            "end", end, ME, [id for id, _ in ours], [fence for _, fence in ours], ["succeeded"],
            [0.001] * len(ours), [], [7], [],
        )  # fmt: skip
    per = {name: statistics.median(times[len(times) // 5 :]) for name, times in took.items()}
    return Took(**per)
