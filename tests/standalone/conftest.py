"""The yard: the jobs that workers run, seen from the test, and the workers that a test starts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from itertools import count
from pathlib import Path

import asyncpg
import pytest

from tests.command import Command, started
from tests.moments import until
from tests.standalone import yard

StartWork = Callable[..., AbstractAsyncContextManager[Command]]


class Yard:
    """What a test sees and does while workers work."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def alive(self) -> list[int]:
        """The pids of the workers that Postgres takes for alive."""
        rows = await self.connection.fetch(
            """
            select pid from asyncjobs.process
            where ended_at is null and lock_key in (
              select (classid::bigint << 32) | objid::bigint from pg_locks where locktype = 'advisory'
            )
            """
        )
        return [row["pid"] for row in rows]

    async def until_alive(self, number: int) -> list[int]:
        async def seen() -> bool:
            return len(await self.alive()) == number

        await until(seen)
        return await self.alive()

    async def until_draining(self, number: int = 1) -> None:
        draining = "select count(*) from asyncjobs.process where draining and ended_at is null"

        async def seen() -> bool:
            return bool(await self.connection.fetchval(draining) == number)

        await until(seen)

    async def ledger(self) -> list[tuple[object, int]]:
        rows = await self.connection.fetch("select job, pid from public.ledger")
        return [(row["job"], row["pid"]) for row in rows]

    async def until_signed(self, number: int) -> list[tuple[object, int]]:
        async def seen() -> bool:
            return len(await self.ledger()) >= number

        await until(seen)
        return await self.ledger()

    async def until_all_finished(self) -> None:
        async def seen() -> bool:
            return not await self.connection.fetchval("select exists (select from asyncjobs.job)")

        await until(seen)

    async def open_gate(self, name: str) -> None:
        await self.connection.execute("insert into public.gate (name) values ($1)", name)


@pytest.fixture
async def seen(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Yard]:
    """The yard on a database of the test's own; its jobs can be enqueued here, and nothing runs here."""
    monkeypatch.setenv("ASYNCJOBS_DATABASE_URL", database)
    connection = await asyncpg.connect(database)
    await connection.execute(yard.TABLES)
    async with yard.jobs.connected():
        yield Yard(connection)
    await connection.close()


@pytest.fixture
def start_work(tmp_path: Path) -> StartWork:
    """Start `asyncjobs work` on the yard."""
    numbers = count(1)

    def start(
        *options: str, target: str = "tests.standalone.yard:jobs", **environment: str
    ) -> AbstractAsyncContextManager[Command]:
        words = tmp_path / f"work-{next(numbers)}.log"
        return started(words, "work", target, *options, environment=environment)

    return start
