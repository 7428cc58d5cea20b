"""
Who waits for a job to be stored, and for how long.

While Postgres answers, nobody is hurried: many jobs take as long as they take. When it does not, whoever has
waited for longer than their patience is told so, wherever their job is: before it was sent, then it is
withdrawn; or on its way, then the statement goes on, because it is not the caller's, and the job may be
stored. Without this a caller would wait for as long as the limits of connecting, of the first answer and of
the resend are together, and for those of everybody before them too.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from asyncjobs.errors import Unavailable
from asyncjobs.job import Request
from asyncjobs.postgres.failures import InDoubt, Unreachable
from asyncjobs.postgres.patience import LATE

LOOK_EVERY = 0.25  # seconds, while anybody waits

_WANTED = "store a job"


class Caller(NamedTuple):
    """One job, and who waits for it, maybe with others; `deadline`: of `time.monotonic()`."""

    request: Request
    stored: asyncio.Future[None]
    deadline: float


class Callers:
    """Those whose jobs are not sent yet (`waiting`), and those whose are."""

    def __init__(self, patience: float) -> None:
        self.waiting: deque[Caller] = deque()
        self._patience = patience
        self._sent: dict[int, Sequence[Caller]] = {}
        self._failure: Unavailable | None = None
        self._answered_at = 0.0
        self._clock: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def enter(self, requests: Sequence[Request]) -> list[Caller]:
        """Begin to wait for jobs that are stored together, or not at all."""
        now = time.monotonic()
        if self._clock is None:
            self._answered_at = now  # nobody had asked anything
            self._wait()
        stored: asyncio.Future[None] = self._loop.create_future()
        deadline = now + self._patience
        return [Caller(request, stored, deadline) for request in requests]

    @contextmanager
    def on_the_way(self, batch: Sequence[Caller]) -> Generator[None]:
        """Know of these while somebody sees to their statement."""
        self._sent[id(batch)] = batch
        try:
            yield
        finally:
            del self._sent[id(batch)]

    def answered(self) -> None:
        """Postgres has answered somebody."""
        self._failure = None
        self._answered_at = time.monotonic()

    def failed(self, failure: Unavailable) -> None:
        """It has not."""
        self._failure = failure

    def _wait(self) -> None:
        self._clock = self._loop.call_later(LOOK_EVERY, self._look)

    def _look(self) -> None:
        assert self._clock is not None
        now, due = time.monotonic(), self._clock.when()
        is_unheard = self._failure is not None or now - self._answered_at >= self._patience
        # Late ourselves, we have perhaps not read yet what was answered in time.
        if is_unheard and self._loop.time() - due < LATE:
            self._tell_the_late(now)
        self._clock = None
        if self._sent or self.waiting:
            self._wait()

    def _tell_the_late(self, now: float) -> None:
        reason = TimeoutError() if self._failure is None else self._failure.reason
        for batch in self._sent.values():
            fail([each for each in batch if each.deadline <= now], InDoubt(_WANTED, reason))
        while self.waiting and self.waiting[0].deadline <= now:
            fail([self.waiting.popleft()], Unreachable(_WANTED, reason))


def fail(callers: Sequence[Caller], error: Exception) -> None:
    """Tell those who still wait that their jobs are not stored, or perhaps not."""
    for caller in callers:
        if not caller.stored.done():
            caller.stored.set_exception(error)
            caller.stored.exception()  # its caller may be gone; that is no news
