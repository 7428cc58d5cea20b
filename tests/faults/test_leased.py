"""Processes that live by a lease: through a pooler in transaction mode, and beside others that hold a lock."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from asyncjobs.postgres.heart import CANCEL_BY, LEASE
from tests.faults.connections import may_be_reborn, network
from tests.faults.field import Field
from tests.faults.long_jobs import gate, until_cancelled, until_rescued
from tests.faults.plugin import Fields
from tests.faults.process import Process
from tests.faults.server import Server, a_server
from tests.pgbouncer import Start

CHAPTER = "16 Leases instead of locks"

# PgBouncer leaves Postgres alone for 15 s after it was refused once, if it is not told otherwise.
SOON = "server_login_retry = 1"
BY_TWO_LOOKS = 4.0  # seconds, on a machine that does much else


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[Server]:
    async with a_server(tmp_path / "postgres") as own:
        yield own


async def leased(field: Field, name: str, dsn: str | None = None) -> Process:
    """Start one with a lease, on a machine of its own, so that nobody has any other proof of its death."""
    machine = {"FAULTS_MACHINE": name}
    return await field.worker(name, dsn=dsn, presence="lease", environment=machine)


async def locked(field: Field, name: str) -> Process:
    """Start one with a lock, on a machine of its own."""
    return await field.worker(name, environment={"FAULTS_MACHINE": name})


async def test_a_process_is_killed_and_another_waits_for_the_end_of_its_lease(
    fields: Fields, database: str, bouncer: Start
) -> None:
    pooler = bouncer("transaction", more=SOON)
    async with fields(database) as field:
        field.at_the_end(partial(asyncio.to_thread, pooler.stop))
        victim = await leased(field, "victim", pooler.dsn)
        jobs = await field.enqueue("held_by", str(gate(field)), n=10)
        await field.until_began(jobs)
        await leased(field, "survivor", pooler.dsn)

        await field.kill(victim)

        await field.until_began_again(jobs, within=LEASE + BY_TWO_LOOKS)
        gate(field).touch()


@pytest.mark.parametrize("mode", ["fast", "immediate"])
async def test_postgres_is_restarted_under_load_behind_a_pooler_and_nobody_is_robbed(
    fields: Fields, own: Server, bouncer: Start, mode: str
) -> None:
    # Those behind the pooler do not see that Postgres was away; the others have lost their locks.
    pooler = bouncer("transaction", more=SOON, before=own.dsn)
    async with fields(own.dsn) as field:
        field.at_the_end(partial(asyncio.to_thread, pooler.stop))
        await asyncio.gather(
            leased(field, "behind", pooler.dsn), leased(field, "straight"), locked(field, "locked")
        )
        jobs = await field.enqueue("held_by", str(gate(field)), n=12)
        await field.until_began(jobs)
        async with field.load():
            await field.until_runs(30)
            field.harm()
            await own.restart(mode)
            await field.until_runs(len(field.entries("ended")) + 30)
            await field.lasts(5)  # several looks of everybody at everybody
            gate(field).touch()
        await field.until_finished()

        runs = [run for run in field.runs() if run.job in set(map(str, jobs))]
        assert [run.how for run in runs] == ["returned"] * len(jobs)


@pytest.mark.full
async def test_a_leased_process_in_a_black_hole_cancels_before_others_rescue(field: Field) -> None:
    proxy = await network(field)
    victim = await leased(field, "victim", proxy.dsn)
    jobs = await field.enqueue("held_by", str(gate(field)), n=5)
    await field.until_began(jobs)
    await leased(field, "other")

    proxy.silence()
    field.harm(victim.pid)
    cancelled = await until_cancelled(field, jobs, victim)
    rescued = await until_rescued(field, jobs, victim)
    field.figures.notes[
        "seconds from a cut-off leased process cancelling its jobs to their rescue"
    ] = rescued - cancelled
    may_be_reborn(field, victim)
    await proxy.heal()
    gate(field).touch()

    await field.until_finished()
    assert rescued > cancelled


@pytest.mark.full
async def test_a_leased_process_is_stopped_for_longer_than_its_lease(field: Field) -> None:
    victim = await leased(field, "victim")
    jobs = await field.enqueue("held_by", str(gate(field)), n=5)
    await field.until_began(jobs)
    await leased(field, "other")
    field.may_overlap = "it was stopped for longer than its lease, and cannot know of it at once"

    field.harm(victim.pid)
    victim.tell(signal.SIGSTOP)
    await until_rescued(field, jobs, victim)
    may_be_reborn(field, victim)
    victim.tell(signal.SIGCONT)
    await until_cancelled(field, jobs, victim, within=CANCEL_BY)
    gate(field).touch()

    await field.until_finished()


@pytest.mark.full
async def test_a_leased_process_whose_loop_is_blocked_for_twice_its_lease_is_not_robbed(
    field: Field,
) -> None:
    blocked = await leased(field, "blocked")
    [job] = await field.enqueue("blocking", 2 * LEASE)
    await field.until_began([job])
    await asyncio.gather(leased(field, "other"), locked(field, "another"))

    await field.until_finished([job], within=3 * LEASE)

    assert [run.pid for run in field.runs_of(job)] == [blocked.pid]
