"""
Starts: every run begins as an asyncio task of its own, a few in each turn of the loop.

A claim may bring hundreds of jobs. Were all of their bodies due in one turn, the answers of the next claim and the last
end, and everybody else on this loop, would wait until all have had their first step.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Any

from asyncjobs.engine.run import Run

A_TURN = 25  # starts


class Starts:
    """Makes the tasks of runs that have their slots, keeps them, and is the only one to do so."""

    def __init__(self, live: Callable[[Run], Coroutine[Any, Any, None]]) -> None:
        self._live = live
        self._loop = asyncio.get_running_loop()
        self._context = copy_context()
        self._started = 0  # since the last turn that was full
        self._held: deque[Run] = deque()
        self._bodies: set[asyncio.Task[None]] = set()

    def start(self, run: Run) -> None:
        """Start it, in this turn or in one of the next."""
        if self._started < A_TURN and not self._held:
            self._begin(run)
        else:
            self._held.append(run)

    def ended(self, run: Run) -> None:
        """Its body has ended."""
        if run.own is not None:
            self._bodies.discard(run.own)

    def _begin(self, run: Run) -> None:
        self._started += 1
        if self._started == A_TURN:
            self._loop.call_soon(self._next_turn)
        # A task of its own, kept here and cancelled by us alone: see run.py. It knows nothing of the context that we
        # are in, which may be that of the job whose end has made room.
        body = run.own = self._context.copy().run(self._loop.create_task, self._live(run))
        if not body.done():
            self._bodies.add(body)

    def _next_turn(self) -> None:
        self._started = 0
        while self._held and self._started < A_TURN:
            self._begin(self._held.popleft())
