"""What a function knows of the job that it runs for, and can tell about it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from asyncjobs import CurrentJob, Jobs, JobState, current_job, fixed
from asyncjobs.errors import BadOption, JobFailed, NotInAJob
from tests.moments import until, until_state


def facts(job: CurrentJob) -> dict[str, Any]:
    return {"id": str(job.id), "task": job.task, "queue": job.queue, "attempt": job.attempt}


def test_outside_a_job_there_is_no_current_one() -> None:
    with pytest.raises(NotInAJob):
        current_job()


async def test_a_coroutine_knows_its_job(jobs: Jobs) -> None:
    @jobs.task(name="who", queue="mirror")
    async def who() -> dict[str, Any]:
        await asyncio.sleep(0)
        return facts(current_job())

    async with jobs.running():
        job = await who.enqueue()

        assert await job.result(20) == {
            "id": str(job.id),
            "task": "who",
            "queue": "mirror",
            "attempt": 1,
        }


async def test_a_plain_function_knows_its_job_in_its_thread(jobs: Jobs) -> None:
    @jobs.task(name="who")
    def who() -> dict[str, Any]:
        assert threading.current_thread() is not threading.main_thread()
        return facts(current_job())

    async with jobs.running():
        job = await who.enqueue()

        assert (await job.result(20))["id"] == str(job.id)


async def test_jobs_that_run_beside_each_other_know_each_their_own(jobs: Jobs) -> None:
    all_there = asyncio.Event()
    here: list[UUID] = []

    @jobs.task
    async def who() -> UUID:
        here.append(current_job().id)
        if len(here) == 5:
            all_there.set()
        await all_there.wait()
        return current_job().id

    async with jobs.running():
        stored = [await who.enqueue() for _ in range(5)]

        assert [await job.result(20) for job in stored] == [job.id for job in stored]


async def test_a_task_that_a_job_starts_knows_the_job(jobs: Jobs) -> None:
    async def helper() -> UUID:
        return current_job().id

    @jobs.task
    async def who() -> UUID:
        return await asyncio.create_task(helper())

    async with jobs.running():
        job = await who.enqueue()

        assert await job.result(20) == job.id


async def test_the_attempt_is_counted(jobs: Jobs) -> None:
    seen = []

    @jobs.task(retry=fixed(timedelta(0), 3))
    async def stumble() -> None:
        seen.append(current_job().attempt)
        raise ValueError("again")

    async with jobs.running():
        job = await stumble.enqueue()
        with pytest.raises(JobFailed):
            await job.result(20)

    assert seen == [1, 2, 3]


async def test_without_a_timeout_there_is_no_deadline(jobs: Jobs) -> None:
    @jobs.task
    async def when() -> datetime | None:
        return current_job().deadline

    async with jobs.running():
        assert await (await when.enqueue()).result(20) is None


async def test_the_deadline_is_the_timeout_away(jobs: Jobs) -> None:
    @jobs.task(timeout=timedelta(hours=1))
    async def when() -> datetime | None:
        return current_job().deadline

    before = datetime.now(UTC)
    async with jobs.running():
        deadline = await (await when.enqueue()).result(20)
    after = datetime.now(UTC)

    assert deadline is not None
    assert before <= deadline - timedelta(hours=1) <= after


# Progress.


async def test_progress_is_stored_when_it_returns(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> tuple[float | None, str | None]:
        await current_job().progress(0.5, "half way")
        seen = await jobs.get(current_job().id)
        return seen.progress, seen.progress_note

    async with jobs.running():
        job = await work.enqueue()

        assert await job.result(20) == (0.5, "half way")


async def test_a_thread_reports_without_waiting(jobs: Jobs) -> None:
    go_on = threading.Event()

    @jobs.task
    def work() -> None:
        current_job().report(0.25, "a quarter")
        go_on.wait(20)

    async with jobs.running():
        job = await work.enqueue()

        async def reported() -> bool:
            return (await jobs.get(job.id)).progress is not None

        await until(reported)
        seen = await jobs.get(job.id)
        go_on.set()

    assert (seen.progress, seen.progress_note) == (0.25, "a quarter")


async def test_the_last_of_many_reports_counts(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> None:
        for percent in range(99):
            current_job().report(percent / 100)
        await current_job().progress(1.0, "done")

    async with jobs.running():
        job = await work.enqueue()
        await job.result(20)

        seen = await jobs.get(job.id)
        assert (seen.progress, seen.progress_note) == (1.0, "done")


async def test_a_new_attempt_has_made_no_progress(jobs: Jobs) -> None:
    seen: list[float | None] = []

    @jobs.task(retry=fixed(timedelta(0), 2))
    async def work() -> None:
        seen.append((await jobs.get(current_job().id)).progress)
        await current_job().progress(0.9)
        raise ValueError("so close")

    async with jobs.running():
        with pytest.raises(JobFailed):
            await (await work.enqueue()).result(20)

    assert seen == [None, None]


@pytest.mark.parametrize(
    "note", ["a\0b", "half a character \ud800", "x" * 10_000], ids=["NUL", "half", "long"]
)
async def test_a_note_that_postgres_cannot_hold_is_made_to_fit(jobs: Jobs, note: str) -> None:
    @jobs.task
    async def work() -> None:
        await current_job().progress(0.5, note)

    async with jobs.running():
        job = await work.enqueue()
        await job.result(20)

        kept = (await jobs.get(job.id)).progress_note
        assert kept
        assert len(kept) < 300


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan"), float("inf"), "half", None])
@pytest.mark.parametrize("way", ["progress", "report"])
async def test_a_fraction_that_makes_no_sense_is_refused(
    jobs: Jobs, fraction: Any, way: str
) -> None:
    caught: list[BaseException] = []

    @jobs.task
    async def work() -> None:
        tell: Callable[[Any], Awaitable[None] | None] = getattr(current_job(), way)
        try:
            told = tell(fraction)
            if told is not None:
                await told
        except Exception as error:
            caught.append(error)

    async with jobs.running():
        await (await work.enqueue()).result(20)

    assert [type(error) for error in caught] == [BadOption]


# Being asked to stop.


async def test_a_plain_function_is_told_that_it_was_cancelled(jobs: Jobs) -> None:
    started = threading.Event()

    @jobs.task
    def work() -> None:
        started.set()
        while not current_job().cancelled:
            pass
        current_job().raise_if_cancelled()

    async with jobs.running():
        job = await work.enqueue()
        await asyncio.to_thread(started.wait, 20)

        assert await jobs.cancel(job.id)
        await until_state(job, JobState.CANCELLED)


async def test_a_function_that_nobody_asked_to_stop_goes_on(jobs: Jobs) -> None:
    @jobs.task
    def work() -> str:
        current_job().raise_if_cancelled()
        return "done"

    async with jobs.running():
        assert await (await work.enqueue()).result(20) == "done"
