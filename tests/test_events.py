"""Listeners are told what happened to jobs, after Postgres has confirmed it, in order."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from asyncjobs import Jobs, JobState, Snooze, fixed
from asyncjobs.errors import JobCancelled, JobFailed
from asyncjobs.events import Claimed, Event, Finished, Lost, Released, Started, Stored
from tests.moments import until_state, until_true


class Diary:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.entries: list[Event] = []

    def hears(self, event: Event) -> None:
        self.entries.append(event)

    def of(self, id: UUID) -> list[Event]:
        return [event for event in self.entries if event.id == id]

    def kinds(self, id: UUID) -> list[str]:
        return [type(event).__name__ for event in self.of(id)]


@pytest.fixture
def diary() -> Diary:
    return Diary()


@pytest.fixture
def jobs(database: str, diary: Diary) -> Jobs:
    return Jobs(database, extensions=[diary])


async def test_a_job_is_stored_claimed_started_and_finished(jobs: Jobs, diary: Diary) -> None:
    @jobs.task(name="work", queue="mine")
    async def work() -> int:
        return 7

    async with jobs.running():
        job = await work.enqueue()
        await job.result(20)

    told = diary.of(job.id)
    assert sorted(diary.kinds(job.id)[:2]) == ["Claimed", "Stored"]
    assert diary.kinds(job.id)[2:] == ["Started", "Finished"]
    assert {(event.task, event.queue) for event in told} == {("work", "mine")}
    end = told[-1]
    assert isinstance(end, Finished)
    assert (end.attempt, end.state, end.outcome.result) == (1, JobState.SUCCEEDED, "7")
    assert end.ran is not None


async def test_every_attempt_is_told(jobs: Jobs, diary: Diary) -> None:
    @jobs.task(retry=fixed(timedelta(0), 3))
    async def stumble() -> None:
        raise ValueError("again")

    async with jobs.running():
        job = await stumble.enqueue()
        with pytest.raises(JobFailed):
            await job.result(20)

    ends = [event for event in diary.of(job.id) if isinstance(event, Finished)]
    assert [(end.attempt, end.state) for end in ends] == [
        (1, JobState.READY),
        (2, JobState.READY),
        (3, JobState.FAILED),
    ]
    assert all(end.outcome.error == "ValueError: again" for end in ends)


async def test_a_snooze_is_told_as_where_the_job_is_now(jobs: Jobs, diary: Diary) -> None:
    @jobs.task
    async def doze() -> Snooze:
        return Snooze(timedelta(hours=1))

    async with jobs.running():
        job = await doze.enqueue()
        await until_state(job, JobState.SCHEDULED)
        await until_true(lambda: diary.kinds(job.id)[-1:] == ["Finished"])

    end = diary.of(job.id)[-1]
    assert isinstance(end, Finished)
    assert (end.state, end.outcome.story) == (JobState.SCHEDULED, "snoozed")


async def test_a_job_given_back_at_shutdown_is_told_as_released(
    database: str, diary: Diary
) -> None:
    jobs = Jobs(database, extensions=[diary], drain=timedelta(0))

    @jobs.task
    async def work() -> None:
        await asyncio.Event().wait()

    async with jobs.running():
        job = await work.enqueue()
        await until_true(lambda: "Started" in diary.kinds(job.id))

    end = diary.of(job.id)[-1]
    assert isinstance(end, Released)
    assert "shutting down" in end.reason


async def test_a_run_that_is_not_ours_any_more_is_told_as_lost(
    jobs: Jobs, diary: Diary, eyes: asyncpg.Connection
) -> None:
    go_on = asyncio.Event()

    @jobs.task
    async def work() -> None:
        await go_on.wait()

    async with jobs.running():
        job = await work.enqueue()
        await until_true(lambda: "Started" in diary.kinds(job.id))
        await eyes.execute("update asyncjobs.job set fence = fence + 1")
        go_on.set()
        await until_true(lambda: diary.kinds(job.id)[-1] == "Lost")

    end = diary.of(job.id)[-1]
    assert isinstance(end, Lost)
    assert not [event for event in diary.of(job.id) if isinstance(event, Finished)]


async def test_a_job_in_a_transaction_is_told_when_that_commits(
    jobs: Jobs, diary: Diary, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.connected():
        async with eyes.transaction():
            job = await work.options(connection=eyes).enqueue()
            assert diary.of(job.id) == []

        await until_true(lambda: diary.of(job.id) == [Stored(job.id, work.name, "default")])


async def test_a_job_that_is_rolled_back_is_never_told(
    jobs: Jobs, diary: Diary, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.connected():
        transaction = eyes.transaction()
        await transaction.start()
        await work.options(connection=eyes).enqueue()
        await transaction.rollback()
        async with eyes.transaction():
            await eyes.execute("select 1")

    assert diary.entries == []


async def test_a_job_whose_savepoint_is_rolled_back_is_never_told(
    jobs: Jobs, diary: Diary, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.connected(), eyes.transaction():
        kept = await work.options(connection=eyes).enqueue()
        savepoint = eyes.transaction()
        await savepoint.start()
        await work.options(connection=eyes).enqueue()
        await savepoint.rollback()
    await until_true(lambda: diary.entries)

    assert [event.id for event in diary.entries] == [kept.id]


async def test_nothing_is_told_of_a_job_that_was_refused(jobs: Jobs, diary: Diary) -> None:
    @jobs.task
    async def work(number: int) -> None: ...

    async with jobs.running():
        with pytest.raises(ValueError, match="number"):
            await work.enqueue("one")  # type: ignore[arg-type]

    assert diary.entries == []


async def test_a_job_cancelled_while_it_runs_is_told_as_finished(jobs: Jobs, diary: Diary) -> None:
    @jobs.task
    async def work() -> None:
        await asyncio.Event().wait()

    async with jobs.running():
        job = await work.enqueue()
        await until_true(lambda: "Started" in diary.kinds(job.id))
        await jobs.cancel(job.id)
        with pytest.raises(JobCancelled):
            await job.result(20)

    end = diary.of(job.id)[-1]
    assert isinstance(end, Finished)
    assert end.state is JobState.CANCELLED


def test_events_are_values() -> None:
    id = UUID(int=1)

    assert Stored(id, "t", "q") == Stored(id, "t", "q")
    assert len({Claimed(id, "t", "q", 1), Claimed(id, "t", "q", 1), Started(id, "t", "q", 1)}) == 2
