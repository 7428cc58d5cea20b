"""Jobs through a pooler that shares its sessions, with a link of their own: all works, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from asyncjobs import Enqueued, Jobs, embedded
from asyncjobs.dashboard.reader import Reader
from asyncjobs.embedded.guard import find_postmaster
from asyncjobs.errors import Unavailable, UnsafePool
from asyncjobs.postgres import pooled
from asyncjobs.postgres.failures import InDoubt, NotNow, Refused
from asyncjobs.postgres.pooled import Transaction, answer_pooled
from asyncjobs.postgres.session import SETTINGS, answer
from asyncjobs.postgres.statements import Statements
from tests.engine.harm import Count, inside
from tests.engine.test_pooler import LEFT_BEHIND, connected, left_behind
from tests.faults.proxy import Way, proxied
from tests.moments import Gate, until, until_true
from tests.pgbouncer import Start
from tests.postgres import SETTINGS as SETTINGS_OF_SERVER
from tests.postgres import postgres_version, prepare_later

STATEMENTS = Statements("asyncjobs.postgres", "asyncjobs")
BEGIN = STATEMENTS["begin_shared"]
SAID_BY_BEGIN = {
    "default_transaction_isolation": "transaction_isolation",
    "default_transaction_read_only": "transaction_read_only",
    "default_transaction_deferrable": "transaction_deferrable",
}
NOT_A_TRANSACTIONS = ("idle_session_timeout", "tcp_")
SHORTER = {"idle_in_transaction_session_timeout": "5s"}


async def test_a_shared_transaction_has_the_settings_of_our_sessions(database: str) -> None:
    wanted = {
        SAID_BY_BEGIN.get(name, name): SHORTER.get(name, value)
        for name, value in SETTINGS.items()
        if not name.startswith(NOT_A_TRANSACTIONS)
    }
    async with connected(database) as connection:
        before = {name: await connection.fetchval(f"show {name}") for name in wanted}
        await connection.execute(BEGIN)
        inside_of_it = {name: await connection.fetchval(f"show {name}") for name in wanted}
        await connection.execute("commit")
        after = {name: await connection.fetchval(f"show {name}") for name in wanted}

    units = {"30s": "30s", "60s": "1min", "0": "0"}
    assert inside_of_it == {name: units.get(value, value) for name, value in wanted.items()}
    assert after == before


class LostCommits:
    """Breaks the connection when each third of our COMMITs has been answered, once it is told to."""

    def __init__(self) -> None:
        self.loses = False
        self.seen = 0
        self.lost = 0

    async def answer(
        self, connection: Any, sql: str, args: Sequence[object], timeout: float, **how: Any
    ) -> Any:
        rows = await answer(connection, sql, args, timeout, **how)
        if sql == "commit" and self.loses:
            self.seen += 1
            if self.seen % 3 == 0:
                self.lost += 1
                raise InDoubt("commit a transaction", "a test lost its answer")
        return rows


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> LostCommits:
    commits = LostCommits()
    monkeypatch.setattr(pooled, "answer", commits.answer)
    return commits


CUT_WHAT_IS_ON_ITS_WAY = """
select count(pg_terminate_backend(pid)) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
  and application_name not like 'asyncjobs link%' and state <> 'idle'
