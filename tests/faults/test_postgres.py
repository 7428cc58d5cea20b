"""Postgres stops, dies, fills up its connections, and is replaced by its replica, with jobs running."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from tests.faults.connections import ALL, CUT, LINKS, cut
from tests.faults.field import Field
from tests.faults.plugin import Fields
from tests.faults.process import Process
from tests.faults.server import Server, a_server
from tests.moments import until

CHAPTER = "06 Postgres stops, dies, is replaced"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with a_server(tmp_path / "postgres") as server:
        yield server


async def at_work(field: Field) -> list[Process]:
    """A web process and a worker, and jobs that go on through whatever comes."""
    web = await field.web(slots=10)
    worker = await field.worker(slots=10)
    jobs = await field.enqueue("held_by", str(field.directory / "gate"), n=6)
    await field.until_began(jobs)
    field.lasting = jobs
    return [web, worker]


async def until_it_goes_on(field: Field) -> None:
    """Wait until jobs end again, then let those go that lasted."""
    await field.until_runs(len(field.entries("ended")) + 20)
    (field.directory / "gate").touch()


def assert_none_was_disturbed(field: Field) -> None:
    """Those that ran when it happened have run on, each once."""
    runs = [run for run in field.runs() if run.job in set(map(str, field.lasting))]
    assert [run.how for run in runs] == ["returned"] * len(field.lasting)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_a_restart_under_load(fields: Fields, server: Server, mode: str) -> None:
    async with fields(server.dsn) as field:
        await at_work(field)
        async with field.load():
            await field.until_runs(30)
            field.harm()
            await server.restart(mode)
            await until_it_goes_on(field)
        await field.until_finished()
        assert_none_was_disturbed(field)


async def test_it_is_down_for_long(fields: Fields, server: Server) -> None:
    async with fields(server.dsn) as field:
        field.finished_within = 90
        await at_work(field)
        async with field.load(every=0.1):
            await field.until_runs(30)
            await server.stop()
            await asyncio.sleep(field.seconds(full=60, short=8))
            await server.start()
            await until_it_goes_on(field)
        await field.until_finished()
        assert_none_was_disturbed(field)


@pytest.mark.parametrize("whose", ["link", "pool"])
async def test_a_backend_is_killed_and_takes_the_server_through_recovery(
    fields: Fields, server: Server, whose: str
) -> None:
    async with fields(server.dsn) as field:
        await at_work(field)
        async with field.load():
            for _ in range(int(field.seconds(full=5, short=2))):
                await field.until_runs(len(field.entries("ended")) + 30)
                rows = await field.look(
                    "select pid from pg_stat_activity where application_name like 'asyncjobs%'"
                    " and (application_name = 'asyncjobs link') = $1",
                    whose == "link",
                )
                os.kill(field.random.choice(rows)["pid"], signal.SIGKILL)
                await server.until_ready()
            await until_it_goes_on(field)
        await field.until_finished()
        assert_none_was_disturbed(field)


async def test_the_postmaster_is_killed(fields: Fields, server: Server) -> None:
    async with fields(server.dsn) as field:
        await at_work(field)
        async with field.load():
            await field.until_runs(30)
            await server.kill()
            await server.start()
            await until_it_goes_on(field)
        await field.until_finished()
        assert_none_was_disturbed(field)


async def test_postgres_and_every_process_are_killed_at_once(
    fields: Fields, server: Server
) -> None:
    async with fields(server.dsn) as field:
        processes = await at_work(field)
        await server.kill()
        await field.kill(*processes)
        await server.start()
        (field.directory / "gate").touch()
        await field.worker("the next")
        await field.until_finished()


async def test_it_is_out_of_connections(fields: Fields, tmp_path: Path) -> None:
    async with (
        a_server(tmp_path / "postgres", max_connections="16") as server,
        fields(server.dsn) as field,
    ):
        await at_work(field)
        greedy: list[asyncpg.Connection] = []
        # As another role: some slots are kept for superusers.
        await field.look("create role greedy login")
        dsn = server.dsn.replace("postgres@", "greedy@")
        knife = await asyncpg.connect(server.dsn)  # while there is one to be had
        with suppress(asyncpg.exceptions.TooManyConnectionsError):
            while True:
                greedy.append(await asyncpg.connect(dsn))
        assert greedy
        stop = asyncio.Event()

        async def grab() -> None:
            """Take every slot that becomes free."""
            while not stop.is_set():
                with suppress(asyncpg.exceptions.TooManyConnectionsError):
                    greedy.append(await asyncpg.connect(dsn))

        grabbing = asyncio.create_task(grab())
        for _ in range(int(field.seconds(full=10, short=3))):
            await knife.fetch(CUT, field.random.choice([LINKS, ALL]))
            await asyncio.sleep(0.5)
        stop.set()
        await grabbing
        for connection in (knife, *greedy):
            connection.terminate()
        await field.enqueue("steady", n=50)
        await until_it_goes_on(field)
        await field.until_finished()


async def test_the_database_is_made_read_only_for_new_sessions(
    fields: Fields, server: Server
) -> None:
    async with fields(server.dsn) as field:
        await at_work(field)
        await field.look("alter database postgres set default_transaction_read_only = on")
        await cut(field, ALL)
        async with field.load():
            await until_it_goes_on(field)
        await field.until_finished()
        assert_none_was_disturbed(field)


async def test_the_primary_dies_and_its_replica_is_promoted(
    fields: Fields, server: Server, tmp_path: Path
) -> None:
    replica = await server.clone(tmp_path / "replica")
    try:
        # Without this an acknowledged commit can be lost in a failover, a job's as any other's.
        await _until_synchronous(server)
        both = f"postgresql://postgres@127.0.0.1:{server.port},127.0.0.1:{replica.port}/postgres"
        async with fields(server.dsn) as field:
            field.desk_dsn = both
            await field.web(slots=10, dsn=both)
            await field.worker(slots=10, dsn=both)
            field.lasting = await field.enqueue("held_by", str(field.directory / "gate"), n=6)
            await field.until_began(field.lasting)
            async with field.load():
                await field.until_runs(50)
                await server.kill()
                field.dsn = replica.dsn
                await replica.promote()
                await field.look("alter system set synchronous_standby_names = ''")
                await field.look("select pg_reload_conf()")
                await until_it_goes_on(field)
            await field.until_finished()
            assert_none_was_disturbed(field)
    finally:
        await replica.end()


async def _until_synchronous(server: Server) -> None:
    connection = await asyncpg.connect(server.dsn)
    await connection.execute("alter system set synchronous_standby_names = '*'")
    await connection.execute("select pg_reload_conf()")

    async def is_so() -> bool:
        state = "select count(*) from pg_stat_replication where sync_state = 'sync'"
        return bool(await connection.fetchval(state))

    await until(is_so)
    await connection.close()
