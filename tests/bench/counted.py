"""Statements, counted where Postgres writes them: in its log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from asyncjobs.postgres.statements import Statements
from tests.bench.contestant import ask

SAY = Statements("tests.bench", "asyncjobs")


@asynccontextmanager
async def logged(dsn: str) -> AsyncIterator[None]:
    """Have the server log each statement of sessions of this database that begin meanwhile."""
    await ask(dsn, SAY["statements_on"])
    try:
        yield
    finally:
        await ask(dsn, SAY["statements_off"])


class Count:
    """Counts what is logged from now on."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._begins = log.stat().st_size

    def told(self) -> int:
        """How many there were by now."""
        with self._log.open("rb") as log:
            log.seek(self._begins)
            return sum(b"LOG:  execute " in line or b"LOG:  statement: " in line for line in log)
