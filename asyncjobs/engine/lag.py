"""How late the event loop wakes: one timer a second, and nothing of it reaches Postgres."""

from __future__ import annotations

import asyncio
import time
from collections import deque

EVERY = 1.0  # seconds
REMEMBERED = 60.0  # seconds


class Lag:
    """
    Measures how late this loop does what was due.

    A loop that is blocked measures nothing, so `now` also counts what is overdue at the moment of asking:
    whoever comes first after a block sees all of it.
    """

    def __init__(self) -> None:
        self._due: float | None = None
        self._last = 0.0
        # The worst of what is remembered is at the front; what is younger and worse drops what it outlasts.
        self._worst: deque[tuple[float, float]] = deque()
        self.woke_at: float = time.monotonic()

    @property
    def now(self) -> float:
        """Seconds, as of the last measure or of this moment, whichever is worse."""
        overdue = 0.0 if self._due is None else time.monotonic() - self._due
        return max(self._last, overdue)

    @property
    def worst(self) -> float:
        """Seconds, the most within a minute; may be asked from any thread, so nothing is forgotten here."""
        since = time.monotonic() - REMEMBERED
        return max([self.now, *(late for at, late in list(self._worst) if at >= since)])

    async def serve(self) -> None:
        """Measure for ever."""
        while True:
            self._due = time.monotonic() + EVERY
            await asyncio.sleep(EVERY)
            self.woke_at = time.monotonic()
            self._note(self.woke_at, max(0.0, self.woke_at - self._due))

    def _note(self, at: float, late: float) -> None:
        self._last = late
        while self._worst and self._worst[0][0] < at - REMEMBERED:
            self._worst.popleft()
        while self._worst and self._worst[-1][1] <= late:
            self._worst.pop()
        self._worst.append((at, late))
