"""What is measured, how much of it, and by whom it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.bench.contestant import Contestant, Kind
from tests.bench.court import Court
from tests.bench.peers.player import CALLERS, FEW, MANY, WARM, Samples

Found = dict[str, Samples]
"""By series: samples."""

LOOKS_AT_MANY = 0.25  # seconds between two looks while several processes run
NAPS = 0.05  # seconds between two looks for what another process has run
GIVEN_UP = 60.0  # seconds for what does not come


Who = dict[Kind, tuple[str, ...] | None]
"""Who takes part: of each kind these names, or all."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything a sample has. Peers get less of what takes them long."""

    drained: int = 20_000
    drained_by_peers: int = 3_000
    crowded: int = 40_000
    crowded_by_peers: int = 6_000
    alone: int = 1_000
    together: int = 10_000
    together_by_peers: int = 2_500
    bulk: int = 10_000
    beside: int = 6_400
    beside_by_peers: int = 1_600
    here: int = 200
    across: int = 60
    pause: float = 0.1  # seconds between jobs for another process, which is idle then
    seconds: float = 2.0  # of a load
    late: int = 60
    cost: int = 5_000
    cost_by_peers: int = 1_000
    counted: int = 100
    waiting: int = 2_000
    processes: int = 16

    def of(self, contestant: Contestant, what: str) -> int:
        """Give one, or what a peer gets of it."""
        least: int = getattr(self, what)
        if contestant.kind in ("peer", "redis"):
            least = getattr(self, f"{what}_by_peers", least)
        return least if contestant.share == 1 else max(CALLERS, int(least * contestant.share))


QUICK = Sizes(drained=15_000, alone=1_500, here=100)


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing to do, by each in turn."""

    name: str
    run: Callable[[Court, Contestant, Sizes], Awaitable[Found]]
    who: Who


LOOPS = ("loop", "loop on uvloop")
FLOWING = ("loop, flowing",)
EVERYBODY: Who = {
    "ours": None, "limit": LOOPS, "peer": None, "redis": None
}  # fmt: skip
ON_POSTGRES: Who = {"ours": None, "limit": LOOPS, "peer": None}


def drain(name: str, slots: int) -> Measure:
    """One process runs what is stored, until the last end is recorded."""

    async def run(court: Court, contestant: Contestant, sizes: Sizes) -> Found:
        count = sizes.of(contestant, "drained")
        remote = await court.of(contestant)
        await remote.ask("fill", count=count)
        await remote.ask("work", slots=slots)
        first, cpu = await remote.ask("wait", count=count)
        ended = await court.emptied(contestant)
        await remote.ask("rest")
        return {name: [count / (ended - first)], f"{name}-cpu": [cpu / count]}

    return Measure(name, run, {**EVERYBODY, "limit": (*LOOPS, "bare loop")})


def crowd(name: str, most: int, slots: int) -> Measure:
    """Several processes do, from the moment at which the last of them has begun."""

    async def run(court: Court, contestant: Contestant, sizes: Sizes) -> Found:
        count = sizes.of(contestant, "crowded")
        processes = min(most, sizes.processes)
        await (await court.of(contestant)).ask("fill", count=count)
        async with court.others(contestant, processes) as remotes:
            await asyncio.gather(*(remote.ask("work", slots=slots) for remote in remotes))
            await court.emptied(contestant, LOOKS_AT_MANY)
            told = [await remote.ask("told") for remote in remotes]
            await asyncio.gather(*(remote.ask("rest") for remote in remotes))
        return {name: [rate_of([moments[::2] for moments in told], count)]}

    return Measure(name, run, ON_POSTGRES)


def rate_of(moments: list[list[float]], count: int) -> float:
    """
    Give the jobs a second from when the last process had begun, by the moments at which each ran one.

    Where that was when all was nearly over, all of them count. Raises RuntimeError where jobs were not run, or twice.
    """
    every = sorted(moment for ran in moments for moment in ran)
    if len(every) != count:
        raise RuntimeError(f"of {count} jobs {len(every)} ran")
    all_there = max(ran[0] for ran in moments if ran)
    after = [moment for moment in every if moment > all_there]
    if len(after) < count / 10:
        all_there, after = every[0], every[1:]
    return len(after) / (every[-1] - all_there)


def turn(name: str, what: str, size: str | None = None, loops: tuple[str, ...] = LOOPS) -> Measure:
    """Something that one process does alone."""

    async def run(court: Court, contestant: Contestant, sizes: Sizes) -> Found:
        asked = {"count": sizes.of(contestant, size)} if size else {"seconds": sizes.seconds}
        return {name: await (await court.of(contestant)).ask(what, **asked)}

    return Measure(name, run, {**EVERYBODY, "limit": loops})


def beside(name: str, connections: int) -> Measure:
    """Jobs in callers' transactions."""

    async def run(court: Court, contestant: Contestant, sizes: Sizes) -> Found:
        remote = await court.of(contestant)
        insert = court.statement("order_insert")
        await court.execute("order_clear")
        return {
            name: await remote.ask(
                "beside",
                count=sizes.of(contestant, "beside"),
                connections=connections,
                insert=insert,
            )
        }

    return Measure(
        name, run, {**ON_POSTGRES, "limit": ("loop", "loop, silent", "our row, by hand")}
    )


