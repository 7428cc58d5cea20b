"""What processes that have nothing to do cost a server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tests.bench.contestant import connections
from tests.bench.scaling.growth import Place
from tests.bench.scaling.load import SAY, Postmaster, store, workers

SETTLED = 15.0  # seconds after which whoever has just come is quiet


@dataclass(frozen=True, slots=True)
class Idle:
    """By so many processes: connections, memory of theirs on the server, and what a second takes."""

    processes: int
    connections: int
    memory: float  # bytes a process
    server: float  # CPU seconds a second
    commits: float  # a second
    notified: float  # CPU seconds of the server for one NOTIFY that all hear


async def run(place: Place, processes: int, seconds: float, notifies: int) -> Idle:
    """Let so many processes be there, for so long."""
    await store(place.dsn, 0)  # the tables alone
    server = Postmaster(place.data)
    before = server.memory()
    async with workers([(place.dsn, 10, 0)] * processes), connections(place.dsn, 1) as [looking]:
        await asyncio.sleep(SETTLED)
        memory = (server.memory() - before) / processes
        begun, commits = server.cpu(), await looking.fetchval(SAY["commits"])
        await asyncio.sleep(seconds)
        spent, more = server.cpu() - begun, await looking.fetchval(SAY["commits"]) - commits
        held = await looking.fetchval(SAY["connections"])
        begun = server.cpu()
        for _ in range(notifies):
            await looking.fetchval(SAY["tell_nothing"])
            await asyncio.sleep(0.02)
        notified = (server.cpu() - begun - spent / seconds * notifies * 0.02) / notifies
    return Idle(processes, held, memory, spent / seconds, more / seconds, max(0.0, notified))
