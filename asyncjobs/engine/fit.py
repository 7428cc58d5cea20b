"""
Whether the schema fits this code: looked at on connecting, and again when a poll sees another migration.

A deploy migrates while we run. Newer tables are fine as long as they say that this code may run on them; where
they do not, or are gone, `misfit` says so, for `/ready` to tell.
"""

from __future__ import annotations

import logging

from asyncjobs.engine.bell import Bell
from asyncjobs.errors import SchemaMismatch, Unavailable
from asyncjobs.postgres.database import Database
from asyncjobs.postgres.migrate import check_schema

log: logging.Logger = logging.getLogger("asyncjobs.schema")

AGAIN_AFTER = 5.0  # seconds, when Postgres did not answer


class Fit:
    """What is known of the schema."""

    def __init__(self, database: Database, version: str) -> None:
        self.migration: str | None = None
        self.misfit: str | None = None
        self._database = database
        self._version = version
        self._bell = Bell()

    async def look(self) -> None:
        """Look now; raises SchemaMismatch, NotPermitted, Unavailable."""
        self.migration = await check_schema(self._database, self._version)
        self.misfit = None

    def seen(self, migration: str | None) -> None:
        """A poll saw that this is the newest migration."""
        if migration != self.migration:
            self._bell.ring()

    async def serve(self) -> None:
        """Look again whenever something else was seen."""
        again: float | None = None
        while True:
            await self._bell.heard(again)
            again = None
            try:
                await self.look()
            except SchemaMismatch as mismatch:
                if self.misfit is None:
                    log.error("%s", mismatch)  # noqa: TRY400
                self.misfit, again = str(mismatch), AGAIN_AFTER
            except Unavailable as error:
                log.info("could not look at the schema again: %s", error)
                again = AGAIN_AFTER
