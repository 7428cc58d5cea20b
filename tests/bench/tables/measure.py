"""Large tables, long transactions, and what a job costs in the log: part by part."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncjobs import embedded
from tests.bench.tables import cost, crowded, steady
from tests.bench.tables.load import eyes, prepare
from tests.bench.terminal import show

PARTS = ("log", "pinned", "steady", "crowded")
QUARTER = tuple(part for part in PARTS if part != "steady")
"""All but the one that takes an hour."""
RATE = 800  # jobs/s
STRETCHES = 10
MANY = crowded.Crowd()


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    crowd: crowded.Crowd = MANY
    drained: int = 20_000
    repeat: int = 5
    due: int = 500
    gap: float = 0.02  # seconds between two jobs that are due
    pinned: float = 600.0  # seconds
    steady: float = 3600.0  # seconds
    aged: int = 0  # jobs whose dead rows are there from the beginning
    costed: int = 20_000
    alone: int = 500


QUICK = Sizes(
    crowded.Crowd(200_000, 50_000, 50_000), drained=4_000, repeat=3, due=100, pinned=20.0,
    steady=20.0,
    aged=100_000, costed=4_000, alone=100,
)  # fmt: skip


async def measured(
    server: embedded.Server, sizes: Sizes, only: Collection[str], waldump: Path
) -> dict[str, Any]:
    """Measure these parts, in databases of their own; prints what comes out, and gives all of it."""
    found: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    found["sizes"] = asdict(sizes)
    if "log" in only:
        found["log"] = await _log(server, sizes, waldump)
    for part in ("pinned", "steady"):
        if part in only:
            found[part] = await _steady(server, sizes, pinned=part == "pinned")
    if "crowded" in only:
        found["crowded"] = await _crowded(server, sizes)
    return found


async def _log(server: embedded.Server, sizes: Sizes, waldump: Path) -> list[dict[str, Any]]:
    found: list[cost.Cost] = []
    show("a job's log: bytes, of them images of pages; commits; transactions")
    for shape in cost.SHAPES:
        for keeps in (True, False):
            count = sizes.alone if shape == "one by one" else sizes.costed
            async with databases(server, 1) as [dsn]:
                each = await cost.measure(dsn, waldump, shape, count, keeps=keeps)
            found.append(each)
            show(
                f"  {shape}{'' if keeps else ', keeps nothing'}: {each.wal:.0f}, {each.images:.0f};"
                f" {each.commits:.2f}; {each.transactions:.2f}"
            )
            for statement, causes in each.by_statement.items():
                show(f"    {statement} {sum(causes.values()):.0f}: {_largest(causes)}")
    return [asdict(each) for each in found]


def _largest(causes: dict[str, float]) -> str:
    return ", ".join(f"{cause} {size:.0f}" for cause, size in causes.items() if size >= 5)


async def _steady(server: embedded.Server, sizes: Sizes, *, pinned: bool) -> list[dict[str, Any]]:
    seconds = sizes.pinned if pinned else sizes.steady
    show(f"{RATE} jobs/s for {seconds:g} s" + (", xmin pinned" if pinned else ""))
    async with databases(server, 1) as [dsn]:
        aged = sizes.aged if pinned else 0
        moments = await steady.run(dsn, RATE, seconds, STRETCHES, pinned=pinned, aged=aged)
    for each in moments:
        show(
            f"  {each.at:4.0f} s: {each.rate:.0f}/s, backlog {each.backlog}, claim"
            f" {each.claim_p50 * 1000:.1f} ms (p99 {each.claim_p99 * 1000:.1f}), dead {each.dead},"
            f" table {each.table >> 20} MB, indexes {each.indexes >> 20} MB, archive {each.archive >> 20} MB"
        )
    return [asdict(each) for each in moments]


async def _crowded(server: embedded.Server, sizes: Sizes) -> dict[str, Any]:
    async with databases(server, 2) as [empty, full]:
        await crowded.fill(full, sizes.crowd)
        rates = await crowded.drains(empty, full, sizes.drained, sizes.repeat)
        late = await crowded.lateness(full, sizes.due, sizes.gap)
    ratios = sorted(theirs / alone for alone, theirs in rates)
    p50, p99 = late[len(late) // 2], late[-1 - len(late) // 100]
    show(
        f"crowded: {ratios[len(ratios) // 2]:.2f} of empty ({ratios[0]:.2f}-{ratios[-1]:.2f});"
        f" due jobs start late by {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms"
    )
    return {"rates": rates, "ratios": ratios, "late": late}


@asynccontextmanager
async def databases(server: embedded.Server, count: int) -> AsyncIterator[list[str]]:
    """Make so many databases with our tables, and drop them."""
    async with AsyncExitStack() as stack:
        administrator = await stack.enter_async_context(eyes(server.dsn))
        found = list[str]()
        for number in range(count):
            name = f"tables_{os.getpid()}_{number}"
            await administrator.execute(f"create database {name}")
            stack.push_async_callback(administrator.execute, f"drop database {name} with (force)")
            found.append(server.dsn_of(name))
            await prepare(found[-1])
        yield found
