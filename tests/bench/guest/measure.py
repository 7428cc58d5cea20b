"""Guests by turns: under each kind of jobs, and when there are none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from asyncjobs import embedded
from tests.bench.contestant import connections
from tests.bench.environments import NotHereError, Peer, peers, python_of
from tests.bench.guest import report
from tests.bench.guest.idle import SQL, idle
from tests.bench.guest.peer import HOST
from tests.bench.guest.stay import PYTHONS, Windows, keep, stay
from tests.bench.guest.work import KINDS, MIX
from tests.bench.terminal import show, told

IDLE = "idle"
EVERYTHING = "everything"
LOADS = (*KINDS, MIX)
STAYS_WITHIN = 180.0  # seconds


LONG = Windows(alone=6.0, beside=8.0, warm=1.0)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long, how often, how much."""

    rate: float = 200.0  # requests a second
    windows: Windows = LONG
    repeat: int = 3
    settled: float = (
        45.0  # seconds after the start: what is done once is over; we look for 40 what may be ours
    )
    idle: float = 60.0  # seconds
    noops: int = 600_000
    others: int = 50_000
    of_peers: int = 80_000  # at most, as they take longer to store them
    of_peers_slow: int = 10_000  # of what takes a job some milliseconds


QUICK = Sizes(windows=Windows(3.0, 5.0, 1.0), repeat=1, idle=15.0, noops=400_000, others=20_000, of_peers=50_000)  # fmt: skip


def of_peers(wanted: Sequence[Peer], where: Path, skipped: dict[str, str]) -> list[str]:
    """Make the environments of those whose jobs lie in Postgres; gives who could be had, and notes who could not."""
    found = []
    for peer in wanted:
        if peer.server != "postgres":
            continue
        try:
            whole = replace(peer, requires=(*peer.requires, *HOST))
            PYTHONS[peer.name] = str(python_of(whole, where))
        except NotHereError as error:
            skipped[f"{peer.name} as a guest"] = str(error)
        else:
            found.append(peer.name)
    return found


@dataclass(frozen=True, slots=True)
class Notes:
    """What was found by now; one who is stopped keeps it."""

    samples: dict[str, dict[str, list[dict[str, Any]]]] = field(default_factory=dict)
    """By guest and load: a stay for each repeat."""
    idles: dict[str, dict[str, Any]] = field(default_factory=dict)
    remarks: dict[str, dict[str, str]] = field(default_factory=dict)
    """By guest and load: why there is nothing."""


async def measure(
    server: embedded.Server,
    dsn: str,
    sizes: Sizes,
    repeat: int,
    guests: Sequence[str],
    loads: Sequence[str],
    loop: str,
    notes: Notes,
) -> None:
    """
    Let the guests take turns, kind by kind, in a database of their own.

    A peer that falls is told of among the remarks, and the others go on.
    """
    remarks = notes.remarks

    async def tried(guest: str, what: str, doing: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(STAYS_WITHIN):
                return await doing
        except (RuntimeError, ValueError, OSError) as error:  # TimeoutError is an OSError
            if guest not in peers():
                raise
            remarks.setdefault(guest, {})[what] = f"failed: {str(error) or 'not done in time'}"

    async with connections(dsn, 1) as [connection]:
        await connection.execute(SQL["articles"])
    for guest in guests:
        await tried(guest, EVERYTHING, keep(guest, dsn, "prepare"))
    for number, load, guest in product(range(repeat), loads, guests):
        if load == IDLE or remarks.get(guest, {}).keys() & {load, EVERYTHING}:
            continue
        told(f"{number + 1}/{repeat} {load}: {guest}")
        count = jobs_for(guest, load, sizes)
        doing = stay(guest, dsn, loop, load, count, sizes.rate, sizes.windows)
        if found := await tried(guest, load, doing):
            notes.samples.setdefault(guest, {}).setdefault(load, []).append(found)
    for guest in dict.fromkeys(["none", *guests]) if IDLE in loads else ():
        if EVERYTHING not in remarks.get(guest, {}):
            told(f"{IDLE}: {guest}")
            doing = idle(guest, dsn, server.log, loop, sizes.settled, sizes.idle)
            if found := await tried(guest, IDLE, doing):
                notes.idles[guest] = found


def summed_up(notes: Notes, sizes: Sizes, repeat: int, loop: str) -> dict[str, Any]:
    """Print what was found, and give it without its samples."""
    told("")
    lines = report.lines(notes.samples)
    if lines:
        show(report.table(lines))
    if "none" in notes.idles:
        show(report.idle_table(notes.idles))
    return {
        "sizes": asdict(sizes),
        "repeat": repeat,
        "loop": loop,
        "lines": lines,
        "idle": notes.idles,
        "remarks": notes.remarks,
    }


def jobs_for(guest: str, load: str, sizes: Sizes) -> int:
    """Tell how many jobs last for the whole of a stay."""
    peer = peers().get(guest)
    if peer is None:
        return sizes.noops if load == "noop" else sizes.others
    if load not in ("noop", "wait"):  # one of them has no cap on jobs that wait
        return sizes.of_peers_slow
    return max(sizes.of_peers // 4, int(sizes.of_peers * peer.share))
