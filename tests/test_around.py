"""Middleware: an onion around every run, in a `Jobs` that really runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from asyncjobs import (
    Cancel,
    CurrentJob,
    Jobs,
    JobState,
    Snooze,
    current_job,
    fixed,
    never,
)
from asyncjobs.errors import JobCancelled, JobFailed
from asyncjobs.extension import CallNext
from tests.moments import until_state


class Layer:
    """Middleware that writes down when it is entered and left."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    async def around(self, job: CurrentJob, call_next: CallNext) -> object:
        self.log.append(f"into {self.name}")
        try:
            return await call_next()
        finally:
            self.log.append(f"out of {self.name}")


class Instead:
    """Middleware that answers itself."""

    def __init__(self, answer: Callable[[CurrentJob], object]) -> None:
        self.answer = answer

    async def around(self, job: CurrentJob, call_next: CallNext) -> object:
        return self.answer(job)


def raises(error: Exception) -> Callable[[CurrentJob], object]:
    def answer(job: CurrentJob) -> object:
        raise error

    return answer


async def test_the_first_extension_is_the_outermost(database: str) -> None:
    log: list[str] = []
    jobs = Jobs(database, extensions=[Layer("first", log), Layer("second", log)])

    @jobs.task
    async def work() -> None:
        log.append("work")

    async with jobs.running():
        await (await work.enqueue()).result(20)

    assert log == ["into first", "into second", "work", "out of second", "out of first"]


async def test_a_plain_function_is_wrapped_as_well(database: str) -> None:
    log: list[str] = []
    jobs = Jobs(database, extensions=[Layer("only", log)])

    @jobs.task
    def work() -> str:
        log.append("work")
        return "done"

    async with jobs.running():
        assert await (await work.enqueue()).result(20) == "done"

    assert log == ["into only", "work", "out of only"]


async def test_every_attempt_is_wrapped(database: str) -> None:
    log: list[str] = []
    jobs = Jobs(database, extensions=[Layer("only", log)])

    @jobs.task(retry=fixed(timedelta(0), 2))
    async def stumble() -> None:
        raise ValueError("again")

    async with jobs.running():
        with pytest.raises(JobFailed):
            await (await stumble.enqueue()).result(20)

    assert log == ["into only", "out of only"] * 2


async def test_middleware_is_told_of_the_job_and_is_inside_it(database: str) -> None:
    seen: list[bool] = []

    class Curious:
        async def around(self, job: CurrentJob, call_next: CallNext) -> object:
            seen.append(job is current_job())
            return await call_next()

    jobs = Jobs(database, extensions=[Curious()])

    @jobs.task
    async def work() -> None: ...

    async with jobs.running():
        await (await work.enqueue()).result(20)

    assert seen == [True]


async def test_middleware_may_change_the_result(database: str) -> None:
    class Double:
        async def around(self, job: CurrentJob, call_next: CallNext) -> object:
            result = await call_next()
            assert isinstance(result, int)
            return 2 * result

    jobs = Jobs(database, extensions=[Double(), Double()])

    @jobs.task
    async def one() -> int:
        return 1

    async with jobs.running():
        assert await (await one.enqueue()).result(20) == 4


async def test_middleware_may_snooze_a_job_before_it_runs(database: str) -> None:
    jobs = Jobs(database, extensions=[Instead(lambda job: Snooze(timedelta(hours=1)))])
    ran = []

    @jobs.task
    async def work() -> None:
        ran.append(1)

    async with jobs.running():
        job = await work.enqueue()
        await until_state(job, JobState.SCHEDULED)

        assert (await jobs.get(job.id)).attempt == 0

    assert ran == []


async def test_middleware_may_cancel_a_job_before_it_runs(database: str) -> None:
    jobs = Jobs(database, extensions=[Instead(lambda job: Cancel("not today"))])

    @jobs.task
    async def work() -> None: ...

    async with jobs.running():
        with pytest.raises(JobCancelled, match="not today"):
            await (await work.enqueue()).result(20)


async def test_what_middleware_raises_is_the_failure_of_the_job(database: str) -> None:
    log: list[str] = []
    broken = Instead(raises(PermissionError("not you")))
    jobs = Jobs(database, extensions=[Layer("outer", log), broken])

    @jobs.task(retry=never())
    async def work() -> None: ...

    async with jobs.running():
        with pytest.raises(JobFailed, match="PermissionError: not you"):
            await (await work.enqueue()).result(20)

    assert log == ["into outer", "out of outer"]


async def test_middleware_may_forgive_a_failure(database: str) -> None:
    class Forgiving:
        async def around(self, job: CurrentJob, call_next: CallNext) -> object:
            try:
                return await call_next()
            except ValueError:
                return "forgiven"

    jobs = Jobs(database, extensions=[Forgiving()])

    @jobs.task
    async def work() -> str:
        raise ValueError("sorry")

    async with jobs.running():
        assert await (await work.enqueue()).result(20) == "forgiven"


async def test_the_timeout_of_a_job_reaches_its_middleware(database: str) -> None:
    log: list[str] = []
    jobs = Jobs(database, extensions=[Layer("only", log)])

    @jobs.task(timeout=timedelta(milliseconds=50), retry=never())
    async def work() -> None:
        await asyncio.Event().wait()

    async with jobs.running():
        with pytest.raises(JobFailed, match="JobTimedOut"):
            await (await work.enqueue()).result(20)

    assert log == ["into only", "out of only"]
