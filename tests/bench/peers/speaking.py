"""
A process that speaks for one player: a line of JSON in, a line of JSON out.

`{"do": "together", "count": 1000, …}` is answered by `{"samples": […]}`, or by `{"cannot": "why"}`, or by
`{"failed": "a traceback"}`. Besides the turns there is work for a while: `work`, then `wait` or `told`, then
`rest`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import AsyncExitStack
from importlib import import_module
from typing import Any

from tests.bench.peers.player import CannotError, Player
from tests.bench.peers.turn import TURNS

GIVEN_UP = 60.0  # seconds for a wait


class Work:
    """What ran here, and when."""

    def __init__(self, player: Player) -> None:
        self._player = player
        self._stack = AsyncExitStack()
        self._ran: list[tuple[float, str]] = []
        self._wanted = 0
        self._reached = asyncio.Event()
        self._cpu = 0.0

    async def body(self, payload: str) -> None:
        """Note the moment."""
        ran = self._ran
        ran.append((time.monotonic(), payload))
        if len(ran) == self._wanted:
            self._reached.set()

    async def work(self, slots: int) -> None:
        """Begin to run jobs."""
        gc.collect()
        self._ran.clear()
        self._cpu = time.process_time()
        await self._stack.enter_async_context(self._player.running(slots, self.body))

    async def wait(self, count: int) -> list[float]:
        """Wait until so many ran; gives the moment of the first, and the CPU seconds since `work`."""
        self._wanted = count
        if len(self._ran) < count:
            self._reached.clear()
            await asyncio.wait_for(self._reached.wait(), GIVEN_UP)
        return [self._ran[0][0], time.process_time() - self._cpu]

    def told(self) -> list[float]:
        """Give for each run its moment and how long after its sending that was, one after the other."""
        return [
            number
            for moment, sent in self._ran
            for number in (moment, moment - float(sent) if sent else 0.0)
        ]

    async def rest(self) -> None:
        """End to run jobs."""
        await self._stack.aclose()


async def speak(player: Player, read: Callable[[], str], write: Callable[[str], None]) -> None:
    """Answer, until there are no more questions."""
    work = Work(player)
    write(json.dumps({"samples": []}))
    try:
        while line := await asyncio.to_thread(read):
            try:
                answer: dict[str, Any] = {"samples": await _done(player, work, json.loads(line))}
            except CannotError as error:
                answer = {"cannot": str(error)}
            except Exception:
                answer = {"failed": traceback.format_exc()}
            write(json.dumps(answer))
    finally:
        await work.rest()


async def _done(player: Any, work: Work, asked: dict[str, Any]) -> list[float]:
    what = asked.pop("do")
    match what:
        case "work":
            await work.work(**asked)
        case "wait":
            return await work.wait(**asked)
        case "told":
            return work.told()
        case "rest":
            await work.rest()
        case "prepare":
            await player.prepare()
        case "clear":
            await player.clear()
        case "left":
            return [await player.left()]
        case _:
            gc.collect()
            return await TURNS[what](player, **asked)
    return []


def main(make: Callable[..., Player]) -> None:
    """Speak for the player that `make` gives for an address; the command is: module ADDRESS LOOP …"""
    address, loop, *more = sys.argv[1:]
    # Whatever else is printed here is no answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def write(line: str) -> None:
        answers.write(f"{line}\n")
        answers.flush()

    with asyncio.Runner(loop_factory=import_module(loop).new_event_loop) as runner:
        runner.run(speak(make(address, *more), sys.stdin.readline, write))
