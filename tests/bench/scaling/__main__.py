"""`python -m tests.bench.scaling`: from one process to many, on one server and on two."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncjobs import embedded
from tests.bench.contestant import connections
from tests.bench.loops import quickest
from tests.bench.scaling import growth, idle, notify, partitioned
from tests.bench.scaling.growth import Kind, Place
from tests.bench.scaling.load import Spent
from tests.bench.server import SETTINGS
from tests.bench.terminal import show

PARTS = ("growth", "servers", "idle", "notify", "cut")
WAITING = Kind(slots=10, milliseconds=50)
NOTHING = Kind(slots=100, milliseconds=0)
CONNECTIONS = 64


def main() -> None:
    """Measure on embedded servers of its own."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scaling", description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="one part")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each figure (%(default)s)")
    parser.add_argument(
        "--processes", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32], help="how many (1 to 32)"
    )
    parser.add_argument(
        "--json", type=Path, default=Path("build/scaling.json"), metavar="PATH", help="%(default)s"
    )
    said = parser.parse_args()
    found: dict[str, Any] = {"date": datetime.now(UTC).isoformat(timespec="seconds")}
    found["loop"] = quickest()
    show(f"workers on {quickest()}")
    with servers(2 if "servers" in (said.only or PARTS) else 1) as started:
        for part in said.only or PARTS:
            found[part] = asyncio.run(MEASURES[part](started, said.seconds, sorted(said.processes)))
    said.json.parent.mkdir(parents=True, exist_ok=True)
    said.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show(f"\nAll figures are in {said.json}.")


@contextmanager
def servers(count: int) -> Iterator[list[embedded.Server]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                embedded.start(
                    embedded.default_home().parent / f"bench-scaling-{number}", settings=SETTINGS
                )
            )
            for number in range(count)
        ]


@asynccontextmanager
async def place(server: embedded.Server, name: str) -> AsyncIterator[Place]:
    """Make a database there, and drop it."""
    name = f"scaling_{name}_{os.getpid()}"
    async with connections(server.dsn, 1) as [connection]:
        await connection.execute(f"create database {name}")
        try:
            yield Place(server.dsn_of(name), server.home / str(server.version) / "data")
        finally:
            await connection.execute(f"drop database {name} with (force)")


async def _growth(started: list[embedded.Server], seconds: float, counts: list[int]) -> Any:
    found = []
    for kind in (WAITING, NOTHING):
        show(f"{kind.slots} slots a process, jobs that wait {kind.milliseconds:g} ms:")
        for count in counts if kind.milliseconds else [one for one in counts if one <= 4]:
            async with place(started[0], "growth") as here:
                spent = await growth.run([here], kind, count, seconds)
            found.append({"kind": asdict(kind), "processes": count, **asdict(spent)})
            show(f"  {count:2} processes: {told(spent)}")
    return found


async def _servers(started: list[embedded.Server], seconds: float, _: list[int]) -> Any:
    found = []
    for count in (1, 2):
        async with place(started[0], "one") as one, place(started[1], "two") as two:
            spent = await growth.run([one, two][:count], NOTHING, 2, seconds)
        found.append({"servers": count, "processes": 2, **asdict(spent)})
        show(f"two processes on {count} server(s): {told(spent)}")
    return found


async def _idle(started: list[embedded.Server], seconds: float, counts: list[int]) -> Any:
    found = []
    for count in counts:
        async with place(started[0], "idle") as here:
            each = await idle.run(here, count, max(30.0, seconds), 50)
        found.append(asdict(each))
        show(
            f"{count:2} idle processes: {each.connections} connections,"
            f" {each.memory / 1e6:.1f} MB of the server each, {each.server * 1000:.2f} ms/s of its"
            f" CPU, {each.commits * 60:.1f} commits a minute; a NOTIFY takes it {each.notified * 1e6:.0f} µs"
        )
    return found


async def _notify(started: list[embedded.Server], seconds: float, _: list[int]) -> Any:
    rates: dict[str, list[float]] = {"none": [], "some": [], "each": []}
    async with place(started[0], "notify") as here:
        for _turn in range(3):
            for name, found in rates.items():
                found.append(
                    await notify.rate(
                        here.dsn, CONNECTIONS, seconds, each=name == "each", some=name == "some"
                    )
                )
    middle = {name: sorted(found)[1] for name, found in rates.items()}
    show(
        f"transactions a second from {CONNECTIONS} connections: {middle['none']:.0f} without a NOTIFY,"
        f" {middle['some']:.0f} beside 20 NOTIFYs a second, {middle['each']:.0f} with one in each"
    )
    return rates


async def _cut(started: list[embedded.Server], seconds: float, _: list[int]) -> Any:
    found = {}
    for cut in (False, True, False, True):
        async with place(started[0], "cut") as here:
            took = await partitioned.measure(here.dsn, cut=cut, repeat=int(60 * seconds))
        found["cut" if cut else "in one"] = asdict(took)
        show(
            f"{'cut by queue' if cut else 'in one piece'}, {partitioned.QUEUES} queues, for"
            f" {partitioned.JOBS} jobs: stored in {took.store * 1000:.2f} ms, claimed of one queue in"
            f" {took.claim_one * 1000:.2f}, of all in {took.claim_all * 1000:.2f}, ended in"
            f" {took.end * 1000:.2f}"
        )
    return found


MEASURES = {
    "growth": _growth,
    "servers": _servers,
    "idle": _idle,
    "notify": _notify,
    "cut": _cut,
}


def told(spent: Spent) -> str:
    return (
        f"{spent.rate:,.0f} jobs/s; a job takes Postgres {spent.server * 1e6:.0f} µs, its process"
        f" {spent.workers * 1e6:.0f} µs; {spent.wal:.0f} bytes of log, {spent.commits:.3f} commits"
    )


if __name__ == "__main__":
    main()
