"""What is handed to `options(connection=…)` and cannot be used; and the wrong time and place."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from asyncjobs import Jobs
from asyncjobs.errors import (
    NotConnected,
    WrongConnection,
)
from tests.bad_input.conftest import as_role

STORED = "select count(*) from asyncjobs.job"


class Psycopg:
    """Looks like another driver's connection."""

    closed = False

    async def execute(self, query: str, params: object = None) -> None: ...

    def cursor(self) -> None: ...


async def closed(dsn: str) -> Any:
    connection = await asyncpg.connect(dsn)
    await connection.close()
    return connection


async def released(dsn: str) -> Any:
    async with asyncpg.create_pool(dsn, min_size=0) as pool:
        connection = await pool.acquire()
        await pool.release(connection)
        return connection


async def a_pool(dsn: str) -> Any:
    return asyncpg.create_pool(dsn, min_size=0)


async def an_address(dsn: str) -> Any:
    return dsn


async def another_driver(dsn: str) -> Any:
    return Psycopg()


@pytest.mark.parametrize("hand_in", [closed, released, a_pool, an_address, another_driver])
async def test_a_connection_that_is_none_is_refused(
    jobs: Jobs, database: str, eyes: asyncpg.Connection, hand_in: Callable[[str], Any]
) -> None:
    @jobs.task
    async def work() -> None: ...

    connection = await hand_in(database)
    async with jobs.running():
        with pytest.raises(WrongConnection, match="an open asyncpg connection"):
            await work.options(connection=connection).enqueue()
        with pytest.raises(WrongConnection):
            await jobs.enqueue_many([work.job(), work.job()], connection=connection)

        assert await eyes.fetchval(STORED) == 0


async def test_a_connection_to_another_database_is_refused(
    jobs: Jobs, empty_database: str, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> None: ...

    foreign = await asyncpg.connect(empty_database)
    async with jobs.running():
        with pytest.raises(WrongConnection, match="its database has no jobs"):
            await work.options(connection=foreign).enqueue()

        assert await eyes.fetchval(STORED) == 0
    await foreign.close()


async def test_in_an_aborted_transaction_the_error_is_the_callers_own(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> str:
        return "done"

    async with jobs.running():
        with pytest.raises(asyncpg.InFailedSQLTransactionError):
            async with eyes.transaction():
                with pytest.raises(asyncpg.DivisionByZeroError):
                    await eyes.execute("select 1 / 0")
                await work.options(connection=eyes).enqueue()

        assert await eyes.fetchval(STORED) == 0
        assert await (await work.options(connection=eyes).enqueue()).result(20) == "done"


async def test_a_connection_outside_a_transaction_commits_by_itself(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> str:
        return "done"

    async with jobs.running():
        job = await work.options(connection=eyes).enqueue()

        assert await job.result(20) == "done"


def quoted(value: object) -> str:
    return json.dumps(value)


@pytest.mark.parametrize(
    ("kind", "encoder", "decoder"),
    [
        ("jsonb", quoted, json.loads),
        ("uuid", str, str),
        ("timestamptz", str, str),
    ],
    ids=["jsonb", "uuid", "timestamptz"],
)
async def test_a_connection_with_codecs_of_its_own_stores_the_same_job(
    jobs: Jobs,
    eyes: asyncpg.Connection,
    kind: str,
    encoder: Callable[[Any], str],
    decoder: Callable[[str], Any],
) -> None:
    @jobs.task
    async def add(a: int, b: int) -> int:
        return a + b

    await eyes.set_type_codec(kind, schema="pg_catalog", encoder=encoder, decoder=decoder)
    async with jobs.running():
        job = await add.options(connection=eyes).enqueue(1, b=2)

        assert await job.result(20) == 3


async def test_a_role_that_may_not_store_jobs_gets_its_own_error(
    jobs: Jobs, database: str, guest: str
) -> None:
    @jobs.task
    async def work() -> None: ...

    connection = await asyncpg.connect(as_role(database, guest))
    async with jobs.connected():
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await work.options(connection=connection).enqueue()
    await connection.close()


async def test_nothing_works_before_jobs_is_connected(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> None: ...

    id = UUID(int=1)
    for ask in (
        work.enqueue,
        work.job().enqueue,
        lambda: jobs.enqueue_many([work.job()]),
        lambda: jobs.get(id),
        lambda: jobs.cancel(id),
        lambda: jobs.retry(id),
        lambda: jobs.delete(id),
    ):
        with pytest.raises(NotConnected, match=r"jobs\.running\(\)"):
            await ask()


async def test_nothing_works_after_jobs_was_closed(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.connected():
        job = await work.enqueue()

    for ask in (work.enqueue, job.status, job.result, lambda: jobs.get(job.id)):
        with pytest.raises(NotConnected):
            await ask()
    assert await eyes.fetchval(STORED) == 1


async def test_another_event_loop_is_told_what_to_do(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> None: ...

    def from_a_thread() -> None:
        asyncio.run(enqueue())

    async def enqueue() -> None:
        await work.enqueue()

    async with jobs.running():
        with pytest.raises(NotConnected, match=r"another event loop.*anyio\.from_thread\.run"):
            await asyncio.to_thread(from_a_thread)
