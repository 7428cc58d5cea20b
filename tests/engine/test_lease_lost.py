"""A lease that is lost, or not renewed in time: what stops, what goes on, and what comes back."""

from __future__ import annotations

import asyncio
from typing import cast

import asyncpg
import pytest

from asyncjobs import Jobs
from asyncjobs.events import Event, Lost
from asyncjobs.postgres import errand, heart
from asyncjobs.postgres.errand import Standing, now
from asyncjobs.postgres.failures import InDoubt, Unreachable
from tests.engine.harm import inside
from tests.engine.leasing import LEASED_FOR, lease
from tests.faults.proxy import Way, proxied
from tests.moments import until, until_true


class Ears:
    def __init__(self) -> None:
        self.heard: list[Event] = []

    def hears(self, event: Event) -> None:
        self.heard.append(event)


@pytest.fixture
def jobs(database: str) -> Jobs:
    return Jobs(database, presence="lease")


async def test_who_hears_nothing_cancels_all_before_its_lease_ends(
    short: None, database: str, eyes: asyncpg.Connection
) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn, presence="lease")

        @jobs.task
        async def work() -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        async with jobs.running():
            me = lease(jobs).process_id
            await work.enqueue()
            await started.wait()
            proxy.silence(Way.ANSWERED)
            await asyncio.wait_for(cancelled.wait(), 30)
            left = await eyes.fetchval(LEASED_FOR, me)
            await proxy.heal()
            proxy.hang_up()
            await until_true(lambda: lease(jobs).is_up)
            assert lease(jobs).process_id == me

    assert left > 0


async def test_the_pool_leases_for_a_heart_that_cannot_and_the_job_goes_on(
    short: None, database: str, eyes: asyncpg.Connection
) -> None:
    started, gate = asyncio.Event(), asyncio.Event()
    async with proxied(database) as proxy:
        jobs = Jobs(database, presence="lease")

        @jobs.task
        async def work() -> str:
            started.set()
            await gate.wait()
            return "once"

        async with jobs.running():
            link = lease(jobs)
            beat = link._heart._pulse
            direct = beat._connect
            handle = await work.enqueue()
            await started.wait()
            proxy.refuse()

            async def through_the_proxy() -> asyncpg.Connection:
                return await asyncpg.connect(proxy.dsn, statement_cache_size=0)

            beat._connect = through_the_proxy
            link._heart._call(beat.drop)
            await until_true(lambda: not link.is_up)
            downs = asyncio.get_running_loop().time()

            async def leased() -> bool:
                assert await eyes.fetchval(LEASED_FOR, link.process_id) > 0
                return asyncio.get_running_loop().time() - downs > heart.LEASE

            await until(leased)
            beat._connect = direct
            await until_true(lambda: link.is_up)
            gate.set()

            assert await handle.result(20) == "once"
            assert (await jobs.get(handle.id)).history == ()


async def test_a_connection_that_breaks_costs_neither_the_lease_nor_a_job(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    started, gate = asyncio.Event(), asyncio.Event()

    @jobs.task
    async def work() -> str:
        started.set()
        await gate.wait()
        return "once"

    async with jobs.running():
        link = lease(jobs)
        me = link.process_id
        handle = await work.enqueue()
        await started.wait()
        await eyes.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        await until_true(lambda: cast("Standing", link._heart.standing).until > now() + 13)
        gate.set()

        async def has_ended() -> bool:
            return bool(await eyes.fetchval("select count(*) from asyncjobs.finished"))

        await until(has_ended)
        assert (link.process_id, link.generation) == (me, 1)
        assert (await jobs.get(handle.id)).history == ()


async def test_who_was_buried_comes_back_as_another_and_its_runs_are_lost(
    short: None, database: str, eyes: asyncpg.Connection
) -> None:
    ears = Ears()
    jobs = Jobs(database, presence="lease", extensions=[ears])
    started = asyncio.Event()

    @jobs.task
    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    async with jobs.running():
        link = lease(jobs)
        me = link.process_id
        await work.enqueue()
        await started.wait()
        await eyes.execute("update asyncjobs.process set ended_at = now() where id = $1", me)
        await eyes.execute("update asyncjobs.job set fence = fence + 1, claimed_by = -1")
        await until_true(lambda: any(isinstance(event, Lost) for event in ears.heard))
        await until_true(lambda: link.is_up and link.process_id != me)
        await until_true(lambda: inside(jobs)._claimer.is_open)


async def test_health_says_so_when_the_lease_is_lost(
    short: None, database: str, eyes: asyncpg.Connection
) -> None:
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn, presence="lease")
        async with jobs.running():
            await until_true(lambda: jobs.health().is_ready)
            proxy.silence(Way.ANSWERED)
            await until_true(lambda: jobs.health().link_is_up is False)
            await until_true(lambda: not jobs.health().is_ready)
            await proxy.heal()
            proxy.hang_up()
            await until_true(lambda: jobs.health().is_ready)


async def test_after_a_pause_nothing_is_asked_before_the_lease_is_renewed(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Stopped and let go again, or asleep: the clock says so before anything else has had its turn.
    async with jobs.running():
        link = lease(jobs)
        assert link.is_up
        true = errand.now
        monkeypatch.setattr(errand, "now", lambda: true() + heart.CANCEL_BY)

        assert not link.is_up
        with pytest.raises(Unreachable, match="the lease does not stand"):
            await link.fetch("select 1")

        monkeypatch.setattr(errand, "now", true)
        await until_true(lambda: link.is_up)


async def test_a_claim_that_is_answered_when_the_lease_is_over_is_a_doubt(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with jobs.running():
        link = lease(jobs)
        claim = asyncio.ensure_future(link.claim("select pg_sleep(0.3)"))
        await asyncio.sleep(0)
        true = errand.now
        monkeypatch.setattr(errand, "now", lambda: true() + heart.CANCEL_BY)

        with pytest.raises(InDoubt, match="did not stand any more"):
            await claim

        monkeypatch.setattr(errand, "now", true)
        await until_true(lambda: link.is_up)
