"""The safety poll: the one statement that an idle process sends, every thirty seconds, on the link."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from asyncjobs.engine.bell import Bell
from asyncjobs.postgres.failures import NoAnswer
from asyncjobs.postgres.ledger import Ledger, Poll

log: logging.Logger = logging.getLogger("asyncjobs.poll")

EVERY = 30.0  # seconds


class Poller:
    """Finds what no NOTIFY told of; it is the link's health check too, and keeps NAT from dropping it."""

    def __init__(self, ledger: Ledger, found: Callable[[Poll], None]) -> None:
        self._ledger = ledger
        self._found = found
        self._bell = Bell()

    def poll_now(self) -> None:
        """The link is new, or something may have been missed."""
        self._bell.ring()

    async def serve(self) -> None:
        """Poll for ever."""
        while True:
            await self._bell.heard(EVERY * random.uniform(0.9, 1.0))
            try:
                self._found(await self._ledger.poll())
            except NoAnswer as error:
                log.debug("no poll: %s", error)
                await asyncio.sleep(0)
