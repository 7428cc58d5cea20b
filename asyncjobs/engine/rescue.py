"""
Rescue: taking the jobs of processes that are dead.

Dead means: nobody holds the process's lock. One look is not enough: a link is made anew in milliseconds,
and in between its owner looks just like a corpse. So it takes two looks, a second apart, within one life
of our own link and one generation of the owner's; then one statement (`rescue.sql`) that does not believe
us but asks again, with everything held.

In a life of the server younger than twenty seconds nobody's lock has come back yet. There we act only on
proof: a process that ran on this very machine, and whose pid is gone. That proof is also what lets a
restarted single process take its own former jobs at once, and it is stronger than a lease, which speaks for
the dead until it ends.

Looking costs a statement a second, so it is done only when there is a reason: somebody said that it is at
work for long, or works under a lease, which ends without a word; or, for a few seconds, the safety poll saw
others' running jobs, or we have just come up, or jobs were ready that somebody else may have taken. (Whoever
dies in its first second of work has said nothing.)
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping

from asyncjobs import events
from asyncjobs.engine.bell import Bell
from asyncjobs.engine.ears import Ears
from asyncjobs.engine.identity import is_provably_dead
from asyncjobs.job import JobState
from asyncjobs.postgres.failures import InDoubt, NoAnswer
from asyncjobs.postgres.ledger import Ledger
from asyncjobs.postgres.values import Silent
from asyncjobs.task import KEEP_DAYS, KEEP_FAILED_DAYS

log: logging.Logger = logging.getLogger("asyncjobs.rescue")

SECOND_LOOK_AFTER = 1.0  # seconds
YOUNG_LIFE = 20.0  # seconds
WHILE = 5.0  # seconds
MOMENT = 3.0  # seconds: who lives as long says itself that it is busy

Seen = dict[tuple[int, int | None], float]


class Rescuer:
    """Looks at others, and takes what the dead leave behind."""

    def __init__(
        self,
        ledger: Ledger,
        max_crashes: int,
        ready: Callable[[Mapping[str, int]], None],
        ears: Ears,
    ) -> None:
        self._ledger = ledger
        self._max_crashes = max_crashes
        self._ready = ready
        self._ears = ears
        self._bell = Bell()
        self._busy: set[int] = set()
        self._seen: Seen = {}
        self._sees_leases = False
        self._watch_until = 0.0

    def look_for_a_while(self) -> None:
        """Somebody runs something, or we are new here and nobody has told us yet: watch for some seconds."""
        self._watch_until = time.monotonic() + WHILE
        self._bell.ring()

    def look_for_a_moment(self) -> None:
        """Somebody else may have begun something: watch until it would have said so."""
        # No ring while we watch: words come twenty times a second, looks do not.
        if not self._is_watching:
            self._bell.ring()
        self._watch_until = max(self._watch_until, time.monotonic() + MOMENT)

    def is_busy(self, process: int) -> None:
        """That process is at work for long: watch it."""
        self._busy.add(process)
        self._bell.ring()

    def is_calm(self, process: int) -> None:
        """It has come to rest."""
        self._busy.discard(process)

    def all_calm(self) -> None:
        """The safety poll saw nobody else run anything."""
        self._busy.clear()

    @property
    def acts_since(self) -> float | None:
        """When it last came along (`time.monotonic()`); None while it listens."""
        return self._bell.left_at

    def forget(self) -> None:
        """Our link is new: what was seen, or heard, on the former one does not count."""
        self._seen, self._sees_leases = {}, False
        self._busy.clear()
        self._watch_until = 0.0

    async def serve(self) -> None:
        """Look each second while there is a reason."""
        while True:
            await self._bell.heard(SECOND_LOOK_AFTER if self._is_watching else None)
            try:
                await self._look()
            except NoAnswer as error:
                self._seen = {}
                log.info("no look at the others: %s", error)

    @property
    def _is_watching(self) -> bool:
        reasons = self._busy or self._seen or self._sees_leases
        return bool(reasons) or time.monotonic() < self._watch_until

    async def _look(self) -> None:
        now = time.monotonic()
        seen: Seen = {}
        leased = False
        for silent in await self._ledger.look():
            self._bell.still_acts()
            if silent.is_leased and not self._is_dead(silent, 0.0):
                leased = True
                continue
            key = (silent.id, silent.generation)
            first = self._seen.get(key, now)
            if self._is_dead(silent, now - first) and await self._rescue(silent):
                continue
            seen[key] = first
        self._seen, self._sees_leases = seen, leased

    def _is_dead(self, silent: Silent, seen_for: float) -> bool:
        if is_provably_dead(silent.machine, silent.pid, silent.pid_started):
            return True
        if silent.is_leased:
            return False
        if silent.generation is None:
            return True  # it has ended, or nobody knows it: rescue.sql asks again
        if silent.of_an_earlier_life and silent.life_age < YOUNG_LIFE:
            return False
        return seen_for >= SECOND_LOOK_AFTER

    async def _rescue(self, silent: Silent) -> bool:
        """Take its jobs; False when we must come again."""
        who = silent.name or f"process {silent.id}"
        try:
            taken = await self._ledger.rescue(
                silent, self._max_crashes, KEEP_FAILED_DAYS, KEEP_DAYS
            )
        except InDoubt:
            raise
        except NoAnswer as error:
            log.warning("could not rescue the jobs of %s: %s", who, error)
            return False
        self._busy.discard(silent.id)
        if taken:
            log.warning("%s died; %d of its jobs were taken from it", who, len(taken))
        for job in taken:
            state = JobState(job.state)
            self._ears(events.Rescued(job.id, job.task, job.queue, silent.id, state))
        ready = Counter(job.queue for job in taken if job.state == "ready")
        if ready:
            self._ready(ready)
        return bool(taken) or not silent.runs_jobs
