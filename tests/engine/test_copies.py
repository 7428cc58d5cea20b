"""A copy of production does not run what waits in production, until somebody says that it shall."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from itertools import count
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import pytest

from asyncjobs import Jobs, JobState, embedded
from tests.command import run
from tests.engine.harm import Count, inside
from tests.moments import until, until_true
from tests.postgres import Administrator

NAMES = (f"tenant_{os.getpid()}_{number}" for number in count(1))


def workshop(database: str) -> tuple[Jobs, list[str]]:
    """Jobs that note what they do."""
    jobs = Jobs(database)
    done: list[str] = []

    @jobs.task(name="note")
    async def note(what: str) -> None:
        done.append(what)

    return jobs, done


async def fill(original: str) -> dict[str, UUID]:
    """Store one job that is ready, one that will be due, and one that a dead process was running."""
    jobs, _ = workshop(original)
    note = jobs.tasks["note"]
    async with jobs.running():
        pass  # a first executor was here, and noted where
    async with jobs.connected():
        running = await note.enqueue("running")
        await jobs.database.fetch(
            "update asyncjobs.job set state = 'running', claimed_by = 77, attempt = 1, fence = 1"
        )
        ready = await note.enqueue("ready")
        scheduled = await note.options(delay=timedelta(milliseconds=1)).enqueue("scheduled")
    return {"running": running.id, "ready": ready.id, "scheduled": scheduled.id}


@pytest.fixture
async def copy(server: embedded.Server, database: str) -> AsyncIterator[str]:
    """A copy of a database in which jobs wait."""
    await fill(database)
    name = urlsplit(database).path.strip("/")
    administrator = await asyncpg.connect(server.dsn)

    async def copied() -> bool:
        try:
            await administrator.execute(f"create database {name}_copy template {name}")
        except asyncpg.exceptions.ObjectInUseError:
            return False  # whoever was there is still on the way out
        return True

    await until(copied)
    yield server.dsn_of(f"{name}_copy")
    await administrator.execute(f"drop database {name}_copy with (force)")
    await administrator.close()


async def states(eyes: asyncpg.Connection) -> dict[str, str]:
    rows = await eyes.fetch("select arguments ->> 'what' as what, state from asyncjobs.job")
    return {row["what"]: row["state"] for row in rows}


AS_THEY_WERE = {"running": "running", "ready": "ready", "scheduled": "scheduled"}


async def test_a_copy_runs_nothing_and_says_so(copy: str, caplog: pytest.LogCaptureFixture) -> None:
    jobs, done = workshop(copy)
    eyes = await asyncpg.connect(copy)
    async with jobs.running():
        executor = inside(jobs)
        assert executor.is_copy
        # Everything that might act is told that there is something to do, and has the time for it.
        polls, homes = Count(executor._ledger, "poll"), Count(executor._ledger, "home")
        new = await jobs.tasks["note"].enqueue("new")
        await jobs.tasks["note"].options(delay=timedelta(milliseconds=1)).enqueue("soon")
        await eyes.execute("select asyncjobs.enqueue('note', '{\"what\": \"knocked\"}')")
        executor.ready(["default"])
        executor._understand({"busy": 77})
        for number in (1, 2, 3):
            executor._poller.poll_now()
            executor._opening.begin()
            await polls.until_answered(number)
            await homes.until_answered(number)
        seen = await states(eyes)
        assert (await jobs.get(new.id)).state is JobState.READY
    await eyes.close()

    assert seen == {**AS_THEY_WERE, "new": "ready", "soon": "scheduled", "knocked": "ready"}
    assert done == []
    assert caplog.text.count("this database is a copy") == 1


async def test_a_copy_that_is_adopted_elsewhere_goes_on_without_a_restart(copy: str) -> None:
    jobs, done = workshop(copy)
    async with jobs.running():
        assert inside(jobs).is_copy
        code, said = await run("adopt", "--dsn", copy)
        await until_true(lambda: len(done) == 3)
        assert not inside(jobs).is_copy

    assert (code, said) == (0, "schema asyncjobs: its jobs are run here from now on\n")
    assert sorted(done) == ["ready", "running", "scheduled"]


async def test_a_copy_may_be_adopted_by_its_own_process(copy: str) -> None:
    jobs, done = workshop(copy)
    async with jobs.running():
        await jobs.adopt()
        await until_true(lambda: len(done) == 3)
    async with jobs.running():
        assert not inside(jobs).is_copy


async def test_a_copy_in_which_nothing_waits_is_taken_over_without_a_word(
    copy: str, caplog: pytest.LogCaptureFixture
) -> None:
    eyes = await asyncpg.connect(copy)
    await eyes.execute("delete from asyncjobs.job")
    await eyes.close()
    jobs, done = workshop(copy)
    for what in ("first", "second"):
        async with jobs.running():
            await (await jobs.tasks["note"].enqueue(what)).result(20)

    assert done == ["first", "second"]
    assert "copy" not in caplog.text


async def test_a_copy_whose_jobs_are_deleted_goes_on_by_itself(copy: str) -> None:
    jobs, done = workshop(copy)
    async with jobs.running():
        await jobs.database.fetch("delete from asyncjobs.job")
        inside(jobs)._opening.begin()  # as it does every half a minute
        await until_true(lambda: not inside(jobs).is_copy)
        await (await jobs.tasks["note"].enqueue("new")).result(20)

    assert done == ["new"]


async def test_the_original_goes_on(database: str) -> None:
    await fill(database)
    jobs, done = workshop(database)
    async with jobs.running():
        assert not inside(jobs).is_copy
        await until_true(lambda: len(done) == 3)


CARRIED_OVER = """
update asyncjobs.home
set system_identifier = 4711, server_version = 120000, written_by = pg_current_xact_id()
"""


async def test_a_database_that_pg_upgrade_carried_into_another_cluster_is_still_the_one(
    database: str, eyes: asyncpg.Connection
) -> None:
    await fill(database)
    await eyes.execute(CARRIED_OVER)
    jobs, done = workshop(database)
    async with jobs.running():
        await until_true(lambda: len(done) == 3)

    assert await eyes.fetchval("select system_identifier from asyncjobs.home") != 4711


@pytest.mark.parametrize(
    "differs",
    [
        "written_by = '3'",  # a restore writes the row anew
        "written_by = pg_current_xact_id(), written_to = written_to::bigint + 1",  # in another table
        "written_by = pg_current_xact_id(), server_version = 999999",  # pg_upgrade goes upwards
    ],
    ids=["another row", "another table", "an older server"],
)
async def test_a_dump_that_was_restored_elsewhere_is_a_copy(
    database: str, eyes: asyncpg.Connection, differs: str
) -> None:
    await fill(database)
    await eyes.execute(CARRIED_OVER)
    await eyes.execute(f"update asyncjobs.home set {differs}")
    jobs, done = workshop(database)
    async with jobs.running():
        assert inside(jobs).is_copy

    assert done == []


@pytest.fixture
def tenant(administrator: Administrator) -> Iterator[str]:
    """A role that can log in, and nothing else."""
    name = next(NAMES)
    administrator.execute(f"create role {name} login")
    yield name
    administrator.execute(f"drop role {name}")


async def test_where_the_identifier_is_hidden_nothing_is_asked(
    database: str, eyes: asyncpg.Connection, tenant: str, caplog: pytest.LogCaptureFixture
) -> None:
    await fill(database)
    await eyes.execute(
        f"""
        grant usage on schema asyncjobs to {tenant};
        grant select, insert, update, delete on all tables in schema asyncjobs to {tenant};
        grant execute on all functions in schema asyncjobs to {tenant};
        revoke execute on function pg_control_system() from public;
        """
    )
    jobs, done = workshop(database.replace("postgres@", f"{tenant}@"))
    async with jobs.running():
        await until_true(lambda: len(done) == 3)
    await eyes.execute(f"drop owned by {tenant}")

    assert "whether this database is a copy cannot be told" in caplog.text


async def test_adopting_wakes_all_who_wait(copy: str) -> None:
    first, second = workshop(copy), workshop(copy)
    async with first[0].running(), second[0].running():
        assert inside(first[0]).is_copy
        assert inside(second[0]).is_copy
        await first[0].adopt()

        async def none_waits() -> bool:
            return not (inside(first[0]).is_copy or inside(second[0]).is_copy)

        await until(none_waits, 5)
