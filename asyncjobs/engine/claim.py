"""
Claiming: one loop for all queues of a process.

It is woken by whatever makes a job ready here or elsewhere, by a slot that becomes free, and at the latest
by the safety poll. It reserves the free slots, asks for as many jobs, and starts what it gets. It stops
when there is nothing left that it could see: "saw more than I got" means that others hold some of what
was seen, and asks again at once, with more candidates for each slot.

The bell is heard before the claim is sent: a wake that comes while the claim is on its way is not lost.
A claim without an answer may have made jobs ours that we do not know of; the beat sorts that out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from asyncjobs import events
from asyncjobs.engine.bell import Bell
from asyncjobs.engine.runs import Runs
from asyncjobs.postgres.failures import InDoubt, NoAnswer
from asyncjobs.postgres.ledger import Ledger

log = logging.getLogger("asyncjobs.claim")

SPREAD = 4  # candidates for each slot, while others claim beside us
AGAIN_AFTER = 0.003  # seconds, when others hold what was seen
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
        emit: Callable[[events.Event], None],
        doubt: Callable[[], None],
        backlog: Callable[[], int],
    ) -> None:
        self.bell = Bell()
        self.is_open = False
        self._ledger = ledger
        self._runs = runs
        self._queues = dict.fromkeys(queues)
        self._all_queues = all_queues
        self._emit = emit
        self._doubt = doubt
        self._backlog = backlog

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
            self._queues.update(dict.fromkeys(queues))
        self.bell.ring()

    async def serve(self) -> None:
        """Claim whenever there is a slot and something may be ready."""
        while True:
            await self.bell.heard()
            while self.is_open and await self._claim():
                pass

    async def _claim(self) -> bool:
        """Claim once; tells whether to look again."""
        slots = self._runs.slots
        while self.is_open and (
            slots.free <= 0 or self._backlog() > 2 * slots.total + MOST_AT_ONCE
        ):
            await self._runs.slot_freed.heard()
        rooms = slots.ask(self._queues, MOST_AT_ONCE)
        if not rooms or not self.is_open:
            slots.answered()
            return False
        demand = slots.asked
        got, saw = 0, 0
        spread = 1
        try:
            while not got:
                jobs, saw = await self._ledger.claim(
                    rooms, demand, sorted(self._runs.unknown), int(self._runs.suspects == 0), spread
                )
                got = len(jobs)
                if got or not saw or spread == SPREAD:
                    break
                spread = SPREAD
        except NoAnswer as error:
            if isinstance(error, InDoubt):
                self._doubt()
            log.info("no claim: %s", error)
            return False
        finally:
            slots.answered()
        for job in jobs:
            self._runs.start_claimed(job)
            self._emit(events.Claimed(job.id, job.task, job.queue, job.attempt))
        if saw > got and got < demand:
            await asyncio.sleep(AGAIN_AFTER)
        return got == demand or saw > got
