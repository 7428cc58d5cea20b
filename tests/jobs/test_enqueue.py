"""Storing jobs: alone, many together, later, in order."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from asyncjobs import (
    Enqueued,
    Jobs,
    JobState,
    Tasks,
)
from asyncjobs.errors import (
    Unavailable,
)

HOUR = timedelta(hours=1)


async def test_a_job_runs_and_gives_its_result(jobs: Jobs) -> None:
    @jobs.task
    async def add(a: int, b: int = 1) -> int:
        return a + b

    async with jobs.running():
        job = await add.enqueue(2, b=3)

        assert await job.result(20) == 5
        assert await job.status() is JobState.SUCCEEDED


async def test_a_job_that_was_made_can_be_stored_more_than_once(jobs: Jobs) -> None:
    @jobs.task
    async def echo(word: str) -> str:
        return word

    job = echo.job("again")
    async with jobs.running():
        one, other = await job.enqueue(), await job.enqueue()

        assert one.id != other.id
        assert [await one.result(20), await other.result(20)] == ["again", "again"]


async def test_many_callers_at_once_get_each_their_own(jobs: Jobs) -> None:
    @jobs.task
    async def echo(number: int) -> int:
        return number

    async with jobs.running():
        stored = await asyncio.gather(*(echo.enqueue(number) for number in range(100)))
        results = await asyncio.gather(*(job.result(20) for job in stored))

    assert results == list(range(100))
    assert len({job.id for job in stored}) == 100


async def test_many_jobs_of_any_task_are_stored_together(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def double(number: int) -> int:
        return 2 * number

    @jobs.task
    async def shout(word: str) -> str:
        return word.upper()

    async with jobs.connected():
        stored = await jobs.enqueue_many(
            [double.job(1), shout.job("x"), double.options(queue="other", delay=HOUR).job(2)]
        )

        transactions = await eyes.fetchval("select count(distinct xmin::text) from asyncjobs.job")
    async with jobs.running():
        assert transactions == 1
        assert [await job.result(20) for job in stored[:2]] == [2, "X"]
        assert await stored[2].status() is JobState.SCHEDULED


async def test_many_are_all_stored_or_none(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    @jobs.task
    async def work(number: int) -> None: ...

    await eyes.execute("alter table asyncjobs.job add check (arguments->>'number' <> '3')")
    async with jobs.running():
        with pytest.raises(Unavailable, match="check constraint"):
            await jobs.enqueue_many([work.job(number) for number in range(5)])

        assert await eyes.fetchval("select count(*) from asyncjobs.job") == 0
        assert await eyes.fetchval("select count(*) from asyncjobs.finished") == 0


async def test_one_that_postgres_refuses_does_not_harm_those_beside_it(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def echo(number: int) -> int:
        return number

    await eyes.execute("alter table asyncjobs.job add check (arguments->>'number' <> '13')")
    async with jobs.running():
        outcomes = await asyncio.gather(
            *(echo.enqueue(number) for number in range(40)), return_exceptions=True
        )
        refused = [nth for nth, outcome in enumerate(outcomes) if isinstance(outcome, Exception)]
        stored = [outcome for outcome in outcomes if isinstance(outcome, Enqueued)]
        results = [await job.result(20) for job in stored]

    assert refused == [13]
    assert results == [number for number in range(40) if number != 13]


async def test_none_of_nothing_is_stored(jobs: Jobs) -> None:
    async with jobs.connected():
        assert await jobs.enqueue_many([]) == []


async def test_a_task_of_an_included_registry_runs(jobs: Jobs) -> None:
    tasks = Tasks()
    jobs.include(tasks)

    @tasks.task
    async def work() -> str:
        return "done"

    async with jobs.running():
        assert await (await work.enqueue()).result(20) == "done"


async def test_a_delayed_job_runs_when_its_time_has_come(jobs: Jobs) -> None:
    @jobs.task
    async def now() -> datetime:
        return datetime.now(UTC)

    async with jobs.running():
        before = datetime.now(UTC)
        job = await now.options(delay=timedelta(milliseconds=300)).enqueue()

        assert await job.status() is JobState.SCHEDULED
        assert await job.result(20) - before >= timedelta(milliseconds=300)


async def test_a_moment_that_has_passed_is_now(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> str:
        return "done"

    async with jobs.running():
        job = await work.options(run_at=datetime(2020, 1, 1, tzinfo=UTC)).enqueue()

        assert await job.result(20) == "done"


async def test_the_lowest_priority_goes_first(database: str) -> None:
    jobs = Jobs(database, slots=1)
    ran = []

    @jobs.task
    async def work(priority: int) -> None:
        ran.append(priority)

    async with jobs.connected():
        stored = await jobs.enqueue_many(
            [work.options(priority=priority).job(priority) for priority in (5, -5, 0, 100)]
        )
    async with jobs.running():
        for job in stored:
            await job.result(20)

    assert ran == [-5, 0, 5, 100]
