"""A pooler in between: found out for sure, refused where a session is needed, and nothing left behind in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from asyncjobs import Jobs
from asyncjobs.errors import PoolerInBetween, Unavailable
from asyncjobs.postgres.dial import dial
from asyncjobs.postgres.failures import Unreachable
from asyncjobs.postgres.pooler import Between, find_between, settle_in_or_share, shares_sessions
from asyncjobs.postgres.session import SETTINGS
from asyncjobs.postgres.statements import Statements
from tests.engine.harm import inside
from tests.faults.proxy import proxied
from tests.moments import until_true
from tests.pgbouncer import Start

STATEMENTS = Statements("asyncjobs.postgres", "asyncjobs")


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    yield connection
    connection.terminate()


async def between(dsn: str) -> Between:
    """Find out what is on the way."""
    async with connected(dsn) as connection:
        _, found = await find_between(connection, STATEMENTS, dial(dsn, None))
        return found


async def test_a_direct_connection_is_not_looked_at_further(database: str) -> None:
    async def never() -> asyncpg.Connection:
        raise AssertionError

    async with connected(database) as connection:
        session, found = await settle_in_or_share(connection, STATEMENTS, SETTINGS, never)

        assert found is Between.NOTHING
        assert session.pid == connection.get_server_pid()
        assert await connection.fetchval("show enable_seqscan") == "off"
        assert await connection.fetchval("show timezone") == "UTC"


async def test_a_proxy_that_only_passes_on_leaves_us_a_session_of_our_own(database: str) -> None:
    async with proxied(database) as proxy:
        assert await between(proxy.dsn) is Between.RELAY


@pytest.mark.parametrize("sessions", [1, 2, 5])
@pytest.mark.parametrize("more", ["", "server_round_robin = 1"], ids=["last", "robin"])
async def test_transaction_mode_is_found_out(bouncer: Start, sessions: int, more: str) -> None:
    own = bouncer("transaction", sessions=sessions, more=more)

    for _ in range(10):
        assert await between(own.dsn) is Between.SHARED


@pytest.mark.parametrize("sessions", [2, 5])
async def test_session_mode_is_never_accused(bouncer: Start, sessions: int) -> None:
    own = bouncer("session", sessions=sessions)

    for _ in range(10):
        assert await between(own.dsn) is Between.SESSIONS


async def test_session_mode_without_a_second_session_is_not_accused(bouncer: Start) -> None:
    own = bouncer("session", sessions=1)

    assert await between(own.dsn) is Between.SESSIONS


async def test_transaction_mode_without_a_free_session_is_not_taken_for_another(
    bouncer: Start,
) -> None:
    own = bouncer("transaction", sessions=1)
    async with connected(own.dsn) as connection, connected(own.dsn) as hog:

        async def dial_late() -> asyncpg.Connection:
            other = await asyncpg.connect(own.dsn)
            await hog.execute("begin; select 1")
            return other

        with pytest.raises(Unreachable, match="no session to lend"):
            await shares_sessions(connection, STATEMENTS, dial_late)


@asynccontextmanager
async def traffic(dsn: str, clients: int) -> AsyncIterator[None]:
    """Let other clients run short transactions without a pause."""
    connections = [await asyncpg.connect(dsn, statement_cache_size=0) for _ in range(clients)]

    async def run(connection: asyncpg.Connection) -> None:
        while True:
            await connection.execute("begin; select 1; commit")

    tasks = [asyncio.ensure_future(run(connection)) for connection in connections]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for connection in connections:
        connection.terminate()


@pytest.mark.parametrize(("sessions", "clients"), [(3, 1), (5, 8), (2, 8)])
async def test_transaction_mode_is_found_out_beside_other_traffic(
    bouncer: Start, sessions: int, clients: int
) -> None:
    own = bouncer("transaction", sessions=sessions)
    async with traffic(own.dsn, clients):
        for _ in range(10):
            assert await between(own.dsn) is Between.SHARED


async def test_session_mode_is_not_accused_beside_other_traffic(bouncer: Start) -> None:
    own = bouncer("session", sessions=6)
    async with traffic(own.dsn, 3):
        for _ in range(5):
            assert await between(own.dsn) is Between.SESSIONS


LEFT_BEHIND = {
    "locks": "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
    # What PgBouncer itself carries from client to client is not ours.
    "settings": """
        select count(*) from pg_settings where source = 'session'
        and name not in ('application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings')
    """,
    "prepared": "select count(*) from pg_prepared_statements",
    "listening": "select count(*) from pg_listening_channels()",
    "temporary": "select count(*) from pg_class where relpersistence = 't'",
}


async def left_behind(dsn: str, sessions: int) -> dict[str, int]:
    """Look at every session of the pooler by holding a transaction open in each."""
    found = dict.fromkeys(LEFT_BEHIND, 0)
    looking = [await asyncpg.connect(dsn, statement_cache_size=0) for _ in range(sessions)]
    pids = set()
    for connection in looking:
        await connection.execute("begin")
        pids.add(await connection.fetchval("select pg_backend_pid()"))
        for name, sql in LEFT_BEHIND.items():
            found[name] += await connection.fetchval(sql)
    for connection in looking:
        await connection.execute("rollback")
        await connection.close()
    assert len(pids) == sessions
    return found


async def test_the_probe_leaves_nothing_behind(bouncer: Start) -> None:
    own = bouncer("transaction", sessions=3)
    jobs = Jobs(own.dsn)

    with pytest.raises(PoolerInBetween):
        async with jobs.running():
            pass

    assert await left_behind(own.dsn, 3) == dict.fromkeys(LEFT_BEHIND, 0)


async def test_transaction_mode_is_refused_at_start_with_the_ways_out(bouncer: Start) -> None:
    jobs = Jobs(bouncer("transaction").dsn)

    with pytest.raises(PoolerInBetween) as caught:
        async with jobs.running():
            pass

    said = str(caught.value)
    for words in ("transaction mode", "direct address", "link_dsn=", "presence='lease'"):
        assert words in said


async def test_statement_mode_is_refused_at_start(bouncer: Start) -> None:
    with pytest.raises(PoolerInBetween, match="refuses transactions"):
        async with Jobs(bouncer("statement").dsn).running():
            pass


async def test_a_link_that_leads_to_a_pooler_is_refused_at_once(
    bouncer: Start, database: str
) -> None:
    jobs = Jobs(database, link_dsn=bouncer("transaction").dsn)

    with pytest.raises(PoolerInBetween, match="link to Postgres"):
        async with asyncio.timeout(5), jobs.running():
            pass


async def test_migrations_are_not_run_through_a_pooler_that_shares(bouncer: Start) -> None:
    jobs = Jobs(bouncer("transaction").dsn, migrate=True)

    with pytest.raises(PoolerInBetween, match="migrate"):
        async with jobs.connected():
            pass


async def test_migrations_go_by_the_links_address(bouncer: Start, empty_database: str) -> None:
    own = bouncer("transaction", before=empty_database)

    async with Jobs(own.dsn, link_dsn=empty_database, migrate=True).running() as jobs:
        assert jobs.database.is_shared


async def test_session_mode_works(bouncer: Start) -> None:
    jobs = Jobs(bouncer("session", sessions=10).dsn)

    @jobs.task
    async def double(number: int) -> int:
        return number * 2

    async with jobs.running():
        assert inside(jobs).link.between is Between.SESSIONS
        assert await (await double.enqueue(21)).result(timeout=20) == 42


async def test_a_process_that_only_enqueues_may_go_through_any_pooler(
    bouncer: Start, database: str
) -> None:
    near, far = Jobs(bouncer("transaction").dsn), Jobs(database)

    async def double(number: int) -> int:
        return number * 2

    here, there = near.task(double), far.task(double)
    async with far.running(), near.connected():
        job = await here.enqueue(21)

        assert near.database.is_shared
        assert await job.result(timeout=20) == 42
    assert there.name == here.name


async def test_a_pooler_that_is_turned_to_transaction_mode_is_noticed_and_waited_for(
    bouncer: Start,
) -> None:
    own = bouncer("session", sessions=10)
    jobs = Jobs(own.dsn)

    @jobs.task
    async def double(number: int) -> int:
        return number * 2

    async with jobs.running():
        assert await (await double.enqueue(1)).result(timeout=20) == 2
        executor = inside(jobs)
        own.turn("transaction")
        await until_true(lambda: isinstance(executor.refusal, PoolerInBetween))
        assert not executor.link.is_up
        with pytest.raises(Unavailable):
            await jobs.database.fetch("select 1")

        own.turn("session")
        await until_true(lambda: executor.link.is_up)
        assert await (await double.enqueue(2)).result(timeout=20) == 4


async def test_what_a_pooler_refuses_is_not_taken_for_postgres_word(bouncer: Start) -> None:
    """Postgres is well, and the locks of what ran through the pooler are gone: others may rescue at once."""
    own = bouncer("session", sessions=10)
    jobs = Jobs(own.dsn)
    cancelled = asyncio.Event()
    started = asyncio.Event()

    @jobs.task
    async def lasting() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with jobs.running():
        await lasting.enqueue()
        await started.wait()
        own.stop()

        async with asyncio.timeout(1.5):
            await cancelled.wait()
        own.start()
