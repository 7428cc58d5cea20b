"""Threads, timeouts and cancellation of what runs."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from uuid import UUID

import pytest

from asyncjobs import (
    Jobs,
    JobState,
    current_job,
    fixed,
    never,
)
from asyncjobs.errors import (
    JobCancelled,
    JobFailed,
)
from tests.moments import Gate, until_stands, until_true

HOUR = timedelta(hours=1)


async def test_a_plain_function_runs_in_a_thread(jobs: Jobs) -> None:
    @jobs.task
    def where() -> bool:
        return threading.current_thread() is threading.main_thread()

    async with jobs.running():
        assert await (await where.enqueue()).result(20) is False


async def test_as_many_plain_functions_run_at_once_as_there_are_slots(database: str) -> None:
    jobs = Jobs(database, slots=50)  # more than the threads that anyio lends everybody
    together = threading.Barrier(50, timeout=20)

    @jobs.task
    def meet() -> bool:
        together.wait()
        return True

    async with jobs.running():
        stored = await jobs.enqueue_many([meet.job() for _ in range(50)])

        assert all([await job.result(20) for job in stored])


async def test_a_coroutine_is_cancelled_at_its_timeout(jobs: Jobs) -> None:
    cleaned = []

    @jobs.task(timeout=timedelta(milliseconds=50), retry=fixed(timedelta(0), 2))
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(current_job().attempt)

    async with jobs.running():
        with pytest.raises(JobFailed, match=r"JobTimedOut: ran longer than its timeout of 0\.05 s"):
            await (await work.enqueue()).result(20)

    assert cleaned == [1, 2]


async def test_a_plain_function_is_told_of_its_timeout(jobs: Jobs) -> None:
    @jobs.task(timeout=timedelta(milliseconds=50), retry=never())
    def work() -> None:
        while True:
            current_job().raise_if_cancelled()

    async with jobs.running():
        with pytest.raises(JobFailed, match="JobTimedOut"):
            await (await work.enqueue()).result(20)


async def test_a_job_in_time_is_not_disturbed_by_its_timeout(jobs: Jobs) -> None:
    @jobs.task(timeout=HOUR)
    async def work() -> str:
        return "done"

    async with jobs.running():
        assert await (await work.enqueue()).result(20) == "done"


async def test_a_running_job_is_cancelled_from_outside(jobs: Jobs) -> None:
    gate = Gate()

    @jobs.task
    async def work() -> None:
        await gate.pass_through()

    async with jobs.running():
        job = await work.enqueue()
        await until_true(lambda: gate.inside)

        assert await jobs.cancel(job.id)

        with pytest.raises(JobCancelled, match="somebody asked to cancel it"):
            await job.result(20)
    assert gate.inside == []


async def test_a_job_may_enqueue_another(jobs: Jobs) -> None:
    @jobs.task
    async def inner() -> str:
        return "inner"

    @jobs.task
    async def outer() -> UUID:
        return (await inner.enqueue()).id

    async with jobs.running():
        id = await (await outer.enqueue()).result(20)

        await until_stands(jobs, id, JobState.SUCCEEDED)
