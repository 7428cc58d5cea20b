"""
Claiming: one loop for all queues of a process.

It is woken by whatever makes a job ready here or elsewhere, by a slot that becomes free, and at the latest
by the safety poll. It reserves the free slots, asks for as many jobs, and starts what it gets; where jobs are
short it asks for more, which wait (`ahead.py`), and asks for the next while these run. It stops
when there is nothing left that it could see: "saw more than I got" means that others hold some of what
was seen, and asks again at once, with more candidates for each slot (`spread.py`).

Where less was asked for than there are free slots (a queue's share is used up, or a suspect is running and
must run alone), something may have been left behind: then the next slot that becomes free wakes the loop.

Wakes from other processes are limited (`wake.py`). So while jobs keep coming, fewer than there are slots, it
looks again by itself after each claim, soon, then less soon, until nothing has come for a while. Only whoever
finds something does: a wake that all hear keeps one of them looking, not all.

The bell is heard before the claim is sent: a wake that comes while the claim is on its way is not lost.
Where claims take long to choose, they begin at the places of a survey (`cursor.py`).

A claim without an answer may have made jobs ours that we do not know of; the beat sorts that out.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

from asyncjobs import events
from asyncjobs.engine.bell import Bell
from asyncjobs.engine.cursor import LATE, Cursor
from asyncjobs.engine.ears import Ears
from asyncjobs.engine.runs import Runs
from asyncjobs.engine.spread import Spread
from asyncjobs.errors import Unavailable
from asyncjobs.job import Claimed
from asyncjobs.postgres.answers import Answers
from asyncjobs.postgres.failures import InDoubt, NoAnswer, NotNow
from asyncjobs.postgres.ledger import Ledger

log: logging.Logger = logging.getLogger("asyncjobs.claim")

AGAIN_AFTER = 0.003  # seconds, when others hold what was seen; doubled while they go on
AGAIN_AT_LAST = 1.0  # seconds
STREAM = 0.1  # seconds between two claims that brought something, where more is to be expected
SOON = 0.005  # seconds to the next look there; doubled while nothing comes
TELL_EVERY = 1.0  # seconds between two words to the others that we are full
MOST_AT_ONCE = 200  # jobs


class Claimer:
    """Turns free slots into runs."""

    def __init__(
        self,
        ledger: Ledger,
        runs: Runs,
        queues: Iterable[str],
        *,
        all_queues: bool,
        ears: Ears,
        doubt: Callable[[], None],
        backlog: Callable[[], int],
        full: Callable[[Iterable[str]], None],
    ) -> None:
        self._bell = Bell()
        self._left_behind = False
        self._pause = AGAIN_AFTER
        self._said_full = 0.0
        self._cursor = Cursor()
        self._spread = Spread()
        self._look_again_in: float | None = None  # seconds
        self._brought_at = 0.0  # time.monotonic()
        self._streams = False
        self._soon = SOON
        self.is_open: bool = False
        self.answers: Answers = Answers()
        self.at_rest: asyncio.Event = asyncio.Event()
        self.at_rest.set()
        self._ledger = ledger
        self._runs = runs
        self._own = tuple(queues)
        self._queues = dict.fromkeys(self._own)
        self._heard: dict[str, None] = {}
        self._all_queues = all_queues
        self._ears = ears
        self._doubt = doubt
        self._backlog = backlog
        self._full = full

    @property
    def acts_since(self) -> float | None:
        """When it last came along (`time.monotonic()`); None while it listens for work."""
        return self._bell.left_at

    @property
    def queues(self) -> list[str]:
        """The queues that this process serves, as far as it has heard of them."""
        return list(self._queues)

    def serves(self, queue: str) -> bool:
        """Whether this process takes jobs of this queue."""
        return self._all_queues or queue in self._queues

    def heard_of(self, queues: Iterable[str]) -> None:
        """Jobs of these queues are ready: claim, if they are ours to serve."""
        if self._all_queues:
            names = dict.fromkeys(queues)
            self._heard.update(names)
            self._queues.update(names)
        self._bell.ring()

    def found(self, ready_in: Iterable[str]) -> None:
        """
        The poll saw jobs in these queues: ask for those, for our own, and for what was heard of since.

        Where queues are named after customers, a process would else ask for each of them for ever.
        """
        if self._all_queues:
            self._queues = dict.fromkeys([*self._own, *self._heard, *ready_in])
            self._heard = {}

    @property
    def walks_far(self) -> bool:
        """Whether much lies before what is ready, so that whoever does not know the places walks far."""
        return self._cursor.is_set

    def open(self) -> None:
        """Claim from now on, and look at once."""
        self._cursor.forget()
        self.is_open = True
        self._bell.ring()

    def close(self) -> None:
        """Claim nothing from now on."""
        self.is_open = False
        self._bell.ring()

    def slot_freed(self) -> None:
        """There is a free slot, or the finisher has caught up."""
        if self._left_behind and (self._runs.ahead.is_low or self._runs.slots.free > 0):
            self._bell.ring()

    async def serve(self) -> None:
        """Claim whenever there is a slot and something may be ready."""
        self._bell.ring()
        while True:
            await self._bell.heard(self._look_again_in)
            self.at_rest.clear()
            self._look_again_in = None
            while self.is_open and await self._claim():
                pass
            self.at_rest.set()

    async def _claim(self) -> bool:
        """Claim once; tells whether to look again at once."""
        slots, suspects = self._runs.slots, self._runs.room_for_suspects
        free = slots.free
        rooms = {} if self._is_behind else self._reserve(with_more=bool(suspects[1]))
        demand = slots.asked
        shares = [rooms.get(queue, 0) for queue in self._queues]
        self._left_behind = not suspects[1] or not demand or min(shares) < demand
        if not rooms:
            self.answers.forget()  # nothing is wanted, so nobody fails to answer
            return False
        failure: Unavailable | None = None
        jobs, saw = list[Claimed](), 0
        try:
            jobs, saw = await self._ask(rooms, demand, suspects)
        except NoAnswer as error:
            failure = error
        finally:
            slots.answered()
            self._bell.still_acts()
        if failure is not None:
            return await self._take_no(failure)
        self.answers.came()
        for number, job in enumerate(jobs):
            self._runs.start_claimed(job, reserved=number < free)
            if self._ears:
                self._ears(events.Claimed(job.id, job.task, job.queue, job.attempt))
        if len(jobs) < saw and len(jobs) < demand:
            # Others hold what was seen: a moment if they took it, longer if they just hold it.
            self._pause = AGAIN_AFTER if jobs else min(self._pause * 2, AGAIN_AT_LAST)
            await self._bell.heard(self._pause)
            return True
        self._pause = AGAIN_AFTER
        if len(jobs) == demand:
            if slots.free <= 0:
                self._tell_full()
            return True
        self._look_on(brought=bool(jobs))
        return False

    def _reserve(self, *, with_more: bool) -> dict[str, int]:
        """Reserve the free slots, and places behind them: not beside a suspect, whose death would be charged to all."""
        slots, ahead = self._runs.slots, self._runs.ahead
        more = ahead.room() if with_more else 0
        return slots.ask(self._queues, MOST_AT_ONCE, more, ahead.rooms(self._queues, more))

    def _look_on(self, *, brought: bool) -> None:
        """Look again soon, without being woken, where jobs come again and again."""
        now = time.monotonic()
        is_recent = now - self._brought_at < STREAM
        self._streams = is_recent and (brought or self._streams)
        self._soon = SOON if brought else self._soon * 2
        if brought:
            self._brought_at = now
        if self._streams:
            self._look_again_in = min(self._soon, self._look_again_in or self._soon)

    async def _take_no(self, failure: Unavailable) -> bool:
        """There was no answer; tells whether to look again, as nobody else would say when."""
        log.info("no claim: %s", failure)
        self.answers.failed(failure)
        if isinstance(failure, InDoubt):
            self._doubt()
        if isinstance(failure, NotNow):
            # The link is up and the table is not: without a wake nothing would be asked until the poll.
            await self._bell.heard(AGAIN_AT_LAST)
            return True
        return False

    def _tell_full(self) -> None:
        """We have all that we can take and may have left some: others may not have been woken for it."""
        now = time.monotonic()
        if now - self._said_full >= TELL_EVERY:
            self._said_full = now
            self._full(self.queues)

    async def _ask(
        self, rooms: dict[str, int], demand: int, suspects: tuple[int, int]
    ) -> tuple[list[Claimed], int]:
        """Ask for as many as there are slots, and of more candidates when others hold the first."""
        unknown, cursor = self._runs.left_alone(), self._cursor
        surveyed = await cursor.survey(
            self.queues, lambda: self._ledger.survey(self.queues, unknown, LATE)
        )
        ask = partial(self._ledger.claim, rooms, demand, unknown, suspects)
        jobs, choice = await ask(self._spread.of(demand), cursor.stretches)
        while self._spread.learn(len(jobs), choice.saw, demand):
            jobs, choice = await ask(self._spread.of(demand), cursor.stretches)
        cursor.claimed(choice, surveyed=surveyed)
        self._look_again_in = cursor.due_in
        return jobs, choice.saw

    @property
    def _is_behind(self) -> bool:
        """Whether the finisher has more to record than it should have."""
        return self._backlog() > 2 * self._runs.slots.total + MOST_AT_ONCE
