"""Storing jobs: alone, together, in a caller's transaction, and when the answer is lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from asyncjobs import Jobs
from asyncjobs.errors import Unavailable
from asyncjobs.job import Request
from asyncjobs.postgres.failures import Refused
from tests.moments import until, until_true

BORN_RUNNING = """
select claimed_at is not distinct from created_at
from (
  select id, claimed_at, created_at from asyncjobs.job
  union all select id, claimed_at, created_at from asyncjobs.finished
) as stored
where id = $1
"""
"""Whether a job that is stored was claimed by the statement that stored it; others may have claimed it since."""


def request(queue: str = "default", arguments: str = "{}") -> Request:
    return Request(uuid4(), "t", queue, 0, arguments, None, 0.0)


async def test_callers_that_come_together_share_a_commit(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work(number: int) -> None: ...

    async with jobs.connected():
        await asyncio.gather(*(work.enqueue(number) for number in range(100)))

    [(stored, commits)] = await eyes.fetch(
        "select count(*), count(distinct xmin::text) from asyncjobs.job"
    )
    assert stored == 100
    assert commits < 20


async def test_one_bad_row_hurts_only_its_own_caller(jobs: Jobs) -> None:
    async with jobs.connected():
        enqueuer = jobs.connection.enqueuer
        requests = [request() for _ in range(20)]
        requests[7] = request(arguments="not json")
        results = await asyncio.gather(
            *(enqueuer.enqueue([each]) for each in requests), return_exceptions=True
        )
        stored = await jobs.database.fetchval("select count(*) from asyncjobs.job")

    assert [isinstance(result, Refused) for result in results].index(True) == 7
    assert stored == 19


async def test_a_cancelled_caller_hurts_nobody_and_its_job_is_there_or_is_not(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work(number: int) -> None: ...

    async with jobs.connected():
        callers = [asyncio.ensure_future(work.enqueue(number)) for number in range(50)]
        await asyncio.sleep(0)
        for caller in callers[::5]:
            caller.cancel()
        results = await asyncio.gather(*callers, return_exceptions=True)
        # The committer is still alive for those who come later.
        await work.enqueue(1000)

    kept = [result for result in results if not isinstance(result, BaseException)]
    assert len(kept) == 40
    stored = {row["id"] for row in await eyes.fetch("select id from asyncjobs.job")}
    assert {handle.id for handle in kept} <= stored


async def test_jobs_stored_in_a_transaction_exist_exactly_when_it_commits(
    jobs: Jobs, database: str
) -> None:
    ran: list[str] = []

    @jobs.task
    async def work(what: str) -> None:
        ran.append(what)

    async with (
        jobs.running(),
        asyncpg.create_pool(database, min_size=1, max_size=2) as pool,
        pool.acquire() as connection,
    ):
        with pytest.raises(RuntimeError):
            async with connection.transaction():
                await work.options(connection=connection).enqueue("rolled back")
                raise RuntimeError
        async with connection.transaction():
            handle = await work.options(connection=connection).enqueue("committed")
            async with connection.transaction():
                await work.options(connection=connection).enqueue("savepoint kept")
            with pytest.raises(RuntimeError):
                async with connection.transaction():
                    await work.options(connection=connection).enqueue("savepoint lost")
                    raise RuntimeError
            assert ran == []
        await handle.result(20)
        await until_true(lambda: len(ran) == 2)

    assert sorted(ran) == ["committed", "savepoint kept"]


async def test_the_wake_follows_the_callers_commit_without_a_poll(
    jobs: Jobs, database: str
) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.running(), asyncpg.create_pool(database, min_size=1, max_size=1) as pool:
        async with pool.acquire() as connection, connection.transaction():
            handle = await work.options(connection=connection).enqueue()
        # Far less than the thirty seconds of the safety poll, far more than a wake needs.
        await handle.result(10)
        async with pool.acquire() as connection:
            inner: Any = connection
            assert not inner._con._query_loggers


async def test_an_enqueue_in_doubt_is_stored_once_even_when_its_job_is_done_already(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    # The first try was stored, run and archived while its answer was lost.
    @jobs.task
    async def work() -> None: ...

    async with jobs.running():
        handle = await work.enqueue()
        await handle.result(20)
        assert jobs.executor is not None
        again = Request(handle.id, work.name, "default", 0, "{}", None, 0.0)
        fresh = Request(uuid4(), work.name, "elsewhere", 0, "{}", None, 0.0)
        await jobs.executor._ledger.enqueue_again([again, fresh])

    hot = {row["id"] for row in await eyes.fetch("select id from asyncjobs.job")}
    assert hot == {fresh.id}


async def test_an_enqueue_whose_connection_dies_after_the_commit_is_stored_once(
    database: str, eyes: asyncpg.Connection
) -> None:
    jobs = Jobs(database)

    @jobs.task
    async def work() -> None: ...

    async with jobs.connected():
        await work.enqueue()
        # A trigger keeps the statement open after it has done its work, for long enough to be killed.
        await eyes.execute(
            """
            create function public.linger() returns trigger language plpgsql as
            $$ begin perform pg_sleep(30); return null; end $$;
            create trigger linger after insert on asyncjobs.job
              for each statement execute function public.linger();
            """
        )
        caller = asyncio.ensure_future(work.enqueue())

        async def lingering() -> int | None:
            pid: int | None = await eyes.fetchval(
                "select pid from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
            )
            return pid

        pid = await until(lingering)
        await eyes.execute("select pg_terminate_backend($1)", pid)
        await eyes.execute("drop function public.linger() cascade")
        handle = await caller

    ids = [row["id"] for row in await eyes.fetch("select id from asyncjobs.job")]
    assert ids.count(handle.id) == 1
    assert len(ids) == 2


async def test_a_bulk_is_all_or_nothing(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    async with jobs.connected():
        bulk = [request() for _ in range(10)]
        bulk[5] = request(arguments="not json")
        with pytest.raises(Unavailable):
            await jobs.connection.enqueuer.enqueue(bulk)

    assert await eyes.fetchval("select count(*) from asyncjobs.job") == 0


async def test_a_job_that_finds_a_free_slot_is_born_running(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.running():
        assert jobs.executor is not None
        slots = jobs.executor.runs.slots
        # While a claim is on its way, at the start, it has all slots reserved.
        await until_true(lambda: slots.free == slots.total)
        handle = await work.enqueue()
        await handle.result(20)
        snapshot = await jobs.get(handle.id)

    assert snapshot.claimed_at == snapshot.created_at
    assert await eyes.fetchval("select fence from asyncjobs.finished") == 1


async def test_a_buried_process_cannot_start_directly(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.running():
        assert jobs.executor is not None
        me = jobs.executor.process_id
        await eyes.execute("update asyncjobs.process set ended_at = now() where id = $1", me)
        jobs.executor._claimer.is_open = True
        one = Request(uuid4(), work.name, "default", 0, "{}", None, 0.0)
        otherwise = await jobs.executor.direct_starts.enqueue([one], [True])
        born_running = await eyes.fetchval(BORN_RUNNING, one.id)

    assert (otherwise, born_running) == ([], False)


async def test_a_direct_start_waits_for_a_burial_and_is_then_born_ready(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.running():
        assert jobs.executor is not None
        me = jobs.executor.process_id
        one = Request(uuid4(), work.name, "default", 0, "{}", None, 0.0)
        async with eyes.transaction():
            await eyes.execute("select from asyncjobs.process where id = $1 for update", me)
            sent = asyncio.ensure_future(jobs.executor.direct_starts.enqueue([one], [True]))

            async def waits() -> bool:
                return bool(
                    await eyes.fetchval(
                        "select count(*) from pg_locks where not granted and locktype in ('tuple', 'transactionid')"
                    )
                )

            await until(waits)
            await eyes.execute("update asyncjobs.process set ended_at = now() where id = $1", me)
        otherwise = await sent
        born_running = await eyes.fetchval(BORN_RUNNING, one.id)

    assert (otherwise, born_running) == ([], False)


async def test_an_old_transactions_job_is_promised_from_its_own_statement_on(
    jobs: Jobs, database: str
) -> None:
    @jobs.task
    async def work() -> None: ...

    connection = await asyncpg.connect(database)
    async with jobs.connected(), connection.transaction():
        began = await connection.fetchval("select now()")
        await connection.fetchval("select pg_sleep(0.05)")
        await work.options(connection=connection).enqueue()
        promise = await connection.fetchval("select promise from asyncjobs.job")
    await connection.close()

    assert (promise - began).total_seconds() >= 0.05


async def test_the_sql_function_lets_others_knock(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    @jobs.task(name="greet")
    async def greet(name: str) -> str:
        return f"hello {name}"

    async with jobs.running():
        id = await eyes.fetchval("""select asyncjobs.enqueue('greet', '{"name": "trigger"}')""")

        async def ended() -> bool:
            return bool((await jobs.get(id)).result == "hello trigger")

        await until(ended, within=10)
    assert id.version == 7


async def test_one_job_is_stored_as_it_is_among_many(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    """One has a statement of its own."""

    @jobs.task(queue="mail", priority=3)
    async def work(payload: str = "") -> None: ...

    hour = timedelta(hours=1)
    kinds = [
        work.job("x"),
        work.options(delay=hour).job(),
        work.options(run_at=datetime.now(UTC) + hour, queue="later", priority=-1).job(),
        work.options(run_at=datetime.now(UTC) - hour).job(),
    ]
    async with jobs.connected():
        alone = [await job.enqueue() for job in kinds]
        together = await jobs.enqueue_many(kinds)

    columns = "task, queue, priority, state, arguments, extra, attempt, fence, claimed_by, promise = run_at as on_time"
    said = f"select {columns} from asyncjobs.job where id = $1"
    for one, of_many in zip(alone, together, strict=True):
        assert await eyes.fetchrow(said, one.id) == await eyes.fetchrow(said, of_many.id)
    assert await eyes.fetchval(
        "select max(run_at - created_at) < '61 minutes' and max(run_at - created_at) > '59 minutes' from asyncjobs.job"
    )
