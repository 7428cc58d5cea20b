"""The link: settings of our own, single statements, no half-read answers, closed in a forked child."""

from __future__ import annotations

import asyncio
import os
import select
import signal

import asyncpg
import pytest

from asyncjobs import Jobs
from asyncjobs.errors import UnsafePool
from asyncjobs.postgres.failures import InDoubt, NotNow, Refused, Unreachable
from tests.engine.harm import cut, inside
from tests.faults.proxy import Way, proxied
from tests.moments import until, until_true


async def test_what_a_role_or_database_has_set_does_not_reach_our_sessions(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    name = await eyes.fetchval("select current_database()")
    for setting in (
        "default_transaction_isolation = 'repeatable read'",
        "default_transaction_read_only = on",
        "statement_timeout = 1",
        "synchronous_commit = off",
        "search_path = 'nowhere'",
    ):
        await eyes.execute(f"alter database {name} set {setting}")
    wanted = ["default_transaction_isolation", "synchronous_commit", "idle_session_timeout"]
    ask = "select name, setting from pg_settings where name = any ($1) order by name"

    @jobs.task
    async def work() -> int:
        return 3

    async with jobs.running():
        assert jobs.executor is not None
        on_link = await jobs.executor.link.fetch(ask, wanted)
        in_pool = await jobs.database.fetch(ask, wanted)
        assert await (await work.enqueue()).result(20) == 3

    for rows in (on_link, in_pool):
        assert {row["name"]: row["setting"] for row in rows}.items() >= {
            "default_transaction_isolation": "read committed",
            "synchronous_commit": "on",
        }.items()


async def test_settings_of_the_pool_outlive_the_return_of_a_connection(jobs: Jobs) -> None:
    async with jobs.connected():
        for _ in range(3):
            assert await jobs.database.fetchval("show enable_seqscan") == "off"


async def test_a_foreign_pool_that_breaks_a_promise_is_refused_by_name(database: str) -> None:
    settings = {"default_transaction_isolation": "serializable", "synchronous_commit": "off"}
    async with asyncpg.create_pool(
        database, min_size=1, max_size=1, server_settings=settings
    ) as pool:
        jobs = Jobs(pool=pool)
        with pytest.raises(UnsafePool) as caught:
            async with jobs.running():
                pass

    assert len(caught.value.findings) == 2
    assert "default_transaction_isolation is 'serializable'" in str(caught.value)


async def test_a_caller_that_is_cancelled_leaves_the_link_as_it_was(jobs: Jobs) -> None:
    async with jobs.running():
        link = inside(jobs).link
        generation = link.generation
        callers = [asyncio.ensure_future(link.fetch("select pg_sleep(0.05)")) for _ in range(3)]
        await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()

        [row] = await link.fetch("select 5 as five")

        assert row["five"] == 5
        assert link.generation == generation
        assert link._connection is not None
        assert not link._connection.is_in_transaction()


async def test_a_refused_statement_is_told_and_the_link_stays(jobs: Jobs) -> None:
    async with jobs.running():
        link = inside(jobs).link
        with pytest.raises(Refused, match="division by zero"):
            await link.fetch("select 1 / 0")
        assert link.is_up
        assert link.generation == 1


async def test_a_statement_that_takes_too_long_is_given_up_by_the_server_and_the_link_stays(
    jobs: Jobs,
) -> None:
    # Else a backend would stay behind that waits for a lock, and claims when it gets it.
    async with jobs.running():
        link = inside(jobs).link
        with pytest.raises(NotNow, match="statement timeout"):
            await link.fetch("select pg_sleep(60)")
        assert link.is_up
        assert link.generation == 1


async def test_a_statement_without_an_answer_ends_the_generation(database: str) -> None:
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)
        async with jobs.running():
            assert jobs.executor is not None
            link = jobs.executor.link
            await link.fetch("select 1")
            proxy.silence(Way.ANSWERED)
            with pytest.raises(InDoubt, match="no answer in time"):
                await link.fetch("select 2")
            await proxy.heal()
            proxy.hang_up()
            await until_true(lambda: link.is_up and link.generation == 2)


async def test_each_generation_has_a_lock_of_its_own(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    keys = set()
    async with jobs.running():
        link = inside(jobs).link
        for generation in (1, 2, 3):

            def is_up(generation: int = generation) -> bool:
                return bool(link.is_up and link.generation == generation)

            await until_true(is_up)
            keys.add(await eyes.fetchval("select lock_key from asyncjobs.process"))
            assert link._connection is not None
            link._connection.terminate()

    assert len(keys) == 3


async def test_while_the_link_is_down_nothing_can_be_asked_on_it(jobs: Jobs) -> None:
    async with jobs.running():
        link = inside(jobs).link
    with pytest.raises(Unreachable):
        await link.fetch("select 1")


async def test_a_forked_child_does_not_keep_the_lock_alive(
    database: str, eyes: asyncpg.Connection
) -> None:
    # A process forks a child without exec and is killed; the child lives on.
    reads, writes = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.close(reads)
        _hold_and_fork(database, writes)
    os.close(writes)
    await until_true(lambda: select.select([reads], [], [], 0)[0])
    grandchild = int(os.read(reads, 20))
    held = "select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())"
    assert await eyes.fetchval(held) == 1

    os.kill(middle, signal.SIGKILL)
    os.waitpid(middle, 0)

    async def freed() -> bool:
        return not await eyes.fetchval(held)

    try:
        await until(freed)
        os.kill(grandchild, 0)
    finally:
        os.kill(grandchild, signal.SIGKILL)
        os.close(reads)


def _hold_and_fork(database: str, writes: int) -> None:
    async def hold() -> None:
        async with Jobs(database).running():
            child = os.fork()
            if child == 0:
                while True:
                    signal.pause()
            os.write(writes, str(child).encode())
            await asyncio.Event().wait()

    try:
        asyncio.run(hold())
    finally:
        os._exit(1)


async def test_no_process_row_is_ever_without_its_lock(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    # A row that comes before its lock looks dead to whoever looks in between: a booting process would be buried.
    await eyes.execute(
        """
        create function has_its_lock() returns trigger language plpgsql as $$
        begin
          if not exists (
            select from pg_locks
            where locktype = 'advisory' and pid = pg_backend_pid() and granted
              and (classid::bigint << 32) | objid::bigint = new.lock_key
          ) then
            raise 'the row is here and its lock is not';
          end if;
          return new;
        end $$;
        create trigger has_its_lock before insert or update of lock_key on asyncjobs.process
        for each row execute function has_its_lock()
        """
    )
    async with jobs.running():
        link = inside(jobs).link
        await cut(eyes, "asyncjobs link")
        await until_true(lambda: link.is_up and link.generation == 2)
