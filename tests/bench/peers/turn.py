"""
What is asked of everybody, in the same words: the measures, over what a player can do.

This runs in the environment of whoever is measured. It knows nothing but the standard library.
Moments are those of one monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

from tests.bench.peers.crowd import gathered, paced
from tests.bench.peers.player import CALLERS, FEW, PATIENCE, WARM, CannotError, Player, Samples

CHUNK = 1_000  # jobs in one call, where it is not measured
SETTLED = 0.01  # seconds after which the end of a job is recorded, and all is idle again


async def fill(player: Player, count: int) -> Samples:
    """Store no-op jobs, however; raises CannotError where they would be forgotten."""
    if forgets := getattr(player, "forgets", ""):
        raise CannotError(forgets)
    async with player.sending(None) as sender:
        for begun in range(0, count, CHUNK):
            await sender.many([""] * min(CHUNK, count - begun))
    return []


async def alone(player: Player, count: int) -> Samples:
    """Store jobs one after the other; gives jobs a second."""
    async with player.sending(1) as sender:
        for _ in range(WARM):
            await sender.one("")
        began = time.monotonic()
        for _ in range(count):
            await sender.one("")
        return [count / (time.monotonic() - began)]


async def together(player: Player, count: int, callers: int = CALLERS) -> Samples:
    """Store jobs one by one from many tasks, and one of each before that; gives jobs a second."""
    async with player.sending(None) as sender:

        async def call(times: int) -> None:
            for _ in range(times):
                await sender.one("")

        await asyncio.gather(*(call(1) for _ in range(callers)))
        each = max(1, count // callers)
        began = time.monotonic()
        await asyncio.gather(*(call(each) for _ in range(callers)))
        return [each * callers / (time.monotonic() - began)]


async def bulk(player: Player, count: int) -> Samples:
    """Store so many jobs in one call; gives jobs a second."""
    async with player.sending(None) as sender:
        await sender.many([""] * WARM)
        began = time.monotonic()
        await sender.many([""] * count)
        return [count / (time.monotonic() - began)]


async def beside(player: Player, count: int, connections: int, insert: str) -> Samples:
    """Insert a row and store a job, in each of so many transactions; gives transactions a second."""
    async with player.beside(connections, insert) as transactions:

        async def call(transaction: Callable[[], Awaitable[None]], times: int) -> None:
            for _ in range(times):
                await transaction()

        await asyncio.gather(*(call(one, 2) for one in transactions))
        each = max(1, count // connections)
        began = time.monotonic()
        await asyncio.gather(*(call(one, each) for one in transactions))
        return [each * connections / (time.monotonic() - began)]


async def start_here(player: Player, count: int) -> Samples:
    """Store one job at a time where it runs; gives the seconds from the call to its start."""
    delays: Samples = []
    started = asyncio.Event()
    sent = 0.0

    async def body(payload: str) -> None:
        delays.append(time.monotonic() - sent)
        started.set()

    async with player.running(FEW, body), player.sending(1) as sender:
        for _ in range(WARM + count):
            started.clear()
            sent = time.monotonic()
            await sender.one("")
            await asyncio.wait_for(started.wait(), PATIENCE)
            await asyncio.sleep(SETTLED)
    return delays[WARM:]


async def mixed(player: Player, seconds: float, callers: int = CALLERS) -> Samples:
    """Each caller stores a job where it runs and waits for its end, again and again; gives jobs a second."""
    async with gathered(player) as crowd:
        return [await crowd.rate(callers, seconds)]


async def start_here_at_half(player: Player, seconds: float) -> Samples:
    """Store jobs where they run at half the pace of `mixed`; gives the seconds to their starts."""
    async with gathered(player) as crowd:
        pace = await crowd.rate(CALLERS, seconds / 2) / 2
        crowd.delays.clear()
        await paced(crowd.sender, pace, seconds)
        await crowd.quiet()
        return crowd.delays[WARM:]


async def send(player: Player, count: int, pause: float) -> Samples:
    """Store jobs that carry the moment of their sending, so many seconds apart."""
    async with player.sending(1) as sender:
        for _ in range(WARM + count):
            await sender.one(str(time.monotonic()))
            await asyncio.sleep(pause)
    return []


async def send_paced(player: Player, pace: float, seconds: float) -> Samples:
    """Store jobs that carry the moment of their sending, so many a second; gives how many."""
    async with player.sending(None) as sender:
        return [await paced(sender, pace, seconds)]


async def late(player: Player, count: int, ahead: float = 2.5, apart: float = 0.02) -> Samples:
    """Store jobs for later where they run; gives how many seconds late each started."""
    lateness: Samples = []
    done = asyncio.Event()

    async def body(payload: str) -> None:
        if not payload:
            return
        lateness.append(time.time() - float(payload))
        if len(lateness) == count:
            done.set()

    async with player.running(FEW, body), player.sending(1) as sender:
        for _ in range(WARM):
            await sender.one("")
        first = time.time() + ahead
        for number in range(count):
            at = first + number * apart
            await sender.later(str(at), at)
        await asyncio.wait_for(done.wait(), ahead + count * apart + PATIENCE)
    return lateness


async def waiting(player: Player, count: int) -> Samples:
    """Run so many jobs that wait; gives the bytes by which the process grew for each."""
    let_go = asyncio.Event()
    all_in = asyncio.Event()
    inside = 0

    async def body(payload: str) -> None:
        nonlocal inside
        if not payload:
            return
        inside += 1
        if inside == count:
            all_in.set()
        await let_go.wait()

    async with player.running(count + WARM, body), player.sending(1) as sender:
        for _ in range(WARM):
            await sender.one("")
        await asyncio.sleep(0.5)
        before = _resident()
        for begun in range(0, count, CHUNK):
            await sender.many(["wait"] * min(CHUNK, count - begun))
        await asyncio.wait_for(all_in.wait(), PATIENCE)
        grown = _resident() - before
        let_go.set()
    return [grown / count]


TURNS: dict[str, Callable[..., Awaitable[Samples]]] = {
    turn.__name__: turn
    for turn in (
        fill, alone, together, bulk, beside, start_here, mixed, start_here_at_half, send, send_paced, late, waiting,
    )
}  # fmt: skip


def _resident() -> int:
    """Tell the memory of this process, in bytes."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123, no loop is blocked by it
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
