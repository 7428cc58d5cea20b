"""The executor's life: beside the app, never around it; drained in order; nothing left behind."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta

import asyncpg
import pytest

from asyncjobs import Jobs, JobState
from asyncjobs.engine import drain as drain_module
from tests.moments import until, until_true


async def sessions(eyes: asyncpg.Connection) -> int:
    count: int = await eyes.fetchval(
        "select count(*) from pg_stat_activity where application_name like 'asyncjobs%' and datname = current_database()"
    )
    return count


async def until_nobody(eyes: asyncpg.Connection) -> None:
    async def gone() -> bool:
        return not await sessions(eyes)

    await until(gone)


async def test_a_service_that_fails_is_started_again_and_the_app_does_not_notice(
    jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    @jobs.task
    async def work() -> int:
        return 1

    async with jobs.running():
        assert jobs.executor is not None
        rescuer = jobs.executor._rescuer
        look = rescuer._ledger.look

        async def broken() -> list[object]:
            rescuer._ledger.look = look  # type: ignore[method-assign]
            raise KeyError("a bug of ours")

        rescuer._ledger.look = broken  # type: ignore[method-assign,assignment]
        rescuer.look_for_a_while()
        await until_true(lambda: jobs.executor and jobs.executor.troubles.get("rescue") == 1)

        assert await (await work.enqueue()).result(20) == 1

    assert "rescue failed and starts again" in caplog.text


async def test_running_jobs_get_their_time_and_the_rest_is_given_back(
    database: str, eyes: asyncpg.Connection
) -> None:
    jobs = Jobs(database, drain=timedelta(seconds=0.3))
    started = asyncio.Event()

    @jobs.task
    async def short() -> str:
        started.set()
        await asyncio.sleep(0.1)
        return "ended"

    @jobs.task
    async def endless() -> None:
        await asyncio.Event().wait()

    async with jobs.running():
        first, second = await short.enqueue(), await endless.enqueue()
        await started.wait()

    async with Jobs(database).connected() as desk:
        assert (await desk.get(first.id)).result == "ended"
        left = await desk.get(second.id)
    assert (left.state, left.attempt, left.crashes) == (JobState.READY, 0, 0)
    assert await eyes.fetchval("select ending from asyncjobs.process") == "stopped"
    await until_nobody(eyes)


async def test_while_draining_nothing_is_claimed_and_nothing_starts_directly(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    started, gate = asyncio.Event(), asyncio.Event()

    @jobs.task
    async def long() -> None:
        started.set()
        await gate.wait()

    @jobs.task
    async def work() -> None: ...

    async with jobs.running():
        assert jobs.executor is not None
        await long.enqueue()
        await started.wait()
        await jobs.executor._claimer.at_rest.wait()  # a claim on its way may still bring something
        jobs.executor.begin_draining()
        handle = await work.enqueue()
        many = await jobs.enqueue_many([work.job(), work.job()])
        gate.set()

    states = {
        row["id"]: row["state"] for row in await eyes.fetch("select id, state from asyncjobs.job")
    }
    assert states == {each.id: "ready" for each in (handle, *many)}


async def test_a_plain_function_that_will_not_end_keeps_its_row_and_its_lock(
    database: str, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "OBEY_WITHIN", 0.1)
    jobs = Jobs(database, drain=timedelta(0))
    began, gate = threading.Event(), threading.Event()

    @jobs.task
    def stubborn() -> None:
        began.set()
        gate.wait(30)

    async with jobs.running():
        await stubborn.enqueue()
        await until_true(began.is_set)

    # The executor has gone; the function has not, and nobody else may run it.
    assert await eyes.fetchval("select state from asyncjobs.job") == "running"
    assert await eyes.fetchval("select ended_at from asyncjobs.process") is None
    held = await eyes.fetchval(
        "select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())"
    )
    gate.set()
    assert held == 1


async def test_jobs_may_run_again_after_they_have_run(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> int:
        return 1

    for _ in range(3):
        async with jobs.running():
            assert await (await work.enqueue()).result(20) == 1


async def test_no_task_and_no_connection_is_left_behind(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    before = asyncio.all_tasks()
    async with jobs.running():
        assert await sessions(eyes) == 2

    await until_nobody(eyes)
    assert asyncio.all_tasks() == before


async def test_an_app_that_fails_while_jobs_run_still_drains(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    async def app() -> None:
        async with jobs.running():
            raise RuntimeError("the app's own")

    with pytest.raises(RuntimeError, match="the app's own"):
        await app()

    assert await eyes.fetchval("select ending from asyncjobs.process") == "stopped"


async def test_at_rest_it_holds_two_connections_and_says_nothing(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    async with jobs.running():
        assert jobs.executor is not None
        link = jobs.executor.link
        await link.fetch("select 1")
        # The looks after the start end by themselves.
        rescuer = jobs.executor._rescuer
        await until_true(lambda: time.monotonic() > rescuer._watch_until + 1.5, within=30)
        answered = link.answered_at
        since = time.monotonic()
        await until_true(lambda: time.monotonic() > since + 3)
        assert link.answered_at == answered
        assert await sessions(eyes) == 2
