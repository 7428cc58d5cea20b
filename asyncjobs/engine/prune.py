"""
Housekeeping of the archive: the days to come are there before they are needed, those that have passed are
dropped as a whole. At start and every hour, by everybody, each safe to run twice. A finish never waits
for it: a row whose day is missing spills.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from typing import Any

from asyncjobs.job import JobState
from asyncjobs.postgres.failures import NoAnswer
from asyncjobs.postgres.ledger import Ledger
from asyncjobs.task import KEEP_DAYS, KEEP_FAILED_DAYS, Task

log: logging.Logger = logging.getLogger("asyncjobs.prune")

EVERY = 3600.0  # seconds
BUSY_AGAIN_AFTER = 30.0  # seconds


class Pruner:
    """Tends the archive."""

    def __init__(self, ledger: Ledger, tasks: Callable[[], Mapping[str, Task[..., Any]]]) -> None:
        self._ledger = ledger
        self._tasks = tasks
        self._pause = EVERY

    async def serve(self) -> None:
        """Tend it every hour, and sooner when something was in the way."""
        while True:
            await asyncio.sleep(self._pause)
            await self.tend()

    async def tend(self) -> None:
        """Tend it once."""
        self._pause = BUSY_AGAIN_AFTER
        kept = days_kept(self._tasks())
        try:
            deeds = await self._ledger.tend(kept, kept[-1])
        except NoAnswer as error:
            log.warning("the archive was not tended: %s", error)
            return
        for day, deed in deeds:
            log.log(
                logging.INFO if deed == "busy" else logging.DEBUG, "archive of %s: %s", day, deed
            )
        if not any(deed == "busy" for _, deed in deeds):
            self._pause = EVERY * random.uniform(0.9, 1.1)


def days_kept(tasks: Mapping[str, Task[..., Any]]) -> list[int]:
    """Give, in order, for how many days finished jobs of these tasks are kept, where they are kept at all."""
    kept = {KEEP_DAYS, KEEP_FAILED_DAYS}
    for task in tasks.values():
        kept |= {task.keep_days(JobState.SUCCEEDED), task.keep_days(JobState.FAILED)}
    return sorted(kept - {0})
