"""In the caller's own transaction a job exists exactly when that commits."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from asyncjobs import (
    Jobs,
)
from asyncjobs.errors import (
    BadOption,
    JobNotFound,
)

HOUR = timedelta(hours=1)


async def test_a_job_exists_when_the_callers_transaction_commits(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> str:
        return "done"

    async with jobs.running():
        async with eyes.transaction():
            job = await work.options(connection=eyes).enqueue()
            with pytest.raises(JobNotFound):
                await jobs.get(job.id)

        assert await job.result(20) == "done"


async def test_a_job_vanishes_with_the_callers_transaction(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.running():
        transaction = eyes.transaction()
        await transaction.start()
        job = await work.options(connection=eyes).enqueue()
        await transaction.rollback()

        with pytest.raises(JobNotFound):
            await job.status()


async def test_a_job_in_a_savepoint_shares_its_fate(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    @jobs.task
    async def work(name: str) -> str:
        return name

    on_eyes = work.options(connection=eyes)
    async with jobs.running():
        async with eyes.transaction():
            async with eyes.transaction():
                kept = await on_eyes.enqueue("kept")
            savepoint = eyes.transaction()
            await savepoint.start()
            dropped = await on_eyes.enqueue("dropped")
            await savepoint.rollback()

        assert await kept.result(20) == "kept"
        with pytest.raises(JobNotFound):
            await dropped.status()


async def test_many_jobs_share_the_callers_transaction(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def echo(number: int) -> int:
        return number

    async with jobs.running():
        async with eyes.transaction():
            stored = await jobs.enqueue_many([echo.job(n) for n in range(3)], connection=eyes)
            assert await eyes.fetchval("select count(*) from asyncjobs.job") == 3

        assert [await job.result(20) for job in stored] == [0, 1, 2]


async def test_many_jobs_that_name_one_connection_use_it(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> None: ...

    job = work.options(connection=eyes).job()
    async with jobs.connected():
        transaction = eyes.transaction()
        await transaction.start()
        [one, _] = await jobs.enqueue_many([job, job])
        await transaction.rollback()

        with pytest.raises(JobNotFound):
            await one.status()


async def test_many_jobs_that_name_several_connections_are_refused(
    jobs: Jobs, database: str, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> None: ...

    other = await asyncpg.connect(database)
    async with jobs.connected():
        with pytest.raises(BadOption, match="one for all"):
            await jobs.enqueue_many(
                [work.options(connection=eyes).job(), work.options(connection=other).job()]
            )
    await other.close()


async def test_a_connection_lent_by_a_pool_will_do(jobs: Jobs, database: str) -> None:
    @jobs.task
    async def work() -> str:
        return "done"

    async with jobs.running(), asyncpg.create_pool(database, min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection, connection.transaction():
            job = await work.options(connection=connection).enqueue()

        assert await job.result(20) == "done"


async def test_a_delayed_job_in_a_transaction_runs_after_it(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> str:
        return "done"

    async with jobs.running():
        async with eyes.transaction():
            later = work.options(connection=eyes, delay=timedelta(milliseconds=100))
            job = await later.enqueue()

        assert await job.result(20) == "done"
