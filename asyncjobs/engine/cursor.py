"""
Where a claim may begin to look.

The index of ready jobs keeps an entry of each job that was claimed until it may be cleaned away, and while
some old transaction might still want the rows, nothing may be. Every claim then walks all of them again:
at 800 jobs a second, a transaction that stays open for ten minutes makes half a million. The same
goes for a backlog of jobs that this process does not know how to run.

So a claim says how long it took to choose. When that was long, one *survey* walks everything once and tells
for each queue and priority where the first job stands; until the next survey claims begin there. What
becomes ready before such a place (a transaction that committed late, a rescue, a retry) waits for the next
survey, which therefore comes often: once a second, less often where it takes long, so that it costs a
twentieth of the time. While claims are quick there is no cursor, and nothing of this happens.

A place is known of priorities in which something was seen. In one that was never seen, the claim begins at
its beginning, whatever lies there.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import cast
from uuid import UUID

from asyncjobs.postgres.values import WHOLE, Choice, Stretches, Survey

SLOW = 0.005  # seconds to choose, from which on a survey is worth its while
QUICK = 0.002  # seconds for a whole survey, up to which no cursor is needed
EVERY = 1.0  # seconds
SHARE = 20  # at most one part in so many of the time is spent on surveys
AT_LAST = 30.0  # seconds, as the safety poll
LATE = 2.0  # seconds that an enqueue may take to commit without being found late

_LEAST, _MOST = -(2**15), 2**15 - 1
_ZERO, _BEGINNING = UUID(int=0), "-infinity"


class Cursor:
    """The places before which nothing is ready that this process could run."""

    def __init__(self) -> None:
        self.stretches: Stretches = WHOLE
        self.is_behind: bool = False
        """Whether claims since the last survey may have passed something by."""
        self._seen: dict[str, dict[int, None]] = {}
        self._is_wanted = False
        self._again_at = 0.0

    @property
    def is_set(self) -> bool:
        """Whether claims begin anywhere but at the beginning."""
        return self.stretches is not WHOLE

    @property
    def due_in(self) -> float | None:
        """In how many seconds somebody has to look at what claims have passed by; None: nothing has been."""
        return max(0.0, self._again_at - time.monotonic()) if self.is_behind else None

    def claimed(self, choice: Choice, *, surveyed: bool) -> None:
        """Take note of a claim, and of whether a survey came just before it."""
        self._is_wanted = self.is_set or choice.walked > SLOW
        if self._is_wanted:
            for row in choice.rows:
                self._seen.setdefault(row["queue"], {})[row["priority"]] = None
        self.is_behind = self.is_set and not surveyed

    def forget(self) -> None:
        """Begin at the beginning."""
        self.stretches, self.is_behind, self._is_wanted = WHOLE, False, False
        self._seen.clear()

    async def survey(self, queues: Sequence[str], ask: Callable[[], Awaitable[Survey]]) -> bool:
        """Walk everything, if it is worth it and time for it; tells whether that was done."""
        if not self._is_wanted or time.monotonic() < self._again_at:
            return False
        survey = await ask()
        pause = min(max(EVERY, survey.walked * SHARE), AT_LAST)
        self._again_at = time.monotonic() + pause
        if survey.walked < QUICK:
            self.forget()
        else:
            self.is_behind = False
            self._seen = {queue: self._seen.get(queue, {}) for queue in queues}
            rows = [row for queue in queues for row in self._stretches(queue, survey)]
            self.stretches = cast(
                "Stretches", tuple(list(column) for column in zip(*rows, strict=True))
            )
        return True

    def _stretches(self, queue: str, survey: Survey) -> Iterator[tuple[str, int, str, UUID, int]]:
        """One up to the first priority that is known, and one from the place in each."""
        places = survey.places.get(queue, {})
        known = self._seen[queue]
        known.update(dict.fromkeys(places))
        priority, (promise, id) = _LEAST, (_BEGINNING, _ZERO)
        for each in sorted(known):
            if each > priority:
                yield queue, priority, promise, id, each - 1
            priority, (promise, id) = each, places.get(each, (survey.recent, _ZERO))
        yield queue, priority, promise, id, _MOST
