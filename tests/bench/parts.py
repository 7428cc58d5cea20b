"""
The parts of a run that no contestant takes turns at: large tables, the log, a web app and its guests.

Each leaves its figures among the samples, as series of "ours" and of whoever else takes part, and all that it saw in the details.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from asyncjobs import embedded
from tests.bench.course import Notes, Samples
from tests.bench.environments import Peer
from tests.bench.guest import measure as guests
from tests.bench.guest import report as of_guests
from tests.bench.server import database
from tests.bench.tables import measure as tables
from tests.bench.tables import series
from tests.bench.terminal import show

HOUR = "steady"
ROOMY = "ours-100-slots"
LOOP = "asyncio"  # of guests: an app has that of its server, and a peer may not choose


@dataclass(frozen=True, slots=True)
class Run:
    """Where, beside whom, how often, how much, and where what is found goes."""

    server: embedded.Server
    build: Path
    repeat: int
    peers: list[Peer]
    skipped: dict[str, str]
    notes: Notes
    tables: tables.Sizes = field(default_factory=tables.Sizes)
    guests: guests.Sizes = field(default_factory=guests.Sizes)

    def note(self, part: str, samples: Samples, details: Any) -> None:
        """Keep what a part has found."""
        for one, by_name in samples.items():
            self.notes.samples.setdefault(one, {}).update(by_name)
        self.notes.details[part] = details


async def run(this: Run, only: Iterable[str]) -> None:
    """Go through those that are wanted."""
    wanted = set(only)
    for name, part in PARTS.items():
        if name in wanted:
            show(f"\n{name}:")
            await part(this)


def of_tables(name: str) -> Callable[[Run], Awaitable[None]]:
    async def part(this: Run) -> None:
        waldump = this.server.binaries / "pg_waldump"
        if name == "log" and not waldump.exists():
            this.skipped["log"] = f"there is no {waldump.name} beside this Postgres"
            return
        sizes = replace(this.tables, repeat=this.repeat)
        found = await tables.measured(this.server, sizes, [name], waldump)
        this.note(name, series.of(found), found)

    return part


def of_guest(name: str, loads: tuple[str, ...]) -> Callable[[Run], Awaitable[None]]:
    async def part(this: Run) -> None:
        there = guests.of_peers(this.peers, this.build / "bench-peers", this.skipped)
        found, repeat = guests.Notes(), this.repeat
        own = ["ours"] if name == guests.IDLE else ["ours", ROOMY]
        try:
            # Of its own: some of the others cannot make their tables twice.
            async with database(this.server, name) as dsn:
                await guests.measure(
                    this.server,
                    dsn,
                    this.guests,
                    repeat,
                    [*own, *there],
                    loads,
                    LOOP,
                    found,
                )
        finally:
            for who, by_load in found.remarks.items():
                remarks = this.notes.remarks.setdefault(who, {})
                remarks |= {f"{name}, {load}": why for load, why in by_load.items()}
            told = guests.summed_up(found, this.guests, repeat, LOOP)
            this.note(name, of_guests.series(found.samples, found.idles), told)

    return part


PARTS: dict[str, Callable[[Run], Awaitable[None]]] = {
    **{name: of_tables(name) for name in ("crowded", "pinned", "log", HOUR)},
    "guest": of_guest("guest", guests.LOADS),
    guests.IDLE: of_guest(guests.IDLE, (guests.IDLE,)),
}
"""By name, in the order of a run."""
