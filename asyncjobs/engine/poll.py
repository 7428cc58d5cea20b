"""
The safety poll: the one statement that an idle process sends, twice a minute at most, on the link.

With a lease in place of the link nothing is heard of the others, and the poll stands in for it: then it comes
every second.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from asyncjobs.engine.bell import Bell
from asyncjobs.postgres.answers import Answers
from asyncjobs.postgres.failures import NoAnswer
from asyncjobs.postgres.ledger import Ledger
from asyncjobs.postgres.values import Poll

log: logging.Logger = logging.getLogger("asyncjobs.poll")

EVERY = 30.0  # seconds
EVERY_UNHEARD = 1.0  # seconds, where no NOTIFY arrives
AGAIN_AFTER = 5.0  # seconds, when there was no answer


class Poller:
    """Finds what no NOTIFY told of; it is the link's health check too, and keeps NAT from dropping it."""

    def __init__(self, ledger: Ledger, found: Callable[[Poll], None], *, hears: bool) -> None:
        self._ledger = ledger
        self._hears = hears
        self._found = found
        self._bell = Bell()
        self.answers: Answers = Answers()

    def poll_now(self) -> None:
        """The link is new, or something may have been missed."""
        self._bell.ring()

    @property
    def acts_since(self) -> float | None:
        """When it last came along (`time.monotonic()`); None while it waits."""
        return self._bell.left_at

    async def serve(self) -> None:
        """Poll for ever."""
        every = EVERY if self._hears else EVERY_UNHEARD
        pause = every
        while True:
            await self._bell.heard(pause * random.uniform(1.0, 1.1))
            try:
                found = await self._ledger.poll()
            except NoAnswer as error:
                log.debug("no poll: %s", error)
                self.answers.failed(error)
                pause = AGAIN_AFTER
                await asyncio.sleep(0)
            else:
                self.answers.came()
                pause = every
                self._found(found)
