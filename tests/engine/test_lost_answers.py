"""Answers that come late, or say no."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from asyncjobs import Jobs, Snooze, current_job
from asyncjobs.engine import connection
from asyncjobs.errors import Unavailable
from tests.engine.harm import Count, inside, until_at_rest
from tests.faults.proxy import Way, proxied
from tests.faults.trap import Moment
from tests.moments import until, until_true


async def test_a_table_that_is_locked_for_a_while_leaves_no_job_behind(
    jobs: Jobs, database: str, eyes: asyncpg.Connection
) -> None:
    """A claim that waited for the table commits after its link was given up, and after the beat."""
    ran: list[int] = []

    @jobs.task(name="work")
    async def work(number: int) -> None:
        ran.append(number)

    other = await asyncpg.connect(database)
    async with jobs.running():
        await until_at_rest(jobs)
        async with other.transaction():
            await eyes.execute(
                "insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments) "
                "select gen_random_uuid(), 'work', 'default', 'ready', now(), now(), "
                "jsonb_build_object('number', n) from generate_series(1, 8) as n"
            )
            await other.execute("lock table asyncjobs.job in access exclusive mode")
            # Long enough for two claims to be given up, one after the other.
            claims = Count(inside(jobs)._ledger, "claim")
            inside(jobs)._claimer.heard_of(["default"])
            await until_true(lambda: claims.calls == 3)
            ghosts = await eyes.fetchval(
                "select count(*) from pg_stat_activity where application_name = 'asyncjobs link' and datname = current_database()"
            )
            generation = await eyes.fetchval("select max(generation) from asyncjobs.process")
        await other.close()
        # Nobody wakes it: it asks again by itself, and sooner than the poll would.
        await until_true(lambda: len(ran) == 8)

        async def all_recorded() -> bool:
            return not await eyes.fetchval("select count(*) from asyncjobs.job")

        await until(all_recorded)
    assert (generation, ghosts) == (1, 1)
    assert sorted(ran) == list(range(1, 9))


async def test_a_first_try_that_commits_late_is_not_left_running(
    database: str, eyes: asyncpg.Connection
) -> None:
    jobs = Jobs(database)

    @jobs.task
    async def work() -> int:
        return 1

    await eyes.execute(
        """
        create function slowly() returns trigger language plpgsql as
        $$ begin perform pg_sleep(1); return null; end $$;
        create constraint trigger slowly after insert on asyncjobs.job
        deferrable initially deferred for each row when (new.state = 'running') execute function slowly()
        """
    )
    async with jobs.running():
        pool: Any = jobs.database._pool
        await until_at_rest(jobs)
        storing = asyncio.ensure_future(work.enqueue())

        async def commits_slowly() -> bool:
            return bool(
                await eyes.fetchval(
                    "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()"
                )
            )

        await until(commits_slowly)
        for holder in pool._holders:  # the network resets it; the server does not notice yet
            if holder._con is not None and holder._in_use:
                holder._con._transport.abort()
        stored = await storing
        assert await stored.result(12) == 1


async def test_a_success_that_postgres_could_not_record_just_now_stays_a_success(
    jobs: Jobs, database: str, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> int:
        return 1

    async with jobs.running():
        other = await asyncpg.connect(database)
        async with other.transaction():
            await other.execute("lock table asyncjobs.archive in access exclusive mode")
            stored = await work.enqueue()

            async def cancelled() -> bool:
                return bool(
                    await eyes.fetchval(
                        "select bool_or(pg_cancel_backend(pid)) from pg_stat_activity where wait_event_type = 'Lock' and query like '%Record how runs%' and datname = current_database()"
                    )
                )

            await until(cancelled)
            await asyncio.sleep(0.3)
        await other.close()
        assert await stored.result(20) == 1


async def test_an_enqueue_ends_within_its_patience_when_nothing_is_answered(database: str) -> None:
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)

        @jobs.task
        async def work() -> None: ...

        async with jobs.connected():
            await work.enqueue()
            proxy.silence(Way.ANSWERED)
            began = time.monotonic()
            storing = asyncio.ensure_future(work.enqueue())
            await asyncio.sleep(0.3)
            # the first try is in doubt: its connection breaks; what follows is not answered either
            proxy.hang_up()
            done, _ = await asyncio.wait([storing], timeout=45)
            took = time.monotonic() - began
            await proxy.heal()
            proxy.hang_up()
            assert done
            assert took < 15
            assert isinstance(storing.exception(), Unavailable)


async def test_a_resend_that_is_not_answered_ends(database: str) -> None:
    """The rollback after a resend without an answer is sent into the same hole, and waited for."""
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)

        @jobs.task
        async def work() -> None: ...

        async with jobs.connected():
            ledger = jobs.connection.enqueuer._ledger
            request = jobs.connection.road._request(work.job())
            await ledger.enqueue([request])
            proxy.silence(Way.ANSWERED)
            began = time.monotonic()
            resend = asyncio.ensure_future(ledger.enqueue_again([request]))
            done, _ = await asyncio.wait([resend], timeout=40)
            took = time.monotonic() - began
            await proxy.heal()
            proxy.hang_up()
            await asyncio.wait([resend], timeout=5)
        assert done
        assert took < 15
        assert isinstance(resend.exception(), Unavailable)


async def test_who_comes_behind_others_waits_no_longer_than_they_when_nothing_is_answered(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "ENQUEUE_WITHIN", 1.0)
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)

        @jobs.task
        async def work() -> None: ...

        async def refused_after(number: int) -> float:
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await jobs.enqueue_many([work.job() for _ in range(number)])
            return time.monotonic() - began

        async with jobs.connected():
            await work.enqueue()
            proxy.silence(Way.ANSWERED)
            first, bulk = asyncio.ensure_future(refused_after(1)), refused_after(3)
            await until_true(lambda: jobs.connection.enqueuer._callers._sent)
            for took in await asyncio.gather(first, bulk, refused_after(1)):
                assert 1 <= took < 3
            proxy.hang_up()
            await proxy.heal()


async def test_a_job_goes_on_soon_when_nobody_heard_that_it_has_gone_back(database: str) -> None:
    # The finish that sent it back was recorded, its answer was lost, and the second try finds nothing.
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)

        @jobs.task
        async def work() -> Snooze | int:
            if proxy_trap.sprung:
                return current_job().attempt
            return Snooze(timedelta(milliseconds=100))

        proxy_trap = proxy.trap("finish", Moment.AFTER)
        async with jobs.running():
            stored = await work.enqueue()

            # The safety poll would find it too, after half a minute.
            assert await stored.result(10) == 1
