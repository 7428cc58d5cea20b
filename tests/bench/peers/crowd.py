"""Many callers in the process that also runs what they store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.bench.peers.player import MANY, PATIENCE, Player, Samples, Sender

WAITS = 0.005  # seconds that every fifth job of a mixed load waits for something


@asynccontextmanager
async def gathered(player: Player) -> AsyncIterator[Crowd]:
    """Gather a crowd at a player's."""
    crowd = Crowd()
    async with player.running(MANY, crowd.body), player.sending(None) as sender:
        crowd.sender = sender
        yield crowd


class Crowd:
    """Callers, and the body of their jobs."""

    sender: Sender

    def __init__(self) -> None:
        self.delays: Samples = []
        self._ended = 0
        self._waiting: dict[str, asyncio.Event] = {}

    async def body(self, payload: str) -> None:
        """Wait a little, at times; the payload is the number of a caller, or a moment."""
        if payload.startswith("c"):
            self._ended += 1
            if self._ended % 5 == 0:
                await asyncio.sleep(WAITS)
            self._waiting[payload].set()
        else:
            self.delays.append(time.monotonic() - float(payload))

    async def rate(self, callers: int, seconds: float) -> float:
        """Let so many callers go on; gives the jobs a second that they saw end."""
        await asyncio.gather(*(self._call(f"c{caller}", 0) for caller in range(callers)))
        began, before = time.monotonic(), self._ended
        until = began + seconds
        await asyncio.gather(*(self._call(f"c{caller}", until) for caller in range(callers)))
        return (self._ended - before) / (time.monotonic() - began)

    async def _call(self, name: str, until: float) -> None:
        ended = self._waiting[name] = asyncio.Event()
        while True:
            ended.clear()
            await self.sender.one(name)
            await asyncio.wait_for(ended.wait(), PATIENCE)
            if time.monotonic() >= until:
                return

    async def quiet(self) -> None:
        """Wait until no more come."""
        seen = -1
        while seen != len(self.delays):
            seen = len(self.delays)
            await asyncio.sleep(0.5)


async def paced(sender: Sender, pace: float, seconds: float) -> float:
    """Store jobs at an even pace, whether or not those before are stored; gives how many."""
    began = time.monotonic()
    under_way: set[asyncio.Task[None]] = set()
    stored = 0
    while (now := time.monotonic()) < began + seconds:
        while stored < (now - began) * pace:
            task = asyncio.ensure_future(_moment(sender))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            stored += 1
        await asyncio.sleep(0.001)
    await asyncio.gather(*under_way)
    return stored


async def _moment(sender: Sender) -> None:
    await sender.one(str(time.monotonic()))
