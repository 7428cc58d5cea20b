"""What the engine's tests share: a `Jobs` of a test's own, and a second pair of eyes on its database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from asyncjobs import Jobs, Tasks
from asyncjobs.postgres.bond import Identity
from asyncjobs.postgres.database import Database
from asyncjobs.postgres.dial import dial
from asyncjobs.postgres.ledger import Ledger
from asyncjobs.postgres.link import Link
from asyncjobs.postgres.statements import Statements
from tests.engine import crew

STATEMENTS = Statements("asyncjobs.postgres", "asyncjobs")
NOBODY = Identity("nobody:0", "script", None, 0, None, 1, None, [], "0")


@pytest.fixture
async def hire(database: str, eyes: asyncpg.Connection) -> AsyncIterator[crew.Hire]:
    """
    Start a process that works on the test's database: `hire(slots, "--leased", dsn=…)`.

    `dsn`: another way to that database. All are killed at the end.
    """
    await eyes.execute(crew.DIARY)
    hired: list[asyncio.subprocess.Process] = []

    async def start(slots: int = 5, *words: str, dsn: str = database) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            *crew.command(dsn, str(slots), "--diary", database, *words),
            stdout=asyncio.subprocess.PIPE,
        )
        hired.append(process)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"up\n"
        return process

    yield start
    for process in hired:
        if process.returncode is None:
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Jobs]:
    """This process only enqueues and asks."""
    jobs = Jobs(database)
    registry = Tasks()
    for task in crew.tasks.tasks.values():
        registry.task(name=task.name, retry=task.retry)(task.function)
    jobs.include(registry)
    async with jobs.connected():
        yield jobs


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease lasts six seconds instead of twenty, and all its budgets are shorter by as much."""
    crew.shorten(0.3, monkeypatch.setattr)


@pytest.fixture
async def ledger(database: str) -> AsyncIterator[Ledger]:
    """The statements that go through the pool, without a process around them that would act on its own."""
    pool = Database(database, None, "asyncjobs", STATEMENTS)
    await pool.open()
    yield Ledger(STATEMENTS, pool, Link(dial(database, None), "unheard", STATEMENTS, NOBODY, None))  # type: ignore[arg-type]
    await pool.close()
