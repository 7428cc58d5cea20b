"""A schema of one's own."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest

from asyncjobs import (
    Jobs,
    JobState,
    current_job,
    fixed,
    never,
)
from asyncjobs.errors import (
    JobNotFound,
)
from tests.moments import until_history, until_stands, until_state

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("schema", ["other_jobs", "select", "_1"])
async def test_everything_works_in_another_schema(empty_database: str, schema: str) -> None:
    jobs = Jobs(empty_database, schema=schema, migrate=True)
    tries = []

    @jobs.task(retry=fixed(timedelta(milliseconds=10), 2))
    async def stumble() -> str:
        await current_job().progress(0.5)
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("once")
        return "done"

    @jobs.task(retry=never())
    async def fall() -> None:
        raise ValueError("as asked")

    async with jobs.running():
        assert jobs.schema == jobs.database.schema == schema
        assert await (await stumble.enqueue()).result(20) == "done"
        later = await stumble.options(delay=HOUR).enqueue()
        assert await jobs.cancel(later.id)
        failed = await fall.enqueue()
        await until_state(failed, JobState.FAILED)
        assert await jobs.retry(failed.id)
        await until_history(jobs, failed.id, 1)
        await until_state(failed, JobState.FAILED)
        assert await jobs.delete(failed.id)
        schemas = await jobs.database.fetch(
            "select nspname::text as name from pg_namespace where nspname !~ '^pg_|information_schema'"
        )

    assert {row["name"] for row in schemas} == {"public", schema}


async def test_another_schema_hears_of_jobs_in_transactions_and_of_those_elsewhere(
    empty_database: str,
) -> None:
    here, there = (Jobs(empty_database, schema="select", migrate=True) for _ in range(2))

    @here.task(name="work")
    async def work() -> str:
        return "done"

    eyes = await asyncpg.connect(empty_database)
    async with here.running(), there.connected():
        there_too = there.task(name="work")(work.function)
        async with eyes.transaction():
            job = await work.options(connection=eyes).enqueue()
        assert await job.result(10) == "done"
        assert await (await there_too.enqueue()).result(10) == "done"
        id = await eyes.fetchval("select \"select\".enqueue('work')")
        await until_stands(here, id, JobState.SUCCEEDED)
    await eyes.close()


async def test_two_schemas_in_one_database_do_not_mix(database: str) -> None:
    ours, theirs = Jobs(database), Jobs(database, schema="theirs", migrate=True)

    @ours.task(name="who")
    async def we() -> str:
        return "we"

    @theirs.task(name="who")
    async def they() -> str:
        return "they"

    async with ours.running(), theirs.running():
        one = [await we.enqueue() for _ in range(10)]
        other = [await they.enqueue() for _ in range(10)]

        assert {await job.result(20) for job in one} == {"we"}
        assert {await job.result(20) for job in other} == {"they"}
        with pytest.raises(JobNotFound):
            await ours.get(other[0].id)
