"""
Recording how runs ended: group commit without a timer.

While one statement is on its way the next batch gathers, so an idle process records each end at once and
a busy one hundreds together. The shared statement waits for nobody: a row that somebody holds (the job's
own open transaction, somebody's edit) is answered 'locked' and tried again by itself, a little later. It
never fails as a whole either: when Postgres refuses a batch, it is halved until the culprit stands alone.

When the pool has taken nothing for longer than a lease lasts, and the link is there, outcomes go on the
link: else a process would be alive by its lock and hold jobs that have long ended.

When an answer is lost the batch is sent again. That is harmless: the fence lets only one of the two
through, and the archive remembers under which fence it took a row, so the second is told 'recorded'.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from asyncjobs import events
from asyncjobs.engine.bell import Bell
from asyncjobs.engine.ears import Ears
from asyncjobs.engine.run import Run
from asyncjobs.engine.runs import Runs
from asyncjobs.engine.story import one_line
from asyncjobs.errors import Unavailable
from asyncjobs.job import JobState, Outcome, Settled
from asyncjobs.postgres.answers import Answers
from asyncjobs.postgres.failures import InDoubt, Refused
from asyncjobs.postgres.ledger import Ledger
from asyncjobs.postgres.values import Recorded

log: logging.Logger = logging.getLogger("asyncjobs.finish")

BATCH = 500  # outcomes
BATCH_CHARACTERS = 4_000_000  # of results, or one that is longer
AGAIN_AFTER = 0.05  # seconds, when a row was locked
REDIAL_AFTER = 0.5  # seconds, when Postgres did not answer
BY_LINK_AFTER = 20.0  # seconds in which the pool took nothing

_AS_SAID = Recorded("recorded")
_STATES = {state.value: state for state in JobState}


class Finisher:
    """Takes outcomes from runs and sees them recorded."""

    def __init__(
        self,
        ledger: Ledger,
        runs: Runs,
        process: Callable[[], int],
        ears: Ears,
        ended: Callable[[UUID], None],
        went_back: Callable[[str, JobState, float], None],
    ) -> None:
        self._ledger = ledger
        self._runs = runs
        self._process = process
        self._ears = ears
        self._ended = ended
        self._went_back = went_back
        self._waiting: deque[tuple[int, Settled]] = deque()
        self._locked: list[tuple[int, Settled]] = []
        self._in_flight = 0
        self._bell = Bell()
        self.answers: Answers = Answers()
        self.behind_since: float | None = None
        """Since when nothing could be recorded though there was something (`time.monotonic()`)."""
        self._all_recorded = asyncio.Event()
        self._all_recorded.set()

    def __len__(self) -> int:
        return len(self._waiting) + len(self._locked) + self._in_flight

    def settle(self, settled: Settled) -> None:
        """Take an outcome; it is recorded as soon as Postgres lets us."""
        # Under which process it ran, not as which we may have come back since.
        self._waiting.append((self._process(), settled))
        if self.behind_since is None:
            self.behind_since = time.monotonic()
        self._all_recorded.clear()
        self._bell.ring()

    async def serve(self) -> None:
        """Record outcomes for as long as there are any to come."""
        while True:
            await self._bell.heard(AGAIN_AFTER if self._locked else None)
            self._waiting.extend(self._locked)
            self._locked.clear()
            while self._waiting:
                await self._record_next()
            if not self._locked:
                self.behind_since = None
                self._all_recorded.set()

    @property
    def acts_since(self) -> float | None:
        """When it last came along (`time.monotonic()`); None while it listens for outcomes."""
        return self._bell.left_at

    async def flush(self) -> None:
        """Wait until everything that was settled is recorded."""
        await self._all_recorded.wait()

    async def _record_next(self) -> None:
        process = self._waiting[0][0]
        batch: list[Settled] = []
        room = BATCH_CHARACTERS
        most = BATCH if self._runs.pace is None else self._runs.pace.ends_at_once(BATCH)
        while self._waiting and len(batch) < most and self._waiting[0][0] == process and room > 0:
            settled = self._waiting.popleft()[1]
            batch.append(settled)
            room -= len(settled.outcome.result or "")
        self._in_flight = len(batch)
        try:
            await self._record(process, batch)
        except BaseException:
            # Whatever ended this service, the outcomes are for the next life of it.
            self._waiting.extendleft((process, settled) for settled in reversed(batch))
            raise
        finally:
            self._in_flight = 0

    async def _record(self, process: int, batch: Sequence[Settled]) -> None:
        in_doubt, on_link, since = False, False, time.monotonic()
        while True:
            try:
                otherwise = await self._ledger.finish(process, batch, on_link=on_link)
            except Unavailable as error:
                if isinstance(error, Refused) and error.blames_the_row:
                    await self._halve(process, batch, error)
                    return
                in_doubt = in_doubt or isinstance(error, InDoubt)
                log.warning("%d outcomes wait for Postgres: %s", len(batch), error)
                self.answers.failed(error)
                on_link = not on_link and time.monotonic() - since > BY_LINK_AFTER  # by turns
                await asyncio.sleep(REDIAL_AFTER)
                self._bell.still_acts()
            else:
                self.answers.came()
                self._bell.still_acts()
                self._take(process, batch, otherwise, in_doubt=in_doubt)
                return

    async def _halve(self, process: int, batch: Sequence[Settled], error: Refused) -> None:
        """Find the row that Postgres refuses; it fails alone, with Postgres's words."""
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._record(process, batch[:middle])
            await self._record(process, batch[middle:])
            return
        [settled] = batch
        if settled.outcome.state is JobState.FAILED and settled.outcome.traceback is None:
            log.error("the end of job %s cannot be recorded, its row stays: %s", settled.id, error)
            self._runs.forget(settled.id, settled.fence)
            return
        log.error(
            "the outcome of job %s was refused and is recorded as failed: %s", settled.id, error
        )
        failed = Outcome(JobState.FAILED, "failed", error=one_line(error))
        await self._record(process, [settled._replace(outcome=failed)])

    def _take(
        self,
        process: int,
        batch: Sequence[Settled],
        otherwise: Mapping[tuple[UUID, int], Recorded],
        *,
        in_doubt: bool,
    ) -> None:
        before = len(self._locked)
        for settled in batch:
            answer = otherwise.get((settled.id, settled.fence), _AS_SAID)
            if answer.answer == "locked":
                self._locked.append((process, settled))
                continue
            run = self._runs.forget(settled.id, settled.fence)
            if answer.answer == "recorded":
                state = _STATES[answer.state] if answer.state else settled.outcome.state
                self._see_off(run, state, settled)
                if run is not None:
                    self._tell(run.job.task, run.job.queue, run.job.attempt, settled, state)
            elif in_doubt and _leaves_no_trace(settled):
                # It was the first try, most probably: then nobody knows yet that the job waits again.
                self._see_off(run, settled.outcome.state, settled)
            elif run is not None:
                self._ears(events.Lost(settled.id, run.job.task, run.job.queue, run.job.attempt))
        if len(self._locked) - before < len(batch):
            self.behind_since = time.monotonic()
        self._runs.slot_freed()  # the claimer may wait for us to catch up

    def _see_off(self, run: Run | None, state: JobState, settled: Settled) -> None:
        """A job that is not finished waits again: whoever may take it next is told."""
        if not state.is_final and settled.outcome.story != "cancelled":
            self._went_back(run.job.queue if run else "", state, settled.outcome.delay)

    def _tell(self, task: str, queue: str, attempt: int, settled: Settled, state: JobState) -> None:
        if state.is_final:
            self._ended(settled.id)
        if not self._ears:
            return
        outcome = settled.outcome
        if outcome.story == "released" and not state.is_final:
            self._ears(events.Released(settled.id, task, queue, outcome.error or ""))
        else:
            self._ears(
                events.Finished(settled.id, task, queue, attempt, state, outcome, settled.ran)
            )


def _leaves_no_trace(settled: Settled) -> bool:
    """Whether a first, unanswered try would look like a loss: the row went back, or was not kept."""
    return not settled.outcome.state.is_final or settled.keep_days == 0
