"""How a run may end, and what follows from it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs import (
    Cancel,
    Jobs,
    Retry,
    Snooze,
    current_job,
    fixed,
    never,
)
from asyncjobs.errors import (
    JobCancelled,
    JobFailed,
)

HOUR = timedelta(hours=1)


async def test_a_snoozed_job_comes_back_and_loses_no_attempt(jobs: Jobs) -> None:
    seen: list[int] = []

    @jobs.task(retry=never())
    async def work() -> str | Snooze:
        seen.append(current_job().attempt)
        return Snooze(timedelta(milliseconds=20)) if len(seen) < 3 else "done"

    async with jobs.running():
        job = await work.enqueue()

        assert await job.result(20) == "done"
        history = (await jobs.get(job.id)).history
    assert seen == [1, 1, 1]
    assert [attempt.outcome for attempt in history] == ["snoozed", "snoozed"]


async def test_a_job_may_cancel_itself(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> Cancel:
        return Cancel("nobody needs it any more")

    async with jobs.running():
        job = await work.enqueue()
        with pytest.raises(JobCancelled, match="nobody needs it any more"):
            await job.result(20)

        assert (await jobs.get(job.id)).attempt == 1


async def test_a_failed_attempt_is_remembered(jobs: Jobs) -> None:
    tries = []

    @jobs.task(retry=fixed(timedelta(milliseconds=10), 3))
    async def stumble() -> str:
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError(f"try {len(tries)}")
        return "up"

    async with jobs.running():
        job = await stumble.enqueue()
        assert await job.result(20) == "up"

        seen = await jobs.get(job.id)
        process = jobs.executor.process_id if jobs.executor else None
    assert seen.attempt == 3
    assert [(a.attempt, a.outcome, a.error, a.process) for a in seen.history] == [
        (1, "failed", "ConnectionError: try 1", process),
        (2, "failed", "ConnectionError: try 2", process),
    ]
    assert all(a.traceback and a.started_at and a.ran is not None for a in seen.history)


async def test_what_is_to_be_discarded_is_tried_once(jobs: Jobs) -> None:
    tries = []

    @jobs.task(retry=fixed(timedelta(0), 5, discard_on=LookupError))
    async def work() -> None:
        tries.append(1)
        raise KeyError("gone")

    async with jobs.running():
        with pytest.raises(JobFailed, match="KeyError"):
            await (await work.enqueue()).result(20)

    assert tries == [1]


async def test_a_retry_policy_that_raises_fails_the_job(jobs: Jobs) -> None:
    def broken(attempt: int) -> timedelta:
        raise RuntimeError("a bug in the policy")

    @jobs.task(retry=Retry(5, broken))
    async def work() -> None:
        raise ValueError("as asked")

    async with jobs.running():
        job = await work.enqueue()
        with pytest.raises(JobFailed):
            await job.result(5)

        assert jobs.executor is not None
        assert jobs.executor.runs.slots.busy == 0


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError, BaseException]
)
@pytest.mark.parametrize("kind", ["coroutine", "plain"])
async def test_whatever_a_function_raises_is_its_failure(
    jobs: Jobs, error: type[BaseException], kind: str
) -> None:
    async def coroutine() -> None:
        raise error

    def plain() -> None:
        raise error

    task: Any = jobs.task(name="work", retry=never())(coroutine if kind == "coroutine" else plain)
    async with jobs.running():
        with pytest.raises(JobFailed, match=error.__name__):
            await (await task.enqueue()).result(20)


async def test_an_exhausted_iterator_in_a_thread_is_a_failure(jobs: Jobs) -> None:
    @jobs.task(retry=never())
    def work() -> None:
        raise StopIteration

    async with jobs.running():
        with pytest.raises(JobFailed, match="StopIteration"):
            await (await work.enqueue()).result(20)