"""


async def test_two_hundred_jobs_run_once_each_and_some_enqueues_are_in_doubt(
    bouncer: Start, database: str, eyes: asyncpg.Connection, commits: LostCommits
) -> None:
    ran: Counter[int] = Counter()
    jobs = Jobs(bouncer("transaction", sessions=4).dsn, link_dsn=database, slots=20)

    @jobs.task
    async def work(number: int) -> int:
        ran[number] += 1
        return number

    async def enqueue(number: int) -> Enqueued[int]:
        return await work.enqueue(number)

    async with jobs.running():
        assert jobs.database.is_shared
        again = Count(jobs.connection.enqueuer._ledger, "enqueue_again")
        commits.loses = True
        stored = []
        for start in range(0, 200, 20):
            storing = [asyncio.ensure_future(enqueue(start + each)) for each in range(20)]
            await asyncio.sleep(0)
            await eyes.fetchval(CUT_WHAT_IS_ON_ITS_WAY)
            stored += await asyncio.gather(*storing)

        async def all_have_ended() -> bool:
            return bool(await eyes.fetchval("select count(*) >= 200 from asyncjobs.finished"))

        await until(all_have_ended, within=60)
        commits.loses = False
        results = [await job.result(timeout=60) for job in stored]

    assert results == list(range(200))
    assert ran == Counter(range(200))
    assert await eyes.fetchval("select count(*) from asyncjobs.finished") == 200
    assert await eyes.fetchval("select count(*) from asyncjobs.job") == 0
    assert again.calls
    assert commits.lost


async def test_nothing_is_left_on_the_sessions_that_others_get(
    bouncer: Start, database: str, eyes: asyncpg.Connection
) -> None:
    name = await eyes.fetchval("select current_database()")
    await eyes.execute(f"alter database {name} set timezone = 'Asia/Tokyo'")
    own = bouncer("transaction", sessions=3)
    jobs = Jobs(own.dsn, link_dsn=database)

    @jobs.task
    async def work(number: int) -> int:
        return number

    async with jobs.running():
        stored = [await work.enqueue(number) for number in range(20)]
        for job in stored:
            await job.result(timeout=20)
        await jobs.get(stored[0].id)
        await jobs.delete(stored[0].id)

    assert await left_behind(own.dsn, 3) == dict.fromkeys(LEFT_BEHIND, 0)
    async with connected(own.dsn) as other:
        await other.execute("begin")
        assert await other.fetchval("show timezone") == "Asia/Tokyo"
        assert await other.fetchval("show jit") == await eyes.fetchval("show jit")


async def test_an_enqueue_in_doubt_is_stored_once(bouncer: Start, database: str) -> None:
    jobs = Jobs(bouncer("transaction").dsn, link_dsn=database)

    @jobs.task
    async def work() -> None: ...

    async with jobs.connected():  # nobody runs, and archives, the first meanwhile
        ledger = jobs.connection.enqueuer._ledger
        old, new = (jobs.connection.road._request(work.job()) for _ in range(2))
        await ledger.enqueue([old])

        stored = await ledger.enqueue_again([old, new])

        assert [row.id for row in stored] == [new.id]


async def test_what_postgres_refuses_is_rolled_back_and_the_connection_stays(
    bouncer: Start,
) -> None:
    async with connected(bouncer("transaction").dsn) as connection:
        with pytest.raises(Refused):
            await answer_pooled(connection, BEGIN, "select 1 / $1::integer", [0], 5)

        assert not connection.is_in_transaction()
        [row] = await answer_pooled(connection, BEGIN, "select $1::integer as one", [1], 5)
        assert row["one"] == 1


async def test_a_script_that_is_refused_blames_no_statement(database: str) -> None:
    async with connected(database) as connection:
        with pytest.raises(NotNow):
            await answer_pooled(connection, "begin; select 1 / 0", "select 1", [], 5)

        assert not connection.is_in_transaction()


async def test_an_error_of_the_caller_ends_the_transaction(database: str) -> None:
    async with connected(database) as connection:
        with pytest.raises(KeyError):
            async with Transaction(connection, BEGIN, 5) as transaction:
                await transaction.say("select 1")
                raise KeyError

        assert connection.is_closed()


OPEN = """
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in transaction%'
"""


async def test_a_cancelled_caller_leaves_no_transaction_open(
    bouncer: Start, eyes: asyncpg.Connection
) -> None:
    is_open = asyncio.Event()

    async def stay_inside() -> None:
        async with Transaction(connection, BEGIN, 60) as transaction:
            await transaction.say("select 1")
            is_open.set()
            await asyncio.Event().wait()

    async with connected(bouncer("transaction").dsn) as connection:
        staying = asyncio.ensure_future(stay_inside())
        await is_open.wait()
        assert await eyes.fetchval(OPEN) == 1

        staying.cancel()
        await asyncio.wait([staying])

        async def none_is_open() -> bool:
            return not await eyes.fetchval(OPEN)

        await until(none_is_open)


async def test_a_statement_without_an_answer_is_in_doubt_within_its_time(
    bouncer: Start, database: str
) -> None:
    async with proxied(bouncer("transaction").dsn) as proxy:
        jobs = Jobs(proxy.dsn)
        async with jobs.connected():
            await jobs.database.fetch("select 1")
            proxy.silence(Way.ANSWERED)

            with pytest.raises(InDoubt):
                async with asyncio.timeout(5):
                    await jobs.database.fetch("select 1", timeout=0.5)

            await proxy.heal()
            proxy.hang_up()
            [row] = await jobs.database.fetch("select 1 as one")
            assert row["one"] == 1


async def test_a_pool_that_was_handed_in_may_share_if_it_keeps_no_statements(
    bouncer: Start, database: str
) -> None:
    own = bouncer("transaction")
    async with (
        asyncpg.create_pool(own.dsn, min_size=0, max_size=2) as forgetful_of_nothing,
        asyncpg.create_pool(own.dsn, min_size=0, max_size=2, statement_cache_size=0) as pool,
    ):
        with pytest.raises(UnsafePool, match="statement_cache_size=0"):
            async with Jobs(pool=forgetful_of_nothing, link_dsn=database).running():
                pass
        jobs = Jobs(pool=pool, link_dsn=database)

        @jobs.task
        async def double(number: int) -> int:
            return number * 2

        async with jobs.running():
            assert await (await double.enqueue(21)).result(timeout=20) == 42


async def test_the_dashboards_statements_work_through_it(bouncer: Start, database: str) -> None:
    jobs = Jobs(bouncer("transaction").dsn, link_dsn=database)

    async with jobs.running():
        reader = Reader(jobs)

        assert len(await reader.rows("processes", 10)) == 1
        assert len(await reader.rows("serving")) == 1


async def test_a_restarted_pooler_is_come_back_to(bouncer: Start, database: str) -> None:
    own = bouncer("transaction")
    jobs = Jobs(own.dsn, link_dsn=database)

    @jobs.task
    async def double(number: int) -> int:
        return number * 2

    async with jobs.running():
        assert await (await double.enqueue(1)).result(timeout=20) == 2
        own.stop()
        job = asyncio.ensure_future(double.enqueue(2))
        await asyncio.sleep(0)
        own.start()

        assert await (await job).result(timeout=20) == 4


async def answers(jobs: Jobs) -> bool:
    """Whether the pool is there again."""
    try:
        return bool(await jobs.database.fetchval("select true"))
    except Unavailable:
        return False


async def test_what_runs_goes_on_while_postgres_restarts_behind_the_pooler(
    bouncer: Start, tmp_path: Path
) -> None:
    """The pooler hides from the pool that it is Postgres that stops; the link's own way shows it."""
    home, version = tmp_path / "own", postgres_version()
    with closing(embedded.start(home, settings=SETTINGS_OF_SERVER, version=version)) as server:
        await prepare_later(server.dsn)
        jobs = Jobs(bouncer("transaction", before=server.dsn).dsn, link_dsn=server.dsn)
        gate = Gate()

        @jobs.task
        async def lasting() -> str:
            await gate.pass_through("lasting")
            return "not cancelled"

        async with jobs.running():
            job = await lasting.enqueue()
            await until_true(lambda: gate.inside)
            link = inside(jobs).link
            postmaster = find_postmaster(server.log.parent / "data")
            assert postmaster is not None
            os.kill(postmaster.pid, signal.SIGINT)
            await until_true(lambda: not link.is_up)
            refusals = Count(inside(jobs), "on_refused")
            await until_true(lambda: refusals.calls >= 5)
            assert gate.inside

            again = await asyncio.to_thread(
                embedded.start, home, settings=SETTINGS_OF_SERVER, version=version
            )
            with closing(again):
                await until_true(lambda: link.is_up)
                gate.open()
                await until(
                    lambda: answers(jobs)
                )  # the pooler asks again for its server in its own time
                assert await job.result(timeout=30) == "not cancelled"
                assert (await jobs.get(job.id)).attempt == 1
