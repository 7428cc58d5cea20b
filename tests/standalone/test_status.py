"""`asyncjobs status`: what there is, and in words what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from asyncjobs import embedded
from asyncjobs.health import in_words
from tests.command import run
from tests.postgres import Administrator, postgres_version, prepare
from tests.standalone import yard
from tests.standalone.conftest import StartWork, Yard


@pytest.fixture(scope="session")
def careful(session_directory: Path) -> Iterator[Administrator]:
    """A server as it should be set, unlike the one of all other tests: that one is wrong to begin with."""
    with (
        embedded.start(session_directory / "careful", version=postgres_version()) as server,
        closing(Administrator(server)) as administrator,
    ):
        yield administrator


@pytest.fixture
def database(careful: Administrator) -> Iterator[str]:
    """The address of a database there."""
    with careful.database("template0") as dsn:
        prepare(dsn)
        yield dsn


async def test_an_idle_database_has_nothing_wrong(database: str) -> None:
    code, said = await run("status", "--dsn", database)

    assert code == 0
    assert "schema asyncjobs, at 0" in said
    assert "no processes alive" in said
    assert "!" not in said


async def test_a_living_worker_is_shown_with_what_it_runs(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work("--slots", "3", "--queues", "default,mail"):
        [pid] = await seen.until_alive(1)
        await yard.wait_at.enqueue("closed")
        await yard.wait_at.enqueue("closed")
        await seen.until_signed(2)
        await yard.note.options(delay=timedelta(hours=3)).enqueue()

        code, said = await run("status")

    assert code == 0
    assert "1 process alive" in said
    assert f":{pid}  up " in said
    assert "2 of 3 slots busy  default, mail" in said
    assert "2 x tests.standalone.yard.wait_at, the oldest for " in said
    assert "the next is due in 3 h, tests.standalone.yard.note" in said


async def test_jobs_that_nobody_is_there_to_run_are_told(seen: Yard) -> None:
    await yard.note.enqueue()

    code, said = await run("status")

    assert code == 1
    assert "the oldest has waited for " in said
    assert "! Jobs are ready and no process is alive: start your app" in said


async def test_tasks_that_nobody_knows_and_queues_that_nobody_serves_are_told(
    seen: Yard, start_work: StartWork
) -> None:
    await seen.connection.execute(
        "select asyncjobs.enqueue('shop.gone') from generate_series(1, 2)"
    )
    async with start_work("--queues", "default"):
        await seen.until_alive(1)
        await yard.post.enqueue()

        code, said = await run("status")

    assert code == 1
    assert "No living process knows the task shop.gone (2 jobs ready in queue default)" in said
    assert (
        "No living process that knows the task tests.standalone.yard.post serves the queue mail (1 job ready)"
    ) in said


async def test_a_process_that_is_gone_and_its_jobs_are_told(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work() as worker:
        await yard.wait_at.enqueue("closed")
        await seen.until_signed(1)
        worker.process.kill()
        await worker.ended()

        code, said = await run("status")

    assert code == 1
    assert "is gone; what it ran (1 job) waits to be rescued by another." in said


async def test_who_locked_a_table_is_told_though_nothing_else_can_be(
    database: str, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with eyes.transaction():
        await eyes.execute("lock table asyncjobs.job in access exclusive mode")

        code, said = await run("status", "--dsn", database)

    assert code == 1
    assert "How the jobs stand was not told" in said
    assert f"pid {eyes.get_server_pid()} of postgres holds AccessExclusiveLock on job" in said


async def test_an_advice_is_told_and_is_nothing_wrong(
    database: str, eyes: asyncpg.Connection
) -> None:
    await eyes.execute(
        "insert into asyncjobs.migration (number, name, oldest_code) values (900, '0900_far', '0.0.1')"
    )

    code, said = await run("status", "--dsn", database)

    assert code == 0
    assert "\n* It is newer than this code, at 0900_far" in said


@pytest.fixture
def careless(administrator: Administrator, template: str) -> Iterator[str]:
    """The address of a database on the server of all other tests."""
    with administrator.database(template) as dsn:
        yield dsn


async def test_a_server_that_may_lose_what_was_committed_is_wrong(careless: str) -> None:
    code, said = await run("status", "--dsn", careless)

    assert code == 1
    assert "\n! fsync is off. A power cut" in said


async def test_failures_of_the_last_day_are_counted(seen: Yard, start_work: StartWork) -> None:
    await seen.connection.execute(
        "select asyncjobs.enqueue('tests.standalone.yard.note', '{\"unwanted\": 1}')"
    )
    async with start_work():
        await seen.until_all_finished()

        _, said = await run("status")

    assert "failed                 1   1 in the last 24 hours" in said


@pytest.mark.parametrize("arguments", [(), ("--schema", "elsewhere")])
async def test_a_schema_that_is_not_there_is_told(
    empty_database: str, arguments: tuple[str, ...]
) -> None:
    code, said = await run("status", "--dsn", empty_database, *arguments)

    assert code == 1
    assert "it is not there; run `asyncjobs migrate`" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7200, "2 h"),
        (200_000, "2 days"),
    ],
)
def test_a_time_is_told_in_the_largest_unit_that_fits(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
