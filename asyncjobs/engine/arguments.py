"""
Large arguments: asked for when the run starts, not brought by the claim.

A claim holds its rows, and the horizon of vacuum, until its answer has been read, and a process whose loop
is blocked reads nothing. So it brings arguments of up to 64 kB each, and larger ones are fetched by id, one
after the other, through the pool, whose other connection stays free for outcomes. The question is guarded
by our claim and its fence like everything that a run says.

It only reads, so an answer that was lost is asked for again, for as long as a run may reasonably stand
still. After that the job goes back unharmed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from asyncjobs.job import Claimed
from asyncjobs.postgres.failures import NoAnswer
from asyncjobs.postgres.ledger import Ledger

log: logging.Logger = logging.getLogger("asyncjobs.arguments")

PATIENCE = 15.0  # seconds
AGAIN_AFTER = 0.5  # seconds, when Postgres did not answer


class LargeArguments:
    """Fetches what the claim left behind."""

    def __init__(self, ledger: Ledger, process: Callable[[], int]) -> None:
        self._ledger = ledger
        self._process = process
        self._turn = asyncio.Lock()

    async def fetch(self, job: Claimed) -> str | None:
        """
        Give the arguments of this job as JSON; None: it is not ours any more.

        Raises NoAnswer when there was none for so long, and Refused.
        """
        give_up_at = time.monotonic() + PATIENCE
        while True:
            try:
                async with self._turn:
                    return await self._ledger.arguments(job.id, self._process(), job.fence)
            except NoAnswer as error:
                if time.monotonic() >= give_up_at:
                    raise
                log.info("job %s waits for its arguments: %s", job.id, error)
            await asyncio.sleep(AGAIN_AFTER)
