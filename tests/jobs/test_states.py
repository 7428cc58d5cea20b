"""A job in every state: got, cancelled, retried, deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from asyncjobs import (
    Cancel,
    Jobs,
    JobState,
    never,
)
from asyncjobs.errors import (
    JobNotFound,
)
from tests.moments import until_history, until_stands, until_state

HOUR = timedelta(hours=1)
UNKNOWN = UUID(int=1)


Stand = Callable[[JobState], Awaitable[UUID]]


@pytest.fixture
async def crowd(database: str, eyes: asyncpg.Connection) -> AsyncIterator[tuple[Jobs, Stand]]:
    """Running jobs, and a way to bring a job of them into a state."""
    jobs = Jobs(database, queues=["served"], drain=timedelta(0))

    @jobs.task(queue="served", retry=never())
    async def end(how: str) -> str | Cancel:
        if how == "running":
            await asyncio.Event().wait()
        if how == "failed":
            raise ValueError("as asked")
        return Cancel("as asked") if how == "cancelled" else "as asked"

    async def stand(state: JobState) -> UUID:
        waiting = (JobState.HELD, JobState.SCHEDULED)
        task = end.options(delay=HOUR) if state in waiting else end
        task = task.options(queue="not served") if state is JobState.READY else task
        job = await task.enqueue(state.value)
        if state is JobState.HELD:
            await eyes.execute("update asyncjobs.job set state = 'held' where id = $1", job.id)
        await until_state(job, state)
        return job.id

    async with jobs.running():
        yield jobs, stand


@pytest.mark.parametrize("state", JobState)
async def test_a_job_is_got_in_every_state(crowd: tuple[Jobs, Stand], state: JobState) -> None:
    jobs, stand = crowd

    seen = await jobs.get(await stand(state))

    ran = state in (JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
    assert seen.state is state
    assert seen.arguments == {"how": state.value}
    assert (seen.attempt, seen.claimed_by is not None) == (int(ran), ran)
    assert (seen.finished_at is not None) == state.is_final
    assert seen.result == ("as asked" if state is JobState.SUCCEEDED else None)
    assert seen.created_at.tzinfo is not None


@pytest.mark.parametrize("state", JobState)
async def test_a_job_that_has_not_finished_can_be_cancelled(
    crowd: tuple[Jobs, Stand], state: JobState
) -> None:
    jobs, stand = crowd
    id = await stand(state)

    assert await jobs.cancel(id) is not state.is_final

    expected = state if state.is_final else JobState.CANCELLED
    await until_stands(jobs, id, expected)


@pytest.mark.parametrize("state", JobState)
async def test_a_job_that_failed_was_cancelled_or_waits_for_its_time_can_be_retried(
    crowd: tuple[Jobs, Stand], state: JobState
) -> None:
    jobs, stand = crowd
    id = await stand(state)

    retried = await jobs.retry(id)

    assert retried is (state in (JobState.SCHEDULED, JobState.FAILED, JobState.CANCELLED))


async def test_a_retried_job_starts_from_its_first_attempt_and_keeps_its_history(
    crowd: tuple[Jobs, Stand],
) -> None:
    jobs, stand = crowd
    id = await stand(JobState.FAILED)

    await jobs.retry(id)
    await until_history(jobs, id, 1)
    await until_stands(jobs, id, JobState.FAILED)

    seen = await jobs.get(id)
    assert seen.attempt == 1
    [before] = seen.history
    assert (before.attempt, before.outcome, before.error) == (1, "failed", "ValueError: as asked")
    assert before.process == seen.claimed_by
    assert before.traceback is not None
    assert before.started_at is not None


@pytest.mark.parametrize("state", JobState)
async def test_a_job_can_be_deleted_in_every_state(
    crowd: tuple[Jobs, Stand], state: JobState
) -> None:
    jobs, stand = crowd
    id = await stand(state)

    assert await jobs.delete(id)

    if state is JobState.RUNNING:
        await until_stands(jobs, id, JobState.CANCELLED)
    else:
        with pytest.raises(JobNotFound):
            await jobs.get(id)


async def test_a_job_that_nobody_knows_is_not_found(jobs: Jobs) -> None:
    async with jobs.connected():
        with pytest.raises(JobNotFound, match=str(UNKNOWN)):
            await jobs.get(UNKNOWN)
        assert not await jobs.cancel(UNKNOWN)
        assert not await jobs.retry(UNKNOWN)
        assert not await jobs.delete(UNKNOWN)


async def test_a_process_that_only_enqueues_cancels_what_runs_elsewhere(database: str) -> None:
    runs, asks = Jobs(database), Jobs(database)

    @runs.task
    async def work() -> None:
        await asyncio.Event().wait()

    async with runs.running(), asks.connected():
        job = await work.enqueue()
        await until_state(job, JobState.RUNNING)

        assert await asks.cancel(job.id)

        await until_state(job, JobState.CANCELLED)


async def test_a_job_on_its_way_to_the_archive_and_back_is_never_missing(
    jobs: Jobs, database: str
) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.connected():
        job = await work.options(delay=timedelta(days=1)).enqueue()
        over = False

        async def travel() -> None:
            nonlocal over
            for _ in range(100):
                assert await jobs.cancel(job.id)
                assert await jobs.retry(job.id)
            over = True

        travels = asyncio.ensure_future(travel())
        seen = set()
        while not over:
            seen.add((await jobs.get(job.id)).state)
            seen.add(await job.status())
        await travels

    assert seen - {JobState.SCHEDULED} == {JobState.CANCELLED, JobState.READY}
