"""Arguments, results, reasons and errors that Postgres cannot hold."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from asyncjobs import Cancel, Jobs, JobState, Snooze, never
from asyncjobs.errors import (
    ArgumentsDoNotFit,
    ArgumentsNotStorable,
    JobFailed,
)
from tests.moments import until_state

MEGABYTE = 1024 * 1024
STORED = "select count(*) from asyncjobs.job"


@pytest.mark.parametrize(
    "value",
    [
        Ellipsis,
        print,
        "\0",
        {"\0": 1},
        "\ud800",
        math.nan,
        [math.inf],
        -math.inf,
        "x" * (10 * MEGABYTE),
        ["x" * MEGABYTE] * 10,
    ],
    ids=lambda value: ascii(value)[:30],
)
async def test_arguments_that_cannot_be_stored_are_refused_at_enqueue(
    jobs: Jobs, eyes: asyncpg.Connection, value: Any
) -> None:
    @jobs.task
    async def work(value: Any) -> None: ...

    async with jobs.connected():
        with pytest.raises(ArgumentsNotStorable):
            await work.enqueue(value)

        assert await eyes.fetchval(STORED) == 0


async def test_one_bad_job_of_many_is_refused_before_any_is_stored(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work(value: float) -> None: ...

    async with jobs.connected():
        with pytest.raises(ArgumentsNotStorable):
            await jobs.enqueue_many([work.job(value) for value in (1.0, math.nan, 2.0)])

        assert await eyes.fetchval(STORED) == 0


async def test_almost_a_megabyte_of_arguments_is_stored(jobs: Jobs) -> None:
    @jobs.task
    async def measure(text: str) -> int:
        return len(text)

    async with jobs.running():
        job = await measure.enqueue("x" * (MEGABYTE - 100))

        assert await job.result(20) == MEGABYTE - 100


async def test_a_naive_datetime_is_an_argument_like_any_other(jobs: Jobs) -> None:
    @jobs.task
    async def echo(when: datetime) -> datetime:
        assert when.tzinfo is None
        return when

    moment = datetime(2026, 11, 22, 17, 0)  # noqa: DTZ001
    async with jobs.running():
        assert await (await echo.enqueue(moment)).result(20) == moment


@pytest.mark.parametrize("wrong", [(), (1, 2), ("one",), (None,)], ids=repr)
async def test_arguments_that_do_not_fit_are_refused_at_enqueue(
    jobs: Jobs, eyes: asyncpg.Connection, wrong: tuple[Any, ...]
) -> None:
    @jobs.task
    async def work(number: int) -> None: ...

    async with jobs.connected():
        with pytest.raises(ArgumentsDoNotFit):
            await work.enqueue(*wrong)

        assert await eyes.fetchval(STORED) == 0


RESULTS: list[Any] = [Ellipsis, "\0", "\ud800", math.nan, "x" * (10 * MEGABYTE)]


@pytest.mark.parametrize("nth", range(len(RESULTS)))
async def test_a_result_that_cannot_be_stored_fails_the_job_once(jobs: Jobs, nth: int) -> None:
    ran = []

    @jobs.task
    async def work() -> Any:
        ran.append(1)
        return RESULTS[nth]

    async with jobs.running():
        with pytest.raises(JobFailed, match="ResultNotStorable"):
            await (await work.enqueue()).result(20)

    assert ran == [1]


@pytest.mark.parametrize("outcome", [Snooze(timedelta.max), Snooze(timedelta(days=400_000))])
async def test_a_snooze_beyond_the_calendar_ends_somewhere(jobs: Jobs, outcome: Snooze) -> None:
    @jobs.task
    async def work() -> Snooze:
        return outcome

    async with jobs.running():
        job = await work.enqueue()

        await until_state(job, JobState.FAILED, JobState.SCHEDULED)


@pytest.mark.parametrize(
    "reason", ["a\0b", "half a \ud800", "x" * MEGABYTE], ids=["NUL", "surrogate", "long"]
)
async def test_a_reason_that_postgres_cannot_hold_still_cancels(jobs: Jobs, reason: str) -> None:
    @jobs.task
    async def work() -> Cancel:
        return Cancel(reason)

    async with jobs.running():
        job = await work.enqueue()
        await until_state(job, JobState.CANCELLED, JobState.FAILED)

        assert await job.status() is JobState.CANCELLED
        length = len((await jobs.get(job.id)).error or "")
        assert 0 < length < 10_000


@pytest.mark.parametrize(
    "words", ["a\0b", "half a \ud800", "x" * 10 * MEGABYTE], ids=["NUL", "surrogate", "long"]
)
async def test_an_error_that_postgres_cannot_hold_still_fails_the_job(
    jobs: Jobs, words: str
) -> None:
    @jobs.task(retry=never())
    async def work() -> None:
        raise ValueError(words)

    async with jobs.running():
        with pytest.raises(JobFailed, match="ValueError"):
            await (await work.enqueue()).result(20)
