"""
Making scheduled jobs ready when they are due.

A process knows of the next due job because it stored it, was told of it, or saw it in the safety poll. It
sleeps on its own monotonic clock until then: Postgres tells durations, never times of day. Any process
promotes any due job; when several are at the same one, whoever found it taken lets others go first from then on, by
some milliseconds, so that one of them finds the work and the others nothing. A due row that somebody holds is skipped,
and asked for again until it is ready, by us or by whoever held it.

Where it takes long, because dead entries lie before what is due, the next one begins where the last one
came to, and now and then one begins at the beginning, as claims do (`cursor.py`).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping

from asyncjobs.engine.bell import Bell
from asyncjobs.engine.cursor import AT_LAST, EVERY, SHARE, SLOW
from asyncjobs.errors import Unavailable
from asyncjobs.postgres.failures import NoAnswer
from asyncjobs.postgres.ledger import Ledger
from asyncjobs.postgres.values import Promoted

log: logging.Logger = logging.getLogger("asyncjobs.due")

BATCH = 500  # jobs
JITTER = 0.003  # seconds
NONE = 0.0002  # seconds of jitter that are none: a timer is not as exact
AGAIN_AFTER = 1.0  # seconds, when Postgres did not answer
HELD_FOR = (
    0.05  # seconds, when others hold what is due; doubled while they go on, up to AGAIN_AFTER
)


class Jitter:
    """
    How long to let others go first.

    Not at all, until somebody else is seen at what is due; then for some milliseconds, half as long after each
    promotion with nobody in the way. So of several one is soon the first each time, and who is alone never waits.
    """

    def __init__(self) -> None:
        self.most: float = 0.0

    def pick(self) -> float:
        """Give seconds to wait."""
        return random.uniform(0, self.most)

    def learn(self, *, first: bool) -> None:
        """We had what was due for ourselves, or somebody else was at it."""
        self.most = self.most / 2 if first else JITTER
        if self.most < NONE:
            self.most = 0.0


class Promoter:
    """Wakes when a scheduled job is due."""

    def __init__(self, ledger: Ledger, ready: Callable[[Mapping[str, int]], None]) -> None:
        self._ledger = ledger
        self._ready = ready
        self._bell = Bell()
        self._next: float | None = None  # on the loop's clock
        self._pause = HELD_FOR
        self._jitter = Jitter()
        self._reached: str | None = None
        self._whole_at = 0.0  # on the loop's clock: when to begin at the beginning again

    def due(self, seconds: float) -> None:
        """Something is due in so many seconds."""
        due = asyncio.get_running_loop().time() + max(0.0, seconds)
        if self._next is None or due < self._next:
            self._next = due
            self._bell.ring()

    @property
    def acts_since(self) -> float | None:
        """When it last came along (`time.monotonic()`); None while it waits for what is due."""
        return self._bell.left_at

    async def serve(self) -> None:
        """Sleep until something is due, make it ready, and sleep again."""
        loop = asyncio.get_running_loop()
        while True:
            wait = None if self._next is None else max(0.0, self._next - loop.time())
            if await self._bell.heard(wait):
                continue
            self._next = None
            if others_first := self._jitter.pick():
                await asyncio.sleep(others_first)
            try:
                await self._promote()
            except NoAnswer as error:
                log.info("due jobs wait: %s", error)
                self.due(AGAIN_AFTER)
            except Unavailable:
                self.due(AGAIN_AFTER)
                raise

    async def _promote(self) -> None:
        promoted = await self._next_batch()
        if promoted.number:
            self._ready(dict.fromkeys(promoted.queues, promoted.number))
        if promoted.saw:
            self._jitter.learn(first=promoted.number == promoted.saw)
        if promoted.number < promoted.saw:
            self.due(self._pause)
            self._pause = min(self._pause * 2, AGAIN_AFTER)
        else:
            self._pause = HELD_FOR
        if promoted.number == BATCH:
            self.due(0)
            return
        if promoted.due_in is not None:
            self.due(promoted.due_in)

    async def _next_batch(self) -> Promoted:
        """Promote some: from the beginning, or from where the last one came to while that takes long."""
        now = asyncio.get_running_loop().time()
        is_whole = self._reached is None or now >= self._whole_at
        promoted = await self._ledger.promote(BATCH, None if is_whole else self._reached)
        if is_whole:
            self._whole_at = now + min(max(EVERY, promoted.walked * SHARE), AT_LAST)
            if promoted.walked <= SLOW:
                self._reached = None
                return promoted
        else:
            self.due(self._whole_at - now)  # for what this one passed by
        if promoted.number == promoted.saw:
            self._reached = promoted.reached
        return promoted
