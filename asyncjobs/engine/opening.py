"""
Opening: what a generation of the link must know before it takes jobs.

*Is this the database that its jobs belong to?* A copy of production, dumped and restored or made from a
template, holds what waits in production, and would run it a second time. So the first executor notes the
cluster and the database, and one that finds itself elsewhere comes up, but claims, promotes and rescues
nothing: it says so, and asks again, until somebody says that this is the place now. Where nothing unfinished
is stored there is nothing to fear, and after pg_upgrade it is the same database: then the note is made anew.
A copy of the disk, and a branch of it, look like the original; nothing that can be asked tells them apart.

*What does Postgres think that we run?* A claim may have been forgotten by a server that crashed, or answered
to the former generation alone. So the first beat is answered before the first claim is sent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from asyncjobs.engine.bell import Bell
from asyncjobs.engine.presence import Presence
from asyncjobs.postgres.bond import Bond
from asyncjobs.postgres.failures import NoAnswer, NotNow, Refused
from asyncjobs.postgres.ledger import Ledger
from asyncjobs.postgres.patience import patience

log: logging.Logger = logging.getLogger("asyncjobs.opening")

AGAIN_AFTER = 0.5  # seconds, when Postgres did not answer
AGREED_WITHIN = 6.0  # seconds; longer than a statement that waits for a locked table may take
COPY_AGAIN_AFTER = 30.0  # seconds; whoever says that this is the place sends word, too

COPY = (
    "this database is a copy: the jobs that wait in it belong to another one, so none is run here. If they are"
    " to run here, say `asyncjobs adopt`; if not, delete them (docs/database.md tells more)"
)


class Opening:
    """Lets a generation take jobs when it knows that it may."""

    def __init__(
        self,
        link: Bond,
        ledger: Ledger,
        presence: Presence,
        opened: Callable[[], None],
        kept_shut: Callable[[], None],
    ) -> None:
        self._link = link
        self._ledger = ledger
        self._presence = presence
        self._opened = opened
        self._kept_shut = kept_shut
        self._bell = Bell()
        self.is_copy: bool = False

    def begin(self) -> None:
        """The link is new, or somebody has said which database is the one."""
        self._bell.ring()

    async def serve(self) -> None:
        """Open each generation."""
        pause: float | None = None
        while True:
            await self._bell.heard(pause)
            try:
                await self._open()
            except NoAnswer as error:
                log.info("nothing is claimed yet: %s", error)
                self._kept_shut()
                pause = AGAIN_AFTER if self._link.is_up else None
            else:
                pause = COPY_AGAIN_AFTER if self.is_copy else None

    async def _open(self) -> None:
        generation = self._link.generation
        is_copy = not await self._is_home()
        if is_copy and not self.is_copy:
            log.error(COPY)
        self.is_copy = is_copy
        if is_copy:
            self._kept_shut()
            return
        try:
            async with patience(AGREED_WITHIN):
                await self._presence.agreed()
        except TimeoutError as error:
            raise NotNow("agree with Postgres on what runs here", error) from error
        # Another generation by now has rung the bell.
        if self._link.is_up and self._link.generation == generation:
            self._opened()

    async def _is_home(self) -> bool:
        try:
            home = await self._ledger.home()
            if home.is_here:
                return True
            if home.is_noted and home.has_jobs and not home.is_upgraded:
                return False
            await self._ledger.adopt()
        except Refused as error:
            # A host may hide the identifier, and an older role may lack the right to the note.
            log.warning("whether this database is a copy cannot be told: %s", error)
        return True
