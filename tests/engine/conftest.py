"""What the engine's tests share: a `Jobs` of a test's own, and a second pair of eyes on its database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asyncjobs.postgres.database import Database
from asyncjobs.postgres.dial import dial
from asyncjobs.postgres.ledger import Ledger
from asyncjobs.postgres.link import Identity, Link
from asyncjobs.postgres.statements import Statements

STATEMENTS = Statements("asyncjobs.postgres", "asyncjobs")
NOBODY = Identity("nobody:0", "script", None, 0, None, 1, None, [], "0")


@pytest.fixture
async def ledger(database: str) -> AsyncIterator[Ledger]:
    """The statements that go through the pool, without a process around them that would act on its own."""
    pool = Database(database, None, "asyncjobs", STATEMENTS)
    await pool.open()
    yield Ledger(STATEMENTS, pool, Link(dial(database, None), "unheard", STATEMENTS, NOBODY, None))  # type: ignore[arg-type]
    await pool.close()
