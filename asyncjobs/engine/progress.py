"""
Progress of runs, stored together: the latest of each job, one statement at a time, no timer.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from asyncjobs.current import CurrentJob
from asyncjobs.engine.bell import Bell
from asyncjobs.engine.story import storable
from asyncjobs.postgres.failures import NoAnswer
from asyncjobs.postgres.ledger import Ledger

log: logging.Logger = logging.getLogger("asyncjobs.progress")

NOTE = 200  # characters
PAUSE = 0.05  # seconds between two statements: twenty a second are enough for any eye


class _Report(NamedTuple):
    fence: int
    fraction: float
    note: str
    stored: asyncio.Future[None]


class Reporter:
    """Where `current_job().progress(…)` goes."""

    def __init__(
        self, ledger: Ledger, process: Callable[[], int], doubt: Callable[[], None]
    ) -> None:
        self._ledger = ledger
        self._process = process
        self._doubt = doubt
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._latest: dict[UUID, _Report] = {}
        self._bell = Bell()

    async def progress(self, job: CurrentJob, fraction: float, note: str) -> None:
        """Take a report and come back when it, or a later one of the same job, is stored."""
        await asyncio.shield(self._take(job.id, job.fence, fraction, note))

    def report(self, job: CurrentJob, fraction: float, note: str) -> None:
        """Take a report, from any thread."""
        if threading.get_ident() == self._thread:
            self._take(job.id, job.fence, fraction, note)
        else:
            self._loop.call_soon_threadsafe(self._take, job.id, job.fence, fraction, note)

    @property
    def acts_since(self) -> float | None:
        """When it last came along (`time.monotonic()`); None while it listens for reports."""
        return self._bell.left_at

    async def serve(self) -> None:
        """Store what was reported."""
        while True:
            await self._bell.heard()
            latest, self._latest = self._latest, {}
            await self._store(latest)
            await asyncio.sleep(PAUSE)

    def _take(self, id: UUID, fence: int, fraction: float, note: str) -> asyncio.Future[None]:
        before = self._latest.get(id)
        stored = before.stored if before else self._loop.create_future()
        self._latest[id] = _Report(fence, fraction, storable(note, NOTE), stored)
        self._bell.ring()
        return stored

    async def _store(self, latest: dict[UUID, _Report]) -> None:
        reports = [(id, r.fence, r.fraction, r.note) for id, r in latest.items()]
        try:
            ours = await self._ledger.progress(self._process(), reports)
            if len(ours) < len(reports):
                self._doubt()  # locked for a moment, or not ours any more: the beat knows
        except NoAnswer as error:
            log.info("progress was not stored: %s", error)
        finally:
            for report in latest.values():
                if not report.stored.done():
                    report.stored.set_result(None)
