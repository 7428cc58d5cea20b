"""
The watch: a thread that looks whether the event loop turns, says who keeps it, and in the end gives it up.

While jobs run it looks, four times within what a block is, where the loop's thread stands. If that is not in
the loop itself, waiting, it asks the loop for a sign, and looks on while there is none. Who is seen there for most of the
time is named when it is over, with how long it took; once before that if it goes on for long. While nothing runs
the thread sleeps.

The lock speaks for a process whose loop is blocked, and rightly: a slow handler is no death, and nothing may
run twice for it. But a loop that never turns again (a deadlock, an endless loop without an `await`) would
keep its jobs for as long as the process stays. So after the limit that it was given the thread says where the
loop stands, and ends the process. With it go its sockets and its threads, so that nothing overlaps, and others
start its jobs. Workers are watched so unless told otherwise. A web process is not: its requests would end as well.

The silence is counted in looks, not read from a clock: a process that was stopped (SIGSTOP, a container on
pause) finds minutes on its clock when it goes on, and is well. C code that keeps the interpreter's lock stops
this thread too, and then the clock of the loop's thread tells the two apart: it has computed meanwhile. So the
watch hears of such a block when it is over, and still finds the line that it came from. If C code only waits
with that lock, nothing in the process can tell it from a process that was stopped. What the garbage collector
took is counted as its own, and no job's.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import NamedTuple

from asyncjobs.engine.lag import EVERY
from asyncjobs.engine.sight import Eye, Sight
from asyncjobs.events import Blocked

log: logging.Logger = logging.getLogger("asyncjobs.watch")

LEAST = timedelta(seconds=5)
LEAST_NAMED = timedelta(milliseconds=20)
LOOKS = 4  # within what a block is
AT_REST_AFTER = 1.0  # seconds without jobs
LONG = 5.0  # seconds: told before it is over
SLACK = 0.1  # seconds that a look may come late on a machine that is at work
TELL_WITHIN = 2.0  # seconds; whoever blocks the loop may hold the lock of a log's handler
EXIT_CODE = 70  # an error of the program, in the words of sysexits.h

Told = Callable[[Blocked], None]


@contextmanager
def watched(
    limit: timedelta | None,
    after: timedelta | None,
    eye: Eye,
    told: Told,
    at_work: Callable[[], Sequence[str]],
) -> Generator[Watch | None]:
    """
    Watch over this loop.

    `limit`: end the process when it is blocked for so long. `after`: tell of each block that is longer. None:
    never. `told` is called on the loop, when it turns again; `at_work` names the tasks that run.
    """
    if limit is None and after is None:
        yield None
        return
    watch = Watch(
        None if limit is None else limit.total_seconds(),
        None if after is None else after.total_seconds(),
        eye,
        told,
        at_work,
    )
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


class Moment(NamedTuple):
    """What the clocks say, in seconds."""

    at: float  # time.monotonic()
    computed: float  # by the loop's thread
    collected: float  # by the garbage collector


class Silence:
    """The loop has not turned since it was asked to: for how long, and who was seen."""

    def __init__(self, asked: Moment) -> None:
        self.asked: Moment = asked
        self.looked: Moment = asked
        self.answered_at: float | None = None
        self.seconds: float = 0.0
        self.was_told: bool = False
        self.last: Sight = Sight.of_nobody()
        self._seen: dict[object, float] = {}
        self._sights: dict[object, Sight] = {}

    def note(self, sight: Sight, seconds: float) -> None:
        """It was kept so much longer, by whom this shows."""
        self.seconds += seconds
        self.last = sight
        self._seen[sight.key] = self._seen.get(sight.key, 0.0) + seconds
        self._sights.setdefault(sight.key, sight)

    @property
    def sight(self) -> Sight:
        """Who kept it for more than half of the time; else nobody did alone."""
        key = max(self._seen, key=lambda each: self._seen[each])
        return self._sights[key] if self._seen[key] > self.seconds / 2 else Sight.of_many()


class Watch:
    """Looks while jobs run, and once a second for as long as there is a limit."""

    def __init__(
        self,
        limit: float | None,
        after: float | None,
        eye: Eye,
        told: Told,
        at_work: Callable[[], Sequence[str]],
    ) -> None:
        self._limit = limit
        self._after = after
        self._eye = eye
        self._told = told
        self._at_work = at_work
        self._loop = asyncio.get_running_loop()
        self._clock = _cpu_clock(threading.get_ident())
        self._over = threading.Event()
        self._wanted = threading.Event()
        self._worked_at = 0.0
        self._is_at_rest = False
        self._silence: Silence | None = None
        self._collecting: float | None = None  # since when
        self._collected = 0.0
        self._began: Moment | None = None
        self._looked: Moment | None = None
        self._asked_at = 0.0

    def start(self) -> None:
        """Begin to look."""
        gc.callbacks.append(self._collects)
        threading.Thread(target=self._watch, name="asyncjobs watch", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        with suppress(ValueError):
            gc.callbacks.remove(self._collects)
        self._over.set()
        self._wanted.set()

    def begin(self) -> None:
        """Jobs run: look closely; called on the loop, often."""
        if self._is_at_rest:
            self._is_at_rest = False
            self._began = self._now()
            self._wanted.set()

    def _now(self) -> Moment:
        at, since = time.monotonic(), self._collecting
        collected = self._collected + (0.0 if since is None else at - since)
        return Moment(at, self._clock(), collected)

    def _watch(self) -> None:
        # The clock of the loop's thread goes with it, where that did not wait for us.
        with suppress(OSError):
            while not self._over.is_set():
                self.look(self._pause())

    def _pause(self) -> float:
        """Wait for work where there is none, and tell after how long to look again."""
        if self._after is None:
            return EVERY
        if self._at_work():
            self._worked_at = time.monotonic()
        elif self._silence is None and time.monotonic() - self._worked_at > AT_REST_AFTER:
            self._rest()
            if self._began is None:
                return EVERY
        if self._began is not None:
            # The first job may have kept the interpreter's lock ever since.
            self._looked, self._began = self._began, None
        return min(EVERY, self._after / LOOKS)

    def _rest(self) -> None:
        self._wanted.clear()
        self._looked, self._is_at_rest = None, True
        if not self._at_work():
            self._wanted.wait(None if self._limit is None else EVERY)

    def _ask(self, since: Moment) -> Silence:
        """Ask the loop for a sign."""
        silence = self._silence = Silence(since)
        self._asked_at = time.monotonic()
        try:
            self._loop.call_soon_threadsafe(self._answer, silence)
        except RuntimeError:  # it is closed
            self._over.set()
        return silence

    def look(self, pause: float) -> None:
        """Look, ask for a sign where there is reason to, and see a pause later whether it has come."""
        silence = self._silence or self._begun(pause)
        self._over.wait(pause)
        if silence is None:
            return
        is_over = silence.answered_at is not None
        sight = silence.last if is_over else self._eye()
        self._note(silence, sight, self._now(), pause)
        if is_over:
            self._looked = silence.looked
            self._ends(silence)
        elif self._limit is not None and silence.seconds >= self._limit:
            self._end()
        elif self._after is not None and silence.seconds >= LONG and not silence.was_told:
            silence.was_told = True
            self._tell_early(silence)

    def _begun(self, pause: float) -> Silence | None:
        """Look whether the loop's thread is in anything: then the loop may be blocked."""
        # First of all: to ask is to let go of the interpreter's lock.
        sight, now = self._eye(), self._now()
        before, self._looked = self._looked or now, now
        if sight.is_idle and now.at - self._asked_at < EVERY:
            return None
        if now.at - before.at <= pause + SLACK:
            return self._ask(now)
        silence = self._ask(before)
        self._note(silence, sight, now, pause)
        return silence

    def _note(self, silence: Silence, sight: Sight, now: Moment, pause: float) -> None:
        before, silence.looked = silence.looked, now
        elapsed = (silence.answered_at or now.at) - before.at
        passed = counted(elapsed, pause, now.computed - before.computed)
        in_collector = max(0.0, min(passed, now.collected - before.collected))
        silence.note(Sight.of_collector(), in_collector)
        silence.note(sight, passed - in_collector)

    def _answer(self, silence: Silence) -> None:
        silence.answered_at = time.monotonic()

    def _ends(self, silence: Silence) -> None:
        """The sign has come."""
        self._silence = None
        if self._after is None or silence.seconds < self._after:
            return
        blocked = silence.sight.told(silence.seconds, self._clock() - silence.asked.computed)
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._told, blocked)

    def _collects(self, phase: str, info: Mapping[str, int]) -> None:
        """The garbage collector begins, or ends; in whichever thread, all others stand still."""
        if phase == "start":
            self._collecting = time.monotonic()
        elif self._collecting is not None:
            self._collected += time.monotonic() - self._collecting
            self._collecting = None

    def _tell_early(self, silence: Silence) -> None:
        blocked = silence.sight.told(silence.seconds, self._clock() - silence.asked.computed)
        words = "%s has kept the event loop for %.0f s, and goes on"
        # Not from this thread: see TELL_WITHIN.
        threading.Thread(
            target=log.warning, args=[words, blocked.who, blocked.seconds], daemon=True
        ).start()

    def _end(self) -> None:
        telling = threading.Thread(target=self._tell, daemon=True)
        telling.start()
        telling.join(TELL_WITHIN)
        os._exit(EXIT_CODE)

    def _tell(self) -> None:
        frame = self._eye.frame()
        stands = "nowhere" if frame is None else "".join(traceback.format_stack(frame))
        log.critical(
            "the event loop has not turned for %g s; this process ends, and what runs here (%s) starts "
            "elsewhere. It stands at:\n%s",
            self._limit,
            ", ".join(self._at_work()) or "nothing",
            stands,
        )
        logging.shutdown()


def counted(elapsed: float, pause: float, computed: float) -> float:
    """
    Tell how much of the time since the last look counts as silence of the loop.

    A look that comes late was held up by C code that keeps the interpreter's lock, and then the loop's thread
    has computed for as long as it had a processor; or the whole process stood still, and nobody is to be blamed.
    """
    return elapsed if elapsed <= pause + SLACK else min(elapsed, max(pause, computed))


def _cpu_clock(thread: int) -> Callable[[], float]:
    """Give what tells how long that thread has computed; where no thread has a clock, the whole process."""
    if sys.platform == "win32" or not hasattr(time, "pthread_getcpuclockid"):
        return time.process_time
    clock = time.pthread_getcpuclockid(thread)
    return lambda: time.clock_gettime(clock)
