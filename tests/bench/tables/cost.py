"""
What one small job costs: bytes of log by statement and by cause, transactions, commits.

Three shapes of load, because batches share what a statement costs: jobs stored in bulk by another process and
drained at 100 slots (each is claimed); stored by 50 callers where they run, while they run (most start directly);
one after the other, each when the one before has ended.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from tests.bench.tables import wal
from tests.bench.tables.load import SAY, WITHIN, Load, eyes
from tests.moments import until_true

SHAPES = ("in bulk", "50 callers", "one by one")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job cost, on the average."""

    shape: str
    keeps: bool  # whether the task keeps a history
    wal: float  # bytes, headers of pages and images of pages included
    images: float  # bytes of it: whole pages, after a checkpoint
    commits: float
    transactions: float  # each statement is one
    by_statement: dict[str, dict[str, float]]  # bytes, by statement and cause


async def measure(dsn: str, waldump: Path, shape: str, count: int, *, keeps: bool) -> Cost:
    """Run so many jobs in this shape and read the log."""
    load = Load(dsn, keeps=keeps)
    async with eyes(dsn) as look:
        await look.execute("vacuum")
        await look.execute("checkpoint")
        before, start = await look.fetchval(SAY["transactions"]), await wal.place(look)
        await _run(load, shape, count)
        await look.execute(SAY["flush"])
        log = await wal.read(look, waldump, start, await wal.place(look))
        after = await look.fetchval(SAY["transactions"])
    causes = {
        statement: {cause: size / count for cause, size in found.most_common()}
        for statement, found in log.by_statement.items()
    }
    return Cost(
        shape,
        keeps,
        log.written / count,
        sum(record.image for record in log.records) / count,
        log.commits / count,
        (after - before) / count,
        causes,
    )


async def _run(load: Load, shape: str, count: int) -> None:
    if shape == "in bulk":
        await load.drain(count)
        return
    callers = 50 if shape == "50 callers" else 1
    small = load.jobs.tasks["app.small"]

    async def call() -> None:
        for number in range(count // callers):
            await small.enqueue(number)
            while callers == 1 and load.ran <= number:
                await asyncio.sleep(0)
            if callers == 1:
                await load.recorded()

    async with load.running():
        await asyncio.gather(*(call() for _ in range(callers)))
        await until_true(lambda: load.ran == count, within=WITHIN)
