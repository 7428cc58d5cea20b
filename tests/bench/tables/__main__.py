"""`python -m tests.bench.tables`: large tables, long transactions, and what a job costs in the log."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncjobs import embedded
from tests.bench.tables import cost, crowded, steady
from tests.bench.tables.load import eyes, prepare

SETTINGS: dict[str, embedded.Setting] = {
    "fsync": True,
    "synchronous_commit": True,
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "30min",
    "max_connections": 200,
}
PARTS = ("crowded", "pinned", "steady", "cost")
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
    seconds: float = 600.0
    aged: int = 0  # jobs whose dead rows are there from the beginning
    costed: int = 20_000
    alone: int = 500


QUICK = Sizes(
    crowded.Crowd(200_000, 50_000, 50_000), drained=4_000, repeat=3, due=100, seconds=20.0,
    aged=100_000, costed=4_000, alone=100,
)  # fmt: skip


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.tables", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, in two minutes or so")
    parser.add_argument("--only", action="append", choices=PARTS, help="one part")
    parser.add_argument("--seconds", type=float, help="of the steady load (600, quick: 20)")
    parser.add_argument(
        "--aged",
        type=int,
        help="begin pinned with the dead rows of so many jobs (0, quick: 100000)",
    )
    parser.add_argument(
        "--waldump", type=Path, help="pg_waldump of this Postgres (beside its other binaries)"
    )
    parser.add_argument(
        "--json", type=Path, default=Path("build/tables.json"), metavar="PATH", help="%(default)s"
    )
    return parser.parse_args()


def main() -> None:
    """Measure on an embedded Postgres of its own."""
    said = options()
    sizes = QUICK if said.quick else Sizes()
    told = {name: getattr(said, name) for name in ("seconds", "aged")}
    sizes = replace(sizes, **{name: value for name, value in told.items() if value is not None})
    home = embedded.default_home().parent / "bench-tables"
    with embedded.start(home, settings=SETTINGS) as server:
        waldump = said.waldump or server.binaries / "pg_waldump"
        found = asyncio.run(measured(server, sizes, said.only or PARTS, waldump))
    said.json.parent.mkdir(parents=True, exist_ok=True)
    said.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show(f"\nAll figures are in {said.json}.")


async def measured(
    server: embedded.Server, sizes: Sizes, only: Any, waldump: Path
) -> dict[str, Any]:
    found: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    found["settings"], found["sizes"] = SETTINGS, asdict(sizes)
    if "cost" in only:
        found["cost"] = await _cost(server, sizes, waldump)
    for part in ("pinned", "steady"):
        if part in only:
            found[part] = await _steady(server, sizes, pinned=part == "pinned")
    if "crowded" in only:
        found["crowded"] = await _crowded(server, sizes)
    return found


async def _cost(server: embedded.Server, sizes: Sizes, waldump: Path) -> list[dict[str, Any]]:
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
    show(f"{RATE} jobs/s for {sizes.seconds:g} s" + (", xmin pinned" if pinned else ""))
    async with databases(server, 1) as [dsn]:
        aged = sizes.aged if pinned else 0
        moments = await steady.run(dsn, RATE, sizes.seconds, STRETCHES, pinned=pinned, aged=aged)
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


def show(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
