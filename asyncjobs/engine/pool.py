"""
Asking the pool again while it fails, so that it is known when it answers.

Nothing is sent while all is well: whoever uses the pool finds out by the way. But a process that was taken
out of its load balancer because the pool failed has nobody left to find out that it works again.
"""

from __future__ import annotations

import asyncio
import logging

from asyncjobs.engine.bell import Bell
from asyncjobs.errors import Unavailable
from asyncjobs.postgres.database import Database
from asyncjobs.postgres.enqueues import Enqueues

log: logging.Logger = logging.getLogger("asyncjobs.pool")

AGAIN_AFTER = 3.0  # seconds


class PoolWatch:
    """Stands by, and asks only while there is no answer."""

    def __init__(self, database: Database, ledger: Enqueues) -> None:
        self._answers = database.answers
        self._ledger = ledger
        self._bell = Bell()
        self._answers.began_failing = self._bell.ring

    async def serve(self) -> None:
        """Wake when the pool begins to fail; ask until it answers."""
        while True:
            await self._bell.heard()
            while self._answers.failing_since is not None:
                await asyncio.sleep(AGAIN_AFTER)
                try:
                    await self._ledger.now()
                except Unavailable as error:
                    log.debug("the pool does not answer yet: %s", error)
