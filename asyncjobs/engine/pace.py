"""
Pace: what jobs take of an event loop that they share with requests.

Two means, for two kinds of harm.

*Slices.* A step of a job that computes holds the loop, and ten jobs may have steps that are due in one turn of it: then
each request waits for all ten, and again at its next turn. So the steps of all jobs together get a slice of the loop;
when it is used up, everybody else has some turns before the next one begins. Where requests are counted (`requests.py`)
the next one waits until none is under way; not longer, though, than the slice itself took, or a busy app would starve
its jobs: they have half of the loop whenever they need it. Where nobody counts requests that is always waited for. A
request that comes to a loop without any goes before the steps that are due, for a slice's length at most. The slice is of
measured time (`steps.py`), not of steps, so short jobs feel nothing of it, and one step that is longer than a slice is
followed by a rest as long.

*Slots.* What holds the loop and is no step (threads that compute hold the interpreter's lock; our own work for each job;
the app itself) shows as lateness of a timer. The number of slots in use follows it, between one and all: it grows in
proportion to how far the lateness is below a target and shrinks as it is above, at most by half in each round. That is
LEDBAT's rule (RFC 6817), which lets a download in the background take what others leave of a line by the delay that it
adds itself: the lateness is the queueing delay, the slots are the window. What halves the window at a loss there, twice
the target does here.

Where nobody has asked for anything for a second, all slots are in use again, and the rests end after some turns.

It is for guests. A worker of its own is nobody's guest, and is not held up by a line of this. Nothing of it reaches
Postgres, and the timer runs only while jobs do.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any

from asyncjobs.engine.bell import Bell
from asyncjobs.engine.own_loop import OwnLoop
from asyncjobs.engine.requests import Requests
from asyncjobs.engine.slots import Slots
from asyncjobs.health import Manners

SLICE = 0.001  # seconds of steps
TURNS = 4  # of the loop: a request that came meanwhile is accepted, read, and begun in them
REST = 1.0  # at most, of what the slice took
RELEASED = 50  # steps at most that are let go in one turn
EVERY = 0.025  # seconds between two looks at the timer's lateness
ROUND = 8  # looks
TARGET = 0.003  # seconds of lateness
GAIN = 0.5  # of the slots in use, in one round
CLAIMED_AT_ONCE = 20  # jobs
ENDED_AT_ONCE = 50  # outcomes recorded in one statement


class Pace:
    """Holds jobs back as far as others need the loop; `slot_freed` is called when more slots are in use."""

    def __init__(self, slots: Slots, requests: Requests) -> None:
        self.holds: bool = False
        """Whether a step has to wait for its turn."""
        self.slot_freed: Callable[[], None] = lambda: None
        self._slots = slots
        self._requests = requests
        self._window = float(slots.total)
        self._bell = Bell()
        self._late = 0.0
        self._worked = 0.0
        self._rested = 0.0
        # The slice: what it took so far, and when its last step ended.
        self._slice = 0.0
        self._ended_at = 0.0
        self._rests = False
        self._rest_began = 0.0
        self._rest_ends = 0.0
        self._own = OwnLoop()  # requests may come on another
        self._timer: asyncio.TimerHandle | None = None
        self._typical = SLICE  # seconds that a step takes, lately
        self._waiting: deque[asyncio.Future[None]] = deque()
        requests.first_came = self._one_asks
        requests.none_left = self._none_asks
        self._note_demand()

    @property
    def manners(self) -> Manners:
        """Tell how jobs behave here, and why so."""
        return Manners(
            slots=self._slots.limit,
            late=timedelta(seconds=self._late),
            worked=timedelta(seconds=self._worked),
            rested=timedelta(seconds=self._rested),
            requests=len(self._requests) if self._requests.are_known else None,
            why=self._why(),
        )

    def _why(self) -> str:
        if self._slots.limit < self._slots.total:
            return f"the event loop was {self._late * 1000:.0f} ms late"
        if self._is_alone:
            return "nobody asks for anything"
        return "the event loop has room"

    # Slices: asked by each step, on the loop.

    def turn(self) -> Generator[Any, Any, None]:
        """Wait until the next step may be taken: first come, first served."""
        future = self._own.loop.create_future()
        self._waiting.append(future)
        yield from future
        while self._rests:  # what was let go before it took the whole slice
            future = self._own.loop.create_future()
            self._waiting.appendleft(future)
            yield from future

    def spent(self, began: float, ended: float) -> None:
        """A step has held the loop, from and to these moments of `time.perf_counter()`."""
        took = ended - began
        self._worked += took
        self._typical += (took - self._typical) / 8
        if began - self._ended_at > self._slice * REST:
            self._slice = 0.0  # the loop was left alone for as long, without our doing
        self._slice += took
        self._ended_at = ended
        if self._slice >= SLICE and not self._rests:
            self._rest(self._slice * REST)
            self._look_after(TURNS)

    def _rest(self, seconds: float) -> None:
        self._rests = self.holds = True
        self._rest_began = time.perf_counter()
        self._rest_ends = self._rest_began + seconds

    def _look_after(self, turns: int) -> None:
        """Give everybody else so many turns, then see whether the rest may end."""
        loop = self._own.loop
        if turns:
            loop.call_soon(self._look_after, turns - 1)
            return
        left = self._rest_ends - time.perf_counter()
        if left <= 0 or self._nobody_asks:
            self._end_rest()
        else:
            self._timer = loop.call_later(left, self._end_rest)

    def _one_asks(self) -> None:
        """A request has come to a loop without any: it goes first."""
        if self._slots.busy and not self._rests and self._is_here:
            self._rest(max(self._slice, SLICE) * REST)
            self._timer = self._own.loop.call_later(
                self._rest_ends - self._rest_began, self._end_rest
            )

    def _none_asks(self) -> None:
        """The last request under way has its answer: if none has come meanwhile, the rest is over."""
        if self._timer is not None and self._is_here:
            self._timer.cancel()
            self._timer = None
            self._look_after(TURNS)

    @property
    def _is_here(self) -> bool:
        return self._own.runs_here

    def _end_rest(self) -> None:
        self._timer = None
        self._rested += time.perf_counter() - self._rest_began
        self._rests, self._slice = False, 0.0
        self._let_go()

    def _let_go(self) -> None:
        """Let as many wait no longer as a slice has room for; the others a turn later, if it then still has."""
        if self._rests:
            return
        room = min(RELEASED, max(1, int(SLICE / self._typical)))
        while room and self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(None)
                room -= 1
        self.holds = bool(self._waiting)
        if self.holds:
            self._own.loop.call_soon(self._let_go)

    @property
    def _nobody_asks(self) -> bool:
        return self._requests.are_known and not self._requests.ask_now

    @property
    def _is_alone(self) -> bool:
        return self._requests.are_known and not self._requests.asked_lately

    # Slots: a service that looks at a timer while jobs run.

    def jobs_run(self) -> None:
        """There are jobs again: look at the timer for as long as there are."""
        self._bell.ring()

    async def serve(self) -> None:
        """Look how late a timer comes, round after round, while jobs run."""
        while True:
            await self._bell.heard()
            while await self._round():
                pass
            self._late = 0.0
            self._use(float(self._slots.total))

    async def _round(self) -> bool:
        """Tell whether jobs ran in it."""
        worked, late = self._worked, 0.0
        for _ in range(ROUND):
            due = time.perf_counter() + EVERY
            await asyncio.sleep(EVERY)
            late += max(0.0, time.perf_counter() - due)
        self.judge(late / ROUND)
        return self._slots.busy > 0 or self._worked > worked

    def judge(self, late: float) -> None:
        """A timer came so late, seconds, in the mean of a round: use more slots, or fewer."""
        self._late = late
        room = 1.0 if self._is_alone else max(-1.0, min(1.0, (TARGET - late) / TARGET))
        total = float(self._slots.total)
        self._use(max(1.0, min(total, self._window * (1 + GAIN * room))))

    def _use(self, window: float) -> None:
        self._window = window
        before, self._slots.limit = self._slots.limit, round(window)
        self._note_demand()
        if self._slots.limit > before:
            self.slot_freed()

    def _note_demand(self) -> None:
        self._slots.claims_at_most = None if self._is_alone else CLAIMED_AT_ONCE

    def ends_at_once(self, most: int) -> int:
        """How many outcomes one statement may record, of so many at most."""
        return most if self._is_alone else min(most, ENDED_AT_ONCE)
