"""A pool that was handed in."""

from __future__ import annotations

import json
from datetime import timedelta

import asyncpg
import pytest

from asyncjobs import (
    Jobs,
)
from asyncjobs.errors import (
    Unavailable,
    UnsafePool,
)

HOUR = timedelta(hours=1)


DURABLE = {"synchronous_commit": "on"}  # which the server of the tests is not by itself


async def test_a_pool_is_used_and_left_open(database: str) -> None:
    async with asyncpg.create_pool(
        database, min_size=1, max_size=2, server_settings=DURABLE
    ) as pool:
        jobs = Jobs(pool=pool)

        @jobs.task
        async def add(a: int, b: int) -> int:
            return a + b

        async with jobs.running():
            stored = await jobs.enqueue_many([add.job(n, 1) for n in range(20)])
            assert [await job.result(20) for job in stored] == list(range(1, 21))

        assert await pool.fetchval("select 1") == 1


async def test_a_pool_whose_connections_have_codecs_of_their_own_is_refused(database: str) -> None:
    async def teach(connection: asyncpg.Connection) -> None:
        for kind in ("json", "jsonb"):
            await connection.set_type_codec(
                kind, schema="pg_catalog", encoder=json.dumps, decoder=json.loads
            )

    async with asyncpg.create_pool(database, init=teach, server_settings=DURABLE) as pool:
        with pytest.raises(UnsafePool, match="codec of their own for jsonb; pass a dsn"):
            async with Jobs(pool=pool).running():
                pass


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("default_transaction_isolation", "serializable"),
        ("default_transaction_isolation", "repeatable read"),
        ("default_transaction_read_only", "on"),
        ("synchronous_commit", "off"),
    ],
)
async def test_a_pool_whose_settings_break_a_promise_is_refused_by_name(
    database: str, setting: str, value: str
) -> None:
    settings = {**DURABLE, setting: value}
    async with asyncpg.create_pool(database, server_settings=settings) as pool:
        with pytest.raises(UnsafePool, match=f"{setting} is '{value}', and must be") as caught:
            async with Jobs(pool=pool).running():
                pass

        assert len(caught.value.findings) == 1
        assert await pool.fetchval("select 1") == 1


async def test_a_pool_that_is_closed_is_refused(database: str) -> None:
    pool = await asyncpg.create_pool(database)
    await pool.close()

    with pytest.raises(Unavailable, match="pool is clos"):
        async with Jobs(pool=pool).running():
            pass


async def test_a_pool_whose_statements_are_cut_short_is_refused_by_name(database: str) -> None:
    hasty = {"statement_timeout": "50", "lock_timeout": "10"}
    async with asyncpg.create_pool(database, min_size=1, max_size=1, server_settings=hasty) as pool:
        with pytest.raises(UnsafePool, match=r"statement_timeout is '50ms'.*"):
            async with Jobs(pool=pool).connected():
                pass
