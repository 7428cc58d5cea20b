"""
Draining: how an executor leaves.

Say so (a death from now on charges no job), start nothing more, give running jobs their time, cancel the
rest, record everything, the releases too, tell the others that there is work, and leave. The link closes
last. A plain function that will not end keeps its row, and the link's socket stays open to the end of the
operating system process: the lock tells the truth about it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from asyncjobs.engine.claim import Claimer
from asyncjobs.engine.finish import Finisher
from asyncjobs.engine.presence import Presence
from asyncjobs.engine.run import Stop
from asyncjobs.engine.runs import Runs
from asyncjobs.engine.wake import Waker
from asyncjobs.postgres.bond import Bond

log: logging.Logger = logging.getLogger("asyncjobs.executor")

SAID_WITHIN = 1.0  # seconds, for each thing that others are told
OBEY_WITHIN = 2.0  # seconds that cancelled jobs have to end
FLUSH_WITHIN = 3.0  # seconds


@dataclass(slots=True)
class Drain:
    """One executor's; `seconds` are what running jobs have to end by themselves."""

    seconds: float
    runs: Runs
    link: Bond
    presence: Presence
    claimer: Claimer
    finisher: Finisher
    waker: Waker
    has_begun: bool = False

    def begin(self) -> None:
        """Start nothing more; what runs goes on."""
        if not self.has_begun:
            self.has_begun = True
            self.claimer.close()
            self.runs.keep_waiting(Stop.SHUTDOWN)
            self.presence.drain()
            log.info("draining: %d jobs are running", len(self.runs.live))

    async def to_the_end(self) -> None:
        """See everything ended, recorded and told, and leave; each step has its time and no more."""
        self.runs.close()
        if self.link.is_up:
            await _patiently(self.presence.said_draining.wait(), SAID_WITHIN)
        await _patiently(self.runs.is_idle.wait(), self.seconds)
        if self.runs.live:
            log.warning("%d jobs did not end in time and are cancelled", len(self.runs.live))
            self.runs.stop_all(Stop.SHUTDOWN)
        await _patiently(self.claimer.at_rest.wait(), OBEY_WITHIN)
        await _patiently(self.runs.is_idle.wait(), OBEY_WITHIN)
        await _patiently(self.finisher.flush(), FLUSH_WITHIN)
        await _patiently(self.waker.flush(), SAID_WITHIN)
        self.runs.end()
        if self.runs.live:
            log.error(
                "%d jobs cannot be stopped (%s); they keep their rows until this process ends",
                len(self.runs.live),
                ", ".join(self.runs.names()),
            )
            self.link.outlive_executor()
        else:
            await self.link.leave()

    def cut_short(self) -> None:
        """End what runs with us as well as it can; after a whole drain there is nothing left to do."""
        self.runs.close()
        self.runs.stop_all(Stop.SHUTDOWN)
        self.runs.end()


async def _patiently(what: Coroutine[Any, Any, object], seconds: float) -> None:
    """Wait for it, but not longer than that."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await what
