"""The archive: its days are there before they are needed, and go as a whole."""

from __future__ import annotations

from datetime import date, timedelta

import asyncpg
import pytest

from asyncjobs import Jobs, JobState, never
from asyncjobs.errors import JobFailed
from tests.engine.conftest import STATEMENTS


async def days(eyes: asyncpg.Connection) -> list[date]:
    rows = await eyes.fetch(
        """
        select to_date(right(relname, 8), 'YYYYMMDD') as day
        from pg_inherits join pg_class on pg_class.oid = inhrelid
        where inhparent = 'asyncjobs.archive'::regclass order by 1
        """
    )
    return [row["day"] for row in rows]


async def archived(eyes: asyncpg.Connection, forget_on: date, table: str = "archive") -> None:
    await eyes.execute(
        f"""
        insert into asyncjobs.{table}
          (id, task, queue, priority, state, run_at, promise, attempt, crashes, fence, created_at, arguments,
           finished_at, forget_on)
        values (gen_random_uuid(), 't', 'q', 0, 'succeeded', now(), now(), 1, 0, 1, now(), '{{}}', now(), $1)
        """,
        forget_on,
    )


async def test_the_coming_week_is_there_for_each_length_of_keeping(
    database: str, eyes: asyncpg.Connection
) -> None:
    jobs = Jobs(database)

    @jobs.task(keep=timedelta(days=100))
    async def work() -> None: ...

    async with jobs.running():
        made = await days(eyes)

    today = await eyes.fetchval("select (now() at time zone 'utc')::date")
    for kept in (7, 30, 100):
        for ahead in range(8):
            assert today + timedelta(days=kept + 1 + ahead) in made


async def test_a_job_is_kept_for_as_long_as_its_task_says_and_a_failed_one_longer(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def good() -> None: ...

    @jobs.task(retry=never())
    async def bad() -> None:
        raise ValueError

    async with jobs.running():
        await (await good.enqueue()).result(20)
        with pytest.raises(JobFailed):
            await (await bad.enqueue()).result(20)
        later = await good.options(delay=timedelta(hours=1)).enqueue()
        await jobs.cancel(later.id)

    rows = await eyes.fetch(
        "select state, forget_on - (finished_at at time zone 'utc')::date as days from asyncjobs.finished"
    )
    assert {row["state"]: row["days"] for row in rows} == {
        "succeeded": 8,
        "failed": 31,
        "cancelled": 8,
    }


async def test_a_day_that_has_come_is_dropped_as_a_whole(eyes: asyncpg.Connection) -> None:
    today = await eyes.fetchval("select (now() at time zone 'utc')::date")
    past = today - timedelta(days=1)
    await eyes.execute(
        f"""
        create table asyncjobs.archive_{past:%Y%m%d} (like asyncjobs.archive including constraints);
        alter table asyncjobs.archive attach partition asyncjobs.archive_{past:%Y%m%d}
          for values from ('{past}') to ('{today}');
        """
    )
    await archived(eyes, past)

    deeds = {row["day"]: row["deed"] for row in await eyes.fetch(STATEMENTS["tend_archive"], [7])}

    assert deeds[past] == "dropped"
    assert await eyes.fetchval("select count(*) from asyncjobs.finished") == 0


async def test_tending_gives_way_to_readers_and_comes_again(
    database: str, eyes: asyncpg.Connection
) -> None:
    today = await eyes.fetchval("select (now() at time zone 'utc')::date")
    past = today - timedelta(days=1)
    await eyes.execute(
        f"""
        create table asyncjobs.archive_{past:%Y%m%d} (like asyncjobs.archive including constraints);
        alter table asyncjobs.archive attach partition asyncjobs.archive_{past:%Y%m%d}
          for values from ('{past}') to ('{today}');
        """
    )
    reader = await asyncpg.connect(database)
    async with reader.transaction():
        await reader.fetch("select id from asyncjobs.archive")
        busy = {
            row["day"]: row["deed"] for row in await eyes.fetch(STATEMENTS["tend_archive"], [7])
        }
    await reader.close()
    again = {row["day"]: row["deed"] for row in await eyes.fetch(STATEMENTS["tend_archive"], [7])}

    assert busy[past] == "busy"
    assert all(deed == "attached" for day, deed in busy.items() if day != past)
    assert again == {past: "dropped"}


async def test_a_day_that_spilled_can_still_be_made_and_the_spill_empties(
    eyes: asyncpg.Connection,
) -> None:
    today = await eyes.fetchval("select (now() at time zone 'utc')::date")
    later = today + timedelta(days=8)
    await archived(eyes, later, "archive_spill")
    await archived(eyes, today, "archive_spill")

    made = {row["day"]: row["deed"] for row in await eyes.fetch(STATEMENTS["tend_archive"], [7])}
    await eyes.fetch(STATEMENTS["tend_spill"], 37)

    assert made[later] == "attached"
    assert await eyes.fetchval("select count(*) from asyncjobs.archive_spill") == 1


async def test_a_retry_brings_a_spilled_job_back_too(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    async with jobs.connected():
        await eyes.execute(
            """
            insert into asyncjobs.archive_spill
              (id, task, queue, priority, state, run_at, promise, attempt, crashes, fence, created_at, arguments,
               finished_at, forget_on)
            values (gen_random_uuid(), 't', 'q', 0, 'failed', now(), now(), 3, 0, 9, now(), '{}', now(), '2099-01-01')
            """
        )
        id = await eyes.fetchval("select id from asyncjobs.archive_spill")
        assert await jobs.retry(id)
        snapshot = await jobs.get(id)

    assert (snapshot.state, snapshot.attempt) == (JobState.READY, 0)
    assert await eyes.fetchval("select fence from asyncjobs.job") == 10


async def test_a_process_comes_up_though_another_makes_the_same_day_at_the_same_moment(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    # The other's row type is seen before its table is: Postgres refuses with "type … already exists".
    for ahead in range(60):
        name = await eyes.fetchval(
            "select 'archive_' || to_char((now() at time zone 'utc')::date + $1::integer, 'YYYYMMDD')",
            ahead,
        )
        if await eyes.fetchval("select to_regclass('asyncjobs.' || $1) is null", name):
            await eyes.execute(f"create type asyncjobs.{name} as enum ()")

    @jobs.task
    async def work() -> int:
        return 1

    async with jobs.running():
        assert await (await work.enqueue()).result(10) == 1
