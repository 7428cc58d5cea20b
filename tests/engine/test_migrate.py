"""Migrations: applied once, by whoever comes first, and checked by everybody."""

from __future__ import annotations

import asyncio
import re
import sys
from importlib.resources import files

import asyncpg
import pytest

from asyncjobs import Jobs
from asyncjobs.errors import SchemaMismatch
from asyncjobs.postgres import migrate as migrate_module
from asyncjobs.postgres.migrate import Migration, migrate, migrations, script
from tests.moments import until

APPLY = """
import asyncio, sys, asyncpg
from asyncjobs.postgres.migrate import migrate
async def main():
    connection = await asyncpg.connect(sys.argv[1])
    print(len(await migrate(connection, "asyncjobs")))
asyncio.run(main())
"""


async def test_eight_processes_at_a_time_apply_each_migration_once(empty_database: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", APPLY, empty_database), stdout=asyncio.subprocess.PIPE
        )
        for _ in range(8)
    ]
    answers = [(await process.communicate())[0] for process in processes]

    assert sorted(int(answer) for answer in answers) == [0] * 7 + [len(migrations("asyncjobs"))]


async def test_a_second_time_nothing_is_done(empty_database: str) -> None:
    connection = await asyncpg.connect(empty_database)
    first = await migrate(connection, "asyncjobs")
    second = await migrate(connection, "asyncjobs")
    await connection.close()

    assert first == [migration.name for migration in migrations("asyncjobs")]
    assert second == []


async def test_the_printed_script_makes_the_same_tables(empty_database: str, database: str) -> None:
    query = """
        select table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable
        from information_schema.columns where table_schema = 'asyncjobs' order by 1
    """
    made, migrated = await asyncpg.connect(empty_database), await asyncpg.connect(database)
    await made.execute(script("asyncjobs"))
    columns = [[row[0] for row in await each.fetch(query)] for each in (made, migrated)]
    with_nothing_to_do = await migrate(made, "asyncjobs")
    await made.close()
    await migrated.close()

    assert columns[0] == columns[1]
    assert with_nothing_to_do == []


async def test_a_schema_that_is_not_there_is_named_with_what_to_do(empty_database: str) -> None:
    with pytest.raises(SchemaMismatch, match="asyncjobs migrate"):
        async with Jobs(empty_database).running():
            pass


async def test_a_newer_schema_runs_unless_it_needs_newer_code(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    add = "insert into asyncjobs.migration (number, name, oldest_code) values ($1, $2, $3)"
    await eyes.execute(add, 9001, "9001_additive", "0.0.1")
    async with jobs.connected():
        pass
    await eyes.execute(add, 9002, "9002_breaking", "99.0.0")

    with pytest.raises(
        SchemaMismatch, match=r"it is newer: 9002_breaking needs asyncjobs 99\.0\.0"
    ):
        async with jobs.connected():
            pass


async def test_an_older_schema_says_what_it_lacks(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    await eyes.execute("update asyncjobs.migration set number = 0 where number = 1")

    with pytest.raises(SchemaMismatch, match="it is older and lacks 0001_jobs"):
        async with jobs.connected():
            pass


async def test_a_migrator_that_must_wait_holds_no_snapshot(
    empty_database: str,
) -> None:
    # Nobody waits in pg_advisory_lock(): it would deadlock CREATE INDEX CONCURRENTLY.
    holder, late = [await asyncpg.connect(empty_database) for _ in range(2)]
    await holder.execute("select pg_advisory_lock(hashtext('asyncjobs migrate asyncjobs'))")
    waiting = asyncio.ensure_future(migrate(late, "asyncjobs"))
    await holder.execute("create table t (a int)")
    async with asyncio.timeout(20):
        await holder.execute("create index concurrently on t (a)")
    await holder.execute("select pg_advisory_unlock_all()")

    assert await waiting
    await holder.close()
    await late.close()


def test_every_statement_names_its_columns_and_its_promise() -> None:
    for entry in files("asyncjobs.postgres").joinpath("sql").iterdir():
        text = entry.read_text()
        assert text.startswith("-- "), entry.name
        assert not re.search(r"\breturning \*|select \*|job\.\*", text), entry.name


ADDED = "alter table asyncjobs.job add column added text; alter table asyncjobs.archive add column added text"


async def test_a_column_added_under_a_running_process_breaks_nothing(
    jobs: Jobs, database: str, eyes: asyncpg.Connection
) -> None:
    # As in a rolling deploy: the schema is newer, the code that runs is not, and its statements are prepared.
    @jobs.task
    async def work() -> int:
        return 1

    caller = await asyncpg.connect(database)
    async with jobs.running():
        for _ in range(2):
            async with caller.transaction():
                job = await work.options(connection=caller).enqueue()
            assert await job.result(20) == 1
            assert await (await work.enqueue()).result(20) == 1
        async with caller.transaction():
            await caller.execute("select 1")
            await eyes.execute(ADDED)
            job = await work.options(connection=caller).enqueue()
        assert await job.result(20) == 1
        assert await (await work.enqueue()).result(20) == 1
        assert jobs.executor is not None
        assert jobs.executor.link.generation == 1
    await caller.close()


async def test_a_migration_gives_way_to_an_open_request_and_lets_others_pass(
    database: str, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A waiting ALTER would stop every claim behind it, for as long as one request stays open.
    more = Migration(9001, "9001_more", "0.1.0", ADDED)
    known = migrations("asyncjobs")
    monkeypatch.setattr(migrate_module, "migrations", lambda schema: [*known, more])
    request, migrator = [await asyncpg.connect(database) for _ in range(2)]
    opened = request.transaction()
    await opened.start()
    await request.execute("select asyncjobs.enqueue('t')")
    migrating = asyncio.ensure_future(migrate(migrator, "asyncjobs"))

    async def it_waits() -> bool:
        return bool(
            await eyes.fetchval(
                "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and not granted and database ="
                " (select oid from pg_database where datname = current_database())"
            )
        )

    # It has waited, given way, and waits again: a statement in between is through in a moment.
    for _ in range(3):
        await until(it_waits)
        async with asyncio.timeout(1):
            await eyes.execute("update asyncjobs.job set priority = 1 where task = 'nobody'")
        assert not migrating.done()
    await opened.rollback()

    assert await migrating == ["9001_more"]
    await request.close()
    await migrator.close()