async def _across(court: Court, contestant: Contestant, sizes: Sizes) -> Found:
    sender = await court.of(contestant)
    async with court.others(contestant, 1) as [worker]:
        await worker.ask("work", slots=FEW)
        await sender.ask("send", count=sizes.across, pause=sizes.pause)
        await worker.ask("wait", count=WARM + sizes.across)
        delays = (await worker.ask("told"))[1::2]
        await worker.ask("rest")
    return {"start-across": delays[WARM:]}


async def _across_at_half(court: Court, contestant: Contestant, sizes: Sizes) -> Found:
    sender = await court.of(contestant)
    [most] = await sender.ask("mixed", seconds=sizes.seconds / 2)
    await court.clear(contestant)
    async with court.others(contestant, 1) as [worker]:
        await worker.ask("work", slots=MANY)
        [sent] = await sender.ask("send_paced", pace=most / 2, seconds=sizes.seconds)
        await worker.ask("wait", count=int(sent))
        delays = (await worker.ask("told"))[1::2]
        await worker.ask("rest")
    return {"start-across-half": delays[WARM:]}


async def _cost(court: Court, contestant: Contestant, sizes: Sizes) -> Found:
    remote = await court.of(contestant)
    cost = sizes.of(contestant, "cost")
    wal, commits = await court.spent()
    await remote.ask("together", count=cost, callers=CALLERS)
    count = _together(cost)
    await remote.ask("work", slots=MANY)
    _, cpu = await remote.ask("wait", count=count)
    await court.emptied(contestant)
    await remote.ask("rest")
    then_wal, then_commits = await court.spent()
    return {
        "wal": [(then_wal - wal) / count],
        "commits": [(then_commits - commits) / count],
        "cpu": [cpu / count],
    }


def _together(count: int) -> int:
    """Tell how many jobs the turn of this name stores, those to warm up with it."""
    return max(1, count // CALLERS) * CALLERS + CALLERS


async def _statements(court: Court, contestant: Contestant, sizes: Sizes) -> Found:
    counted: list[int] = []
    cost = sizes.of(contestant, "cost")
    remote = await court.of(contestant)
    async with court.counted(counted):
        await remote.ask("start_here", count=sizes.counted)
    await court.clear(contestant)
    async with court.counted(counted):
        await remote.ask("together", count=cost, callers=CALLERS)
        await remote.ask("work", slots=MANY)
        await remote.ask("wait", count=_together(cost))
        await court.emptied(contestant)
        await remote.ask("rest")
    if not counted:
        return {}
    idle, busy = counted
    return {
        "statements-idle": [idle / (sizes.counted + WARM)],
        "statements-busy": [busy / _together(cost)],
    }


async def _memory(court: Court, contestant: Contestant, sizes: Sizes) -> Found:
    async with court.others(contestant, 1) as [remote]:
        return {"memory": await remote.ask("waiting", count=sizes.waiting)}


MEASURES = (
    drain("drain-10", FEW),
    drain("drain-100", MANY),
    crowd("drain-2-processes", 2, MANY),
    crowd("drain-16-processes", 16, 4),
    turn("enqueue-alone", "alone", "alone"),
    turn(
        "enqueue-together",
        "together",
        "together",
        (*LOOPS, "loop, silent", "loop, silent, 50 connections"),
    ),
    turn("enqueue-bulk", "bulk", "bulk"),
    beside("beside-16", 16),
    beside("beside-64", 64),
    turn("mixed", "mixed", None, FLOWING),
    turn("start-here", "start_here", "here"),
    turn("start-here-half", "start_here_at_half", None, FLOWING),
    Measure("start-across", _across, EVERYBODY),
    Measure("start-across-half", _across_at_half, {**EVERYBODY, "limit": FLOWING}),
    turn("late", "late", "late", ()),
    Measure("cost", _cost, ON_POSTGRES),
    Measure("statements", _statements, {"ours": ("ours",), "limit": ("loop",), "peer": None}),
    Measure("memory", _memory, {**EVERYBODY, "limit": FLOWING}),
)

QUICKLY = (
    "drain-10",
    "drain-100",
    "enqueue-alone",
    "enqueue-together",
    "enqueue-bulk",
    "start-here",
)
