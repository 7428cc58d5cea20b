"""Opened, closed, opened again; and where Postgres is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from asyncjobs import (
    Jobs,
    JobState,
)
from asyncjobs.errors import (
    BadOption,
    NotConnected,
)
from tests.moments import Gate, until, until_true

HOUR = timedelta(hours=1)


async def test_jobs_run_again_after_they_were_closed(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> str:
        return "done"

    processes = []
    for _ in range(2):
        async with jobs.running():
            assert jobs.executor is not None
            processes.append(jobs.executor.process_id)
            assert await (await work.enqueue()).result(20) == "done"
        assert jobs.executor is None

    assert len(set(processes)) == 2


@pytest.mark.parametrize("outer", [Jobs.running, Jobs.connected])
@pytest.mark.parametrize("inner", [Jobs.running, Jobs.connected])
async def test_jobs_cannot_be_opened_twice(
    jobs: Jobs, outer: Callable[[Jobs], Any], inner: Callable[[Jobs], Any]
) -> None:
    @jobs.task
    async def work() -> None: ...

    async with outer(jobs):
        with pytest.raises(NotConnected, match="connected already"):
            async with inner(jobs):
                pass

        await work.enqueue()  # the first is none the worse for it


async def test_jobs_cannot_be_opened_twice_at_the_same_time(jobs: Jobs) -> None:
    async def open_for_a_moment() -> None:
        async with jobs.running():
            await until_true(lambda: sum(trial.done() for trial in trials) == 1, within=5)

    trials = [asyncio.ensure_future(open_for_a_moment()) for _ in range(2)]
    await asyncio.wait(trials)

    errors = [trial.exception() for trial in trials]
    assert errors.count(None) == 1
    assert [type(error) for error in errors if error is not None] == [NotConnected]


@pytest.mark.parametrize("wrong", [{"slots": 0}, {"queues": []}, {"queues": "mail"}], ids=str)
async def test_a_start_with_terms_that_make_no_sense_is_refused(
    jobs: Jobs, wrong: dict[str, Any]
) -> None:
    with pytest.raises(BadOption):
        async with jobs.running(**wrong):
            pass


async def test_a_process_may_have_terms_of_its_own(jobs: Jobs) -> None:
    @jobs.task
    async def echo(queue: str) -> str:
        return queue

    async with jobs.running(slots=3, queues=["mail"]):
        assert jobs.executor is not None
        assert jobs.executor.slots == 3
        other = await echo.enqueue("default")
        assert await (await echo.options(queue="mail").enqueue("mail")).result(20) == "mail"
        assert await other.status() is JobState.READY


async def test_nothing_runs_where_jobs_is_only_connected(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.connected():
        assert jobs.executor is None
        job = await work.enqueue()
        assert await job.status() is JobState.READY
        assert await jobs.database.fetchval("select count(*) from asyncjobs.process") == 0


async def test_jobs_that_wait_are_run_at_the_next_start(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> str:
        return "done"

    async with jobs.connected():
        job = await work.enqueue()
    async with jobs.running():
        assert await job.result(20) == "done"


async def test_running_jobs_get_time_to_end(jobs: Jobs) -> None:
    gate = Gate()

    @jobs.task
    async def work() -> str:
        await gate.pass_through()
        return "done"

    async with jobs.running():
        job = await work.enqueue()
        await until_true(lambda: gate.inside)
        asyncio.get_running_loop().call_later(0.05, gate.open)

    async with jobs.connected():
        assert await job.result(0.5) == "done"


async def test_what_does_not_end_in_time_goes_back_and_keeps_its_attempt(database: str) -> None:
    jobs = Jobs(database, drain=timedelta(0))
    gate = Gate()

    @jobs.task
    async def work() -> None:
        await gate.pass_through()

    async with jobs.running():
        job = await work.enqueue()
        await until_true(lambda: gate.inside)

    async with jobs.connected():
        seen = await jobs.get(job.id)
    assert (seen.state, seen.attempt, seen.crashes) == (JobState.READY, 0, 0)
    assert [attempt.outcome for attempt in seen.history] == ["released"]


async def test_an_error_in_the_body_passes_through(jobs: Jobs) -> None:
    with pytest.raises(ZeroDivisionError):
        async with jobs.running():
            raise ZeroDivisionError

    async with jobs.running():
        pass


async def test_nothing_of_ours_goes_on_after_the_end(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    before = asyncio.all_tasks()

    async with jobs.running():
        pass

    assert asyncio.all_tasks() <= before
    ours = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"

    async def all_gone() -> bool:
        return bool(await eyes.fetchval(f"{ours} and backend_type = 'client backend'") == 0)

    await until(all_gone)


async def test_pages_may_ask_postgres(jobs: Jobs) -> None:
    async with jobs.connected():
        rows = await jobs.database.fetch("select $1::int as a, 'b' as b", 1)

        assert [dict(row) for row in rows] == [{"a": 1, "b": "b"}]
        assert await jobs.database.fetchval("select 5") == 5
        assert await jobs.database.fetchrow("select 1 where false") is None


def test_what_is_open_is_known_only_while_jobs_is_connected(jobs: Jobs) -> None:
    assert jobs.executor is None
    with pytest.raises(NotConnected):
        _ = jobs.database


async def test_the_address_is_told_before_anything_is_open(jobs: Jobs, database: str) -> None:
    assert await jobs.address() == database


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"DATABASE_URL": "postgres://u@h/db"}, "postgresql://u@h/db"),
        ({"DATABASE_URL": "postgresql+asyncpg://u@h/db"}, "postgresql://u@h/db"),
        (
            {"DATABASE_URL": "postgresql://u@h/a", "ASYNCJOBS_DATABASE_URL": "postgresql://u@h/b"},
            "postgresql://u@h/b",
        ),
    ],
)
async def test_the_address_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: str
) -> None:
    for name in ("DATABASE_URL", "ASYNCJOBS_DATABASE_URL", "ASYNCJOBS_DEV"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert await Jobs().address() == expected


@pytest.mark.parametrize(
    ("said", "expected"), [("1", True), ("true", True), ("0", False), ("", False), (None, False)]
)
def test_development_is_what_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, said: str | None, expected: bool
) -> None:
    if said is None:
        monkeypatch.delenv("ASYNCJOBS_DEV", raising=False)
    else:
        monkeypatch.setenv("ASYNCJOBS_DEV", said)

    assert Jobs().development is expected


async def test_jobs_may_be_closed_by_another_task_than_opened_them(jobs: Jobs) -> None:
    # As fixtures of test frameworks are; a scope that is left in another task than it was entered in would fail.
    @jobs.task
    async def work() -> int:
        return 1

    running = jobs.running()
    await asyncio.create_task(running.__aenter__())
    assert await (await work.enqueue()).result(20) == 1
    await asyncio.create_task(running.__aexit__(None, None, None))

    async with jobs.running():
        assert await (await work.enqueue()).result(20) == 1
