"""The lease, within one process: what says that it lives where no session can be kept."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from asyncjobs import Jobs, current_job
from asyncjobs.engine import presence
from asyncjobs.engine.runs import Runs
from asyncjobs.errors import BadOption
from asyncjobs.postgres import heart
from asyncjobs.postgres.failures import NotNow
from tests.engine.conftest import STATEMENTS
from tests.engine.harm import inside
from tests.engine.leasing import lease
from tests.moments import until, until_true

READY = """
insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments)
values (gen_random_uuid(), 't', 'default', 'ready', now(), now(), '{}') returning id
"""


@pytest.fixture
def jobs(database: str) -> Jobs:
    return Jobs(database, presence="lease")


async def test_jobs_run_without_a_lock_and_without_listen(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def add(a: int, b: int) -> int:
        return a + b

    async with jobs.running():
        assert await (await add.enqueue(1, 2)).result(20) == 3
        [process] = await eyes.fetch(
            "select lock_key, lease_until > now() as is_leased from asyncjobs.process"
        )
        locks = await eyes.fetchval(
            "select count(*) from pg_locks where locktype = 'advisory' and database ="
            " (select oid from pg_database where datname = current_database())"
        )

    assert (process["lock_key"] < 0, process["is_leased"], locks) == (True, True, 0)
    assert await eyes.fetchval("select ending from asyncjobs.process") == "stopped"


async def test_nothing_is_born_running(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    # A direct start rests on a session that lives; a claim asks for the lease.
    born: list[UUID] = []
    monkeypatch.setattr(Runs, "start_expected", lambda self, job: born.append(job.id))

    @jobs.task
    async def work() -> None: ...

    async with jobs.running():
        for _ in range(5):
            await (await work.enqueue()).result(20)

    assert born == []


@pytest.mark.parametrize("presence", ["link", "", None, 1, ["lock"]])
def test_any_other_presence_is_refused(presence: Any) -> None:
    with pytest.raises(BadOption, match="presence must be 'lock' or 'lease'"):
        Jobs(presence=presence)


def test_a_lease_has_no_link_to_have_an_address_for() -> None:
    with pytest.raises(BadOption, match="link_dsn must be left out"):
        Jobs(presence="lease", link_dsn="postgresql://localhost/direct")


async def test_a_job_that_others_have_stored_is_found_without_a_word(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    ran: list[UUID] = []

    @jobs.task(name="t")
    async def work() -> None:
        ran.append(current_job().id)

    async with jobs.running():
        id = await eyes.fetchval(READY)
        await until_true(lambda: ran, within=5)

    assert ran == [id]


async def test_without_a_lease_nothing_is_claimed_whatever_the_process_believes(
    database: str, eyes: asyncpg.Connection
) -> None:
    jobs = Jobs(database, presence="lease", queues=["another"])
    async with jobs.running():
        id = await eyes.fetchval(READY)
        claim = partial(inside(jobs)._ledger.claim, {"default": 1}, 1, [], (1, 1), 1)

        await eyes.execute("update asyncjobs.process set lease_until = now() + interval '2 s'")
        assert lease(jobs).is_up
        with pytest.raises(NotNow, match="the lease does not stand any more"):
            await claim()
        await eyes.execute("update asyncjobs.process set lease_until = now() + interval '20 s'")
        [job], _ = await claim()

    assert job.id == id


async def test_a_claim_waits_for_a_burial_and_finds_itself_buried(
    database: str, eyes: asyncpg.Connection
) -> None:
    jobs = Jobs(database, presence="lease", queues=["another"])
    bury = "update asyncjobs.process set ended_at = now() where id = $1"
    waiting = (
        "select exists (select from pg_locks where not granted and locktype = 'transactionid')"
    )
    async with jobs.running():
        await eyes.execute(READY)
        async with eyes.transaction():
            await eyes.execute("select from asyncjobs.process for update")
            await eyes.execute(bury, lease(jobs).process_id)
            claim = asyncio.ensure_future(
                inside(jobs)._ledger.claim({"default": 1}, 1, [], (1, 1), 1)
            )

            async def waits() -> bool:
                return bool(await eyes.fetchval(waiting))

            await until(waits)
        with pytest.raises(NotNow, match="the lease does not stand any more"):
            await claim

        assert await eyes.fetchval("select state from asyncjobs.job") == "ready"


async def test_a_burial_passes_by_a_process_that_claims(
    jobs: Jobs, database: str, eyes: asyncpg.Connection
) -> None:
    async with jobs.running():
        me = lease(jobs).process_id
        claiming = await asyncpg.connect(database)
        async with claiming.transaction():
            await claiming.fetch(STATEMENTS["stands"], me, 1, 4.0)
            await eyes.fetch(STATEMENTS["rescue"], me, 1, 3, 30, 7, True)
        await claiming.close()

        assert await eyes.fetchval("select ended_at from asyncjobs.process") is None


async def test_the_budgets_leave_time_to_cancel_before_the_lease_ends() -> None:
    # Lost at CANCEL_BY at the latest, then one try through the pool; what is cancelled has some time to obey.
    assert heart.CANCEL_BY + presence.LEASE_ANSWER_WITHIN + 2 < heart.LEASE
    assert heart.RENEW_EVERY + 2 * heart.ANSWER_WITHIN < heart.CANCEL_BY
    assert heart.LEASE == presence.LEASE


def test_the_lease_begins_its_transactions_as_the_pool_does_but_for_their_patience() -> None:
    own, shared = (
        STATEMENTS[name].partition("begin isolation")[2]
        for name in ("begin_leased", "begin_shared")
    )
    own = own.replace("    ('application_name', 'asyncjobs lease'),\n", "")

    assert own == shared.replace("'30s'", "'3500ms'")


async def test_a_restart_of_the_server_is_noted_by_a_renewal(
    short: None, jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    async with jobs.running():
        await eyes.execute(
            "update asyncjobs.server_life set postmaster_started_at = now() - interval '1 h'"
        )
        noted = (
            "select postmaster_started_at = pg_postmaster_start_time()"
            " and began_at = (select life from asyncjobs.process) from asyncjobs.server_life"
        )

        async def is_noted() -> bool:
            return bool(await eyes.fetchval(noted))

        await until(is_noted)
