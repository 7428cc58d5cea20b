"""Postgres without a connection to give: the link comes first, and the app lives through it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from asyncjobs import Jobs
from asyncjobs.errors import Unavailable
from asyncjobs.postgres.database import Database
from asyncjobs.postgres.failures import Unreachable
from asyncjobs.postgres.statements import Statements
from tests.engine.harm import cut, inside
from tests.moments import until_true

STATEMENTS = Statements("asyncjobs.postgres", "asyncjobs")

Limit = Callable[[int], Awaitable[None]]


@pytest.fixture
async def few(eyes: asyncpg.Connection, database: str) -> AsyncIterator[str]:
    """The address of the test's database, as a role whose connections are counted."""
    name = await eyes.fetchval("select current_database()")
    role = f"few_{name}"
    await eyes.execute(f"create role {role} login")
    await eyes.execute(f"grant usage on schema asyncjobs to {role}")
    await eyes.execute(
        f"grant select, insert, update, delete on all tables in schema asyncjobs to {role}"
    )
    await eyes.execute(f"grant execute on all functions in schema asyncjobs to {role}")
    yield database.replace("postgres@", f"{role}@")
    await eyes.execute(f"drop owned by {role}")
    await eyes.execute(f"drop role {role}")


@pytest.fixture
def limit(eyes: asyncpg.Connection, few: str) -> Limit:
    """Let the role have no more connections than so many."""
    role = few.partition("//")[2].partition("@")[0]

    async def to(number: int) -> None:
        await eyes.execute(f"alter role {role} connection limit {number}")

    return to


async def test_a_process_starts_with_the_last_connection(few: str, limit: Limit) -> None:
    await limit(1)
    jobs = Jobs(few)

    async with jobs.running():
        assert inside(jobs).link.is_up


async def test_a_link_that_is_refused_a_connection_takes_one_of_the_pools(
    few: str, limit: Limit, eyes: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = Jobs(few)

    @jobs.task
    async def double(number: int) -> int:
        return number * 2

    async with jobs.running():
        assert await (await double.enqueue(1)).result(timeout=20) == 2
        link = inside(jobs).link
        await limit(1)
        with caplog.at_level(logging.INFO, "asyncjobs"):
            assert await cut(eyes, "asyncjobs link") == 1
            await until_true(lambda: link.generation == 2 and link.is_up)
        assert "takes one of the pool's" in caplog.text

        storing = asyncio.ensure_future(double.enqueue(2))
        await until_true(lambda: "all connections that Postgres has are taken" in caplog.text)
        await limit(2)
        assert await (await storing).result(timeout=20) == 4


async def test_without_any_connection_the_app_goes_on_and_comes_back(
    few: str, limit: Limit, eyes: asyncpg.Connection
) -> None:
    jobs = Jobs(few)

    @jobs.task
    async def double(number: int) -> int:
        return number * 2

    async with jobs.running():
        link = inside(jobs).link
        await limit(0)
        assert await cut(eyes, "asyncjobs") >= 2

        def knows() -> bool:
            refusal = inside(jobs).refusal
            return isinstance(refusal, Unreachable) and refusal.lacks_slots

        await until_true(knows)
        with pytest.raises(Unavailable, match="all connections that Postgres has are taken"):
            await jobs.database.fetch("select 1")

        await limit(2)
        await until_true(lambda: link.is_up)
        assert await (await double.enqueue(2)).result(timeout=20) == 4


async def test_where_a_second_connection_is_refused_the_first_is_waited_for(
    few: str, limit: Limit
) -> None:
    await limit(1)
    pool = Database(few, None, "asyncjobs", STATEMENTS)
    await pool.open()

    rows = await asyncio.gather(
        pool.fetchval("select 1 from pg_sleep(0.3)"), pool.fetchval("select 2")
    )

    assert list(rows) == [1, 2]
    await pool.close()


async def test_a_connection_in_use_is_given_up_when_it_comes_back(database: str) -> None:
    pool = Database(database, None, "asyncjobs", STATEMENTS)
    await pool.open()
    async with pool.connection() as first, pool.connection() as second:

        async def wait_for_one() -> bool:
            async with pool.giving_way() as has_given:
                with pytest.raises(Unreachable, match="the link needs it first"):
                    await pool._make()
                return has_given

        waiting = asyncio.ensure_future(wait_for_one())
        await until_true(lambda: pool._wanted is not None)
        inner = second._con  # type: ignore[attr-defined]
        assert not waiting.done()
        assert not first.is_closed()
    assert await waiting
    assert inner.is_closed()
    assert pool._pool is not None
    assert pool._pool.get_size() == 1
    await pool.close()


async def test_a_pool_without_connections_has_none_to_give(database: str) -> None:
    pool = Database(database, None, "asyncjobs", STATEMENTS)

    async with pool.giving_way() as has_given:
        assert not has_given
