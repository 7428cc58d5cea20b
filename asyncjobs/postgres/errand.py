"""What passes between an executor and the heart of its lease: how they stand, and what is to be asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from asyncjobs.errors import Unavailable
from asyncjobs.postgres.statements import Row

_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds on a clock that never steps, and that goes on while the machine sleeps where there is one."""
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True, slots=True)
class Standing:
    """How we stood when a renewal was last answered."""

    process: int
    generation: int
    until: float  # by `now()`: we rely on it no longer than that
    sent_at: float  # by `time.monotonic()`

    @property
    def holds(self) -> bool:
        """Whether we may still rely on it."""
        return now() < self.until


class Errand:
    """A statement on its way through the heart's thread, and the future of who waits for it."""

    def __init__(self, sql: str, args: tuple[object, ...], owner: tuple[int, int] | None) -> None:
        self.sql = sql
        self.args = args
        self.owner = owner  # process and generation that must stand for it
        self._loop = asyncio.get_running_loop()
        self.answered: asyncio.Future[Sequence[Row]] = self._loop.create_future()

    def settle(self, rows: Sequence[Row] | Unavailable) -> None:
        """Answer who waits, from either thread."""
        with suppress(RuntimeError):  # their loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._settle, rows)

    def _settle(self, rows: Sequence[Row] | Unavailable) -> None:
        if self.answered.done():
            return
        if isinstance(rows, Unavailable):
            self.answered.set_exception(rows)
            self.answered.exception()  # its caller may be gone; that is no news
        else:
            self.answered.set_result(rows)
