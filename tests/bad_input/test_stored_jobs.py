"""Stored jobs, and messages, that nobody here understands."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pydantic import BaseModel, field_validator

from asyncjobs import Jobs, JobState, never
from asyncjobs.errors import (
    JobFailed,
)
from tests.moments import until


async def test_a_job_of_an_unknown_task_waits_for_a_process_that_knows_it(database: str) -> None:
    old, new = Jobs(database), Jobs(database)

    @new.task(name="new")
    async def only_new_code_knows() -> str:
        return "done"

    @old.task(name="old")
    async def known() -> None: ...

    async with old.running():
        async with new.connected():
            job = await only_new_code_knows.enqueue()
            await until_turned_away(new, job.id)
            for _ in range(5):
                await (await known.enqueue()).result(20)

            waiting = await new.get(job.id)
            fence = await new.database.fetchval("select fence from asyncjobs.job")
        assert (waiting.state, waiting.attempt, waiting.crashes) == (JobState.READY, 0, 0)
        assert fence == 2  # claimed once, given back once

        async with new.running():
            assert await job.result(20) == "done"
            assert (await new.get(job.id)).attempt == 1


async def until_turned_away(jobs: Jobs, id: UUID) -> None:
    async def turned_away() -> bool:
        seen = await jobs.get(id)
        return [attempt.outcome for attempt in seen.history] == ["released"]

    await until(turned_away)


async def test_a_job_of_an_unknown_task_tells_why_it_waits(database: str) -> None:
    old, new = Jobs(database), Jobs(database)

    @new.task(name="new")
    async def only_new_code_knows() -> None: ...

    async with old.running(), new.connected():
        job = await only_new_code_knows.enqueue()
        await until_turned_away(new, job.id)

        [attempt] = (await new.get(job.id)).history

    assert attempt.error == "task 'new' is not known to this process"


async def test_many_jobs_of_an_unknown_task_keep_nobody_from_running(database: str) -> None:
    old, new = Jobs(database, slots=1), Jobs(database)

    @new.task(name="new")
    async def only_new_code_knows() -> None: ...

    @old.task(name="old")
    async def known() -> str:
        return "done"

    async with new.connected():
        await new.enqueue_many([only_new_code_knows.job() for _ in range(50)])
        async with old.running():
            assert await (await known.enqueue()).result(20) == "done"

            fences = await new.database.fetchval("select sum(fence) from asyncjobs.job")
            assert fences <= 4


async def test_arguments_that_no_longer_fit_fail_the_job_at_once(database: str) -> None:
    old, new = Jobs(database), Jobs(database)

    @old.task(name="resize")
    async def resize(photo: int) -> None: ...

    @new.task(name="resize")
    async def resize_to(photo: int, width: int) -> None: ...

    async with old.connected():
        job = await resize.enqueue(5)
        async with new.running():
            with pytest.raises(JobFailed, match=r"ArgumentsDoNotFit.*'resize'.*width is missing"):
                await job.result(20)

            seen = await new.get(job.id)
    assert (seen.attempt, seen.history, seen.arguments) == (1, (), {"photo": 5})


async def test_a_job_whose_arguments_fit_again_can_be_retried(database: str) -> None:
    broken, mended = Jobs(database), Jobs(database)

    @broken.task(name="resize")
    async def needs_more(photo: int, width: int) -> None: ...

    @mended.task(name="resize")
    async def resize(photo: int) -> int:
        return photo

    async with mended.connected():
        job = await resize.enqueue(5)
        async with broken.running():
            with pytest.raises(JobFailed):
                await job.result(20)
    async with mended.running():
        assert await mended.retry(job.id)

        assert await job.result(20) == 5


class Fickle(BaseModel):
    """Could be read when it was enqueued, and breaks when it is read again."""

    name: str

    @field_validator("name")
    @classmethod
    def breaks(cls, name: str) -> str:
        if name == "broken" and BREAKING:
            raise RuntimeError("a bug in a validator")
        return name


BREAKING: list[bool] = []


async def test_a_validator_that_breaks_fails_the_job(jobs: Jobs) -> None:
    @jobs.task(retry=never())
    async def greet(who: Fickle) -> None: ...

    async with jobs.connected():
        job = await greet.enqueue(Fickle(name="broken"))
    BREAKING.append(True)
    try:
        async with jobs.running():
            with pytest.raises(JobFailed, match="a bug in a validator"):
                await job.result(5)
    finally:
        BREAKING.clear()


@pytest.mark.parametrize("stored", ["[1]", '"text"', "null", "1", '{"number": "one"}'])
async def test_what_another_language_stored_wrongly_fails(
    jobs: Jobs, eyes: asyncpg.Connection, stored: str
) -> None:
    @jobs.task(name="count")
    async def work(number: int) -> None: ...

    async with jobs.running():
        id = await eyes.fetchval("select asyncjobs.enqueue('count', $1::jsonb)", stored)

        async def failed() -> bool:
            return (await jobs.get(id)).state is JobState.FAILED

        await until(failed)
        error = (await jobs.get(id)).error
        assert error is not None
        assert "ArgumentsDoNotFit" in error


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "garbage",
        "null",
        "[1]",
        '{"ready": 5}',
        '{"due": "soon"}',
        '{"words": 5}',
        '{"words": [5]}',
        '{"words": [{"busy": "very"}]}',
        '{"words": [{"calm": null}]}',
        '{"words": [{"stop": "nonsense", "process": PROCESS}]}',
    ],
)
async def test_a_message_that_nobody_understands_harms_nobody(
    jobs: Jobs, eyes: asyncpg.Connection, payload: str
) -> None:
    @jobs.task
    async def work() -> str:
        return "done"

    unhandled: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    async with jobs.running():
        assert jobs.executor is not None
        said = payload.replace("PROCESS", str(jobs.executor.process_id))

        await eyes.execute("select pg_notify('asyncjobs', $1)", said)

        async with eyes.transaction():  # the way that needs a message to be heard
            job = await work.options(connection=eyes).enqueue()
        assert await job.result(20) == "done"
    assert unhandled == []
