"""The life of a run against the ends of others: what comes back at once, what starts while we leave."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta

import asyncpg
import pytest

from asyncjobs import Jobs, Snooze, current_job
from asyncjobs.engine import drain as drain_module
from tests.engine.harm import Count, inside, until_at_rest
from tests.faults.proxy import proxied
from tests.moments import until, until_true


async def test_a_job_that_comes_back_at_once_is_known_while_it_runs(database: str) -> None:
    """The claim may bring a job again before the answer to its own finish was heard."""
    jobs = Jobs(database, slots=20)
    unknown: list[str] = []
    rounds: dict[object, int] = {}

    @jobs.task
    async def again() -> Snooze | None:
        me = current_job()
        rounds[me.id] = rounds.get(me.id, 0) + 1
        for _ in range(5):
            await asyncio.sleep(0.002)
            if inside(jobs).runs.get(me.id) is None:
                unknown.append(f"{me.id} in round {rounds[me.id]}")
                break
        return Snooze(timedelta(0)) if rounds[me.id] < 20 else None

    async with jobs.running():
        finish = inside(jobs)._ledger.finish

        async def heard_late(*args: object, **options: object) -> object:
            answers = await finish(*args, **options)
            await asyncio.sleep(0.02)  # a busy loop, or an answer in many packets
            return answers

        inside(jobs)._ledger.finish = heard_late
        made = await jobs.enqueue_many([again.job() for _ in range(40)])
        for job in made:
            await job.result(30)

    assert not unknown, len(unknown)


async def test_a_direct_start_answered_while_we_leave_is_given_back(
    database: str, eyes: asyncpg.Connection
) -> None:
    """Its INSERT was on its way when the drain began, and was answered when nobody waited any more."""
    jobs = Jobs(database, drain=timedelta(seconds=0.3))
    hold = asyncio.Event()

    @jobs.task
    async def first() -> None:
        await hold.wait()

    @jobs.task
    async def work() -> None:
        await asyncio.Event().wait()

    await eyes.execute(
        """
        create function slowly() returns trigger language plpgsql as
        $$ begin perform pg_sleep(1); return null; end $$;
        create constraint trigger slowly after insert on asyncjobs.job
        deferrable initially deferred for each row when (new.task like '%work') execute function slowly()
        """
    )
    async with jobs.running():
        runs = inside(jobs).runs
        await until_at_rest(jobs)
        await first.enqueue()
        await until_true(lambda: runs.live)
        async with eyes.transaction():
            await eyes.execute("select from asyncjobs.job for update")
            stored = asyncio.ensure_future(work.enqueue())
            await until_true(lambda: runs._expected)
            hold.set()  # its end cannot be recorded yet, so that the drain waits for the flush
            ending = asyncio.ensure_future(jobs.connection.drain())
            await until_true(stored.done)
        await ending
    bodies = [body for body in runs._starts._bodies if not body.done()]
    rows = [tuple(row) for row in await eyes.fetch("select state, task from asyncjobs.job")]
    for body in bodies:
        body.cancel()
    assert not bodies, rows
    assert rows[0][0] == "ready"


async def test_a_lifespan_that_is_cancelled_twice_leaves_no_body_running_without_its_lock(
    database: str, eyes: asyncpg.Connection
) -> None:
    jobs = Jobs(database, drain=timedelta(seconds=10))
    bodies: set[asyncio.Task[None]] = set()

    @jobs.task
    async def work() -> None:
        await asyncio.Event().wait()

    async def app() -> None:
        async with jobs.running():
            await work.enqueue()
            await until_true(lambda: inside(jobs).running)
            bodies.update(inside(jobs).runs._starts._bodies)
            await asyncio.Event().wait()

    life = asyncio.ensure_future(app())
    await until_true(lambda: bodies)
    await asyncio.sleep(0)
    life.cancel()
    await until_true(lambda: inside(jobs).is_draining)
    life.cancel()
    await asyncio.wait([life])

    async def lock_is_gone() -> bool:
        return not await eyes.fetchval(
            "select exists (select from pg_locks join asyncjobs.process on objid::bigint = lock_key & 4294967295 where locktype = 'advisory')"
        )

    await until(lock_is_gone)
    left = [body for body in bodies if not body.done()]
    for body in left:
        body.cancel()
    assert not left


async def test_shutdown_ends_though_postgres_refuses_our_last_words(
    database: str, eyes: asyncpg.Connection
) -> None:
    jobs = Jobs(database)

    async def app() -> None:
        async with jobs.running():
            await eyes.execute("drop schema asyncjobs cascade")

    life = asyncio.ensure_future(app())
    done, _ = await asyncio.wait([life], timeout=20)
    if not done:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
    assert done


async def test_who_waits_for_a_commit_when_jobs_is_closed_is_told(database: str) -> None:
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)

        @jobs.task
        async def work() -> None: ...

        async with jobs.connected():
            proxy.refuse()
            proxy.hang_up()
            again = Count(jobs.connection.enqueuer._ledger, "enqueue_again")
            storing = asyncio.ensure_future(work.enqueue())
            await until_true(lambda: again.calls >= 1)
        done, _ = await asyncio.wait([storing], timeout=15)
        storing.cancel()
        assert done
        assert storing.exception() is not None


async def test_a_drain_without_postgres_and_without_live_bodies_is_short(database: str) -> None:
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)
        go = asyncio.Event()

        @jobs.task
        async def work() -> None:
            await go.wait()

        async with jobs.running():
            await work.enqueue()
            await until_true(lambda: inside(jobs).running)
            proxy.refuse()
            proxy.hang_up()
            go.set()
            await until_true(lambda: not inside(jobs).running)
            began = time.monotonic()
        took = time.monotonic() - began
        assert took < 6


async def test_a_signal_says_draining_before_the_lifespan_ends(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    async with jobs.running():
        inside(jobs).begin_draining()

        async def said() -> bool:
            return bool(await eyes.fetchval("select draining from asyncjobs.process"))

        await until(said, 3)


async def test_deploying_a_task_later_is_noticed(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    async with jobs.running():
        await eyes.execute("select asyncjobs.enqueue('late')")
        await until_true(lambda: "late" in inside(jobs).runs.unknown)
        done = asyncio.Event()

        @jobs.task(name="late")
        async def late() -> None:
            done.set()

        await eyes.execute("select asyncjobs.enqueue('late')")
        await asyncio.wait_for(done.wait(), 5)


async def test_a_bug_in_the_drain_does_not_keep_the_process_for_ever(
    jobs: Jobs, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> None:
        raise KeyError("a bug of ours")

    monkeypatch.setattr(drain_module.Drain, "to_the_end", broken)
    async with asyncio.timeout(15), jobs.running():
        pass

    assert "the drain failed" in caplog.text


async def test_a_lock_that_outlived_the_executor_goes_when_the_last_body_has_ended(
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
    gate.set()

    async def freed() -> bool:
        return not await eyes.fetchval(
            "select count(*) from pg_locks where locktype = 'advisory' and database ="
            " (select oid from pg_database where datname = current_database())"
        )

    await until(freed)


async def test_a_process_that_ends_while_its_link_is_down_says_so_all_the_same(
    database: str, eyes: asyncpg.Connection
) -> None:
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)
        async with jobs.running():
            proxy.refuse()
            proxy.hang_up(only="link")
            await until_true(lambda: not inside(jobs).link.is_up)

    endings = await eyes.fetch(
        "select ended_at is not null as ended, ending from asyncjobs.process"
    )
    assert [tuple(row) for row in endings] == [(True, "stopped")]
