"""
Direct starts: a job that is born running where it is enqueued, in the commit that stores it.

It saves the claim and its wakeup, which is what a job at an idle process mostly waits for. The slot is
reserved before the statement is sent; the statement itself decides (`enqueue_and_start.sql`), so that
nothing overtakes what is ready, and nothing is ours in a generation that was buried meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asyncjobs import events
from asyncjobs.engine.claim import Claimer
from asyncjobs.engine.ears import Ears
from asyncjobs.engine.runs import Runs
from asyncjobs.job import Claimed, Request, Stored
from asyncjobs.postgres.bond import Bond
from asyncjobs.postgres.ledger import Ledger


@dataclass(frozen=True, slots=True)
class DirectStarts:
    """What enqueues ask of an executor (Starter); `doubt`: something may be ours that we do not know of."""

    ledger: Ledger
    link: Bond
    runs: Runs
    claimer: Claimer
    ears: Ears
    doubt: Callable[[], None]

    @property
    def are_open(self) -> bool:
        """Whether jobs may be taken at all: the link is up, and nobody drains."""
        return self.link.is_up and self.claimer.is_open

    def expect(self, request: Request) -> bool:
        """Reserve a slot for it, if it could start here and now."""
        if not (self.are_open and self.link.keeps_session):
            return False
        if request.delay > 0 or request.run_at is not None:
            return False
        if self.claimer.walks_far or not self.claimer.serves(request.queue):
            return False
        return self.runs.expect(request.id, request.task, request.queue)

    def unexpect(self, request: Request) -> None:
        """It was not born running."""
        self.runs.unexpect(request.id, request.queue)

    def start_expected(self, job: Claimed) -> None:
        """It was."""
        self.ears(events.Claimed(job.id, job.task, job.queue, job.attempt))
        self.runs.start_expected(job)

    async def enqueue(self, requests: Sequence[Request], wishes: Sequence[bool]) -> list[Stored]:
        """Send the statement that lets them be born running and ours."""
        assert self.link.process_id is not None, "nothing is expected before the link was up"
        process = (self.link.process_id, self.link.generation)
        served = sorted({*self.claimer.queues, *(request.queue for request in requests)})
        return await self.ledger.enqueue_and_start(
            requests, wishes, process, served, self.runs.left_alone()
        )
