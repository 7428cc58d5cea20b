"""Waiting for the end of a job, and how long it is kept after that."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from asyncjobs import (
    Jobs,
    JobState,
    never,
)
from asyncjobs.errors import (
    JobCancelled,
    JobFailed,
    JobNotFound,
    ResultTimeout,
)
from tests.moments import Gate, until_state, until_true

HOUR = timedelta(hours=1)


async def test_a_failed_job_tells_why(jobs: Jobs) -> None:
    @jobs.task(name="fall", retry=never())
    async def fall() -> None:
        raise ValueError("from a great height")

    async with jobs.running():
        job = await fall.enqueue()
        with pytest.raises(JobFailed, match="ValueError: from a great height") as caught:
            await job.result(20)

    error = caught.value
    assert (error.id, error.task, error.error) == (
        job.id,
        "fall",
        "ValueError: from a great height",
    )
    assert error.traceback is not None
    assert "in fall" in error.traceback
    assert "asyncjobs/engine" not in error.traceback


async def test_a_cancelled_job_has_no_result(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.connected():
        job = await work.enqueue()
        await jobs.cancel(job.id)

        with pytest.raises(JobCancelled, match="cancelled before it ran") as caught:
            await job.result(20)

    assert caught.value.reason == "cancelled before it ran"


@pytest.mark.parametrize("timeout", [timedelta(milliseconds=50), 0.05, 0, timedelta(seconds=-1)])
async def test_a_result_that_takes_too_long_is_not_waited_for(
    jobs: Jobs, timeout: timedelta | float
) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.connected():
        job = await work.enqueue()

        with pytest.raises(ResultTimeout) as caught:
            await job.result(timeout)

        assert isinstance(caught.value, TimeoutError)
        assert await job.status() is JobState.READY


async def test_a_result_that_is_there_needs_no_time(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> str:
        return "done"

    async with jobs.running():
        job = await work.enqueue()
        await job.result(20)

        assert await job.result(0) == "done"


async def test_a_caller_that_stops_waiting_does_not_harm_the_job(jobs: Jobs) -> None:
    gate = Gate()

    @jobs.task
    async def work() -> str:
        await gate.pass_through()
        return "done"

    async with jobs.running():
        job = await work.enqueue()
        waiting = asyncio.ensure_future(job.result())
        await until_true(lambda: gate.inside)
        waiting.cancel()
        await asyncio.wait([waiting])
        gate.open()

        assert await job.result(20) == "done"


async def test_a_result_is_waited_for_from_another_process(database: str) -> None:
    runs, asks = Jobs(database), Jobs(database)

    async def work() -> str:
        return "done"

    runs.task(name="work")(work)
    task = asks.task(name="work")(work)
    async with runs.running(), asks.connected():
        assert await (await task.enqueue()).result(20) == "done"


async def test_a_job_that_is_not_kept_leaves_no_trace(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    @jobs.task(keep=timedelta(0))
    async def work() -> str:
        return "done"

    async with jobs.running():
        job = await work.enqueue()
        with pytest.raises(JobNotFound, match="keep="):
            await job.result(20)

    assert await eyes.fetchval("select count(*) from asyncjobs.finished") == 0


@pytest.mark.parametrize(
    ("keep", "fails", "days"),
    [
        (None, False, 7),
        (None, True, 30),
        (timedelta(days=2), False, 2),
        (timedelta(hours=1), True, 1),
    ],
)
async def test_a_finished_job_is_kept_as_long_as_its_task_says(
    jobs: Jobs, eyes: asyncpg.Connection, keep: timedelta | None, fails: bool, days: int
) -> None:
    @jobs.task(keep=keep, retry=never())
    async def work() -> None:
        if fails:
            raise ValueError("as asked")

    async with jobs.running():
        job = await work.enqueue()
        await until_state(job, JobState.SUCCEEDED, JobState.FAILED)

    kept = "select forget_on - (finished_at at time zone 'utc')::date from asyncjobs.finished"
    assert await eyes.fetchval(kept) == days + 1  # full days, after the one on which it finished
