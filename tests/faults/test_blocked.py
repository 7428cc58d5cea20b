"""A process that does not move, and lives: nothing of what it runs may be run by others."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from tests.faults.connections import (
    ALL,
    cut,
    cut_link_of,
    may_be_reborn,
    network,
    until_linked,
    until_unlinked,
)
from tests.faults.field import Field
from tests.faults.long_jobs import gate, with_long_jobs
from tests.faults.process import Process
from tests.faults.proxy import Side
from tests.moments import until_true

CHAPTER = "04 The event loop is blocked, or the process is stopped (SIGSTOP)"

OWN = "its own"  # a queue that only the victim serves, so that it is the one who gets what blocks


async def test_a_job_blocks_the_event_loop(field: Field) -> None:
    victim = await field.worker("victim")
    jobs = await with_long_jobs(field)

    jobs += await field.enqueue("blocking", field.seconds(full=60, short=5), queue=OWN)
    await field.until_began(jobs)
    gate(field).touch()

    await field.until_finished(within=90)
    assert_each_ran_once(field, jobs, victim)


async def test_jobs_block_the_event_loop_again_and_again(field: Field) -> None:
    # Each time for longer than an answer may take; in between there is no time to make a new link.
    victim = await field.worker("victim")
    jobs = await with_long_jobs(field)

    jobs += await field.enqueue("gasping", int(field.seconds(full=12, short=2)), 4.5, queue=OWN)
    await field.until_began(jobs)
    gate(field).touch()

    await field.until_finished(within=90)
    assert_each_ran_once(field, jobs, victim)


async def test_a_request_handler_blocks_the_event_loop(field: Field) -> None:
    victim = await field.web("victim")
    jobs = await with_long_jobs(field)

    blocked = await victim.get(f"/block?seconds={field.seconds(full=60, short=5)}", timeout=90)
    assert blocked.json() == {"pid": victim.pid}
    gate(field).touch()

    await field.until_finished()
    assert_each_ran_once(field, jobs, victim)


async def test_a_process_is_stopped_and_goes_on(field: Field) -> None:
    victim = await field.worker("victim")
    jobs = await with_long_jobs(field)
    jobs += await field.enqueue("steady", 1.5, n=3, queue=OWN)
    await field.until_began(jobs)

    async with stopped(victim):
        await field.lasts(full=60, short=5)
    gate(field).touch()

    await field.until_finished()
    assert_each_ran_once(field, jobs, victim)


async def test_processes_are_stopped_and_go_on_again_and_again_under_load(field: Field) -> None:
    workers = [await field.worker("one"), await field.worker("two")]

    async with field.load():
        for _ in range(int(field.seconds(full=15, short=3))):
            moment = field.random.uniform(0.1, 2.5)
            async with stopped(field.random.choice(workers)):
                await field.lasts(full=moment, short=moment)

    await field.until_finished()
    assert all(len(field.runs_of(entry.job)) == 1 for entry in field.entries("stored"))


async def test_a_stopped_process_is_declared_dead_and_its_late_ends_are_refused(
    field: Field,
) -> None:
    victim = await field.worker("victim")
    jobs = await with_long_jobs(field)
    ends_late = await field.enqueue("steady", 1.5, n=3, queue=OWN)
    await field.until_began(ends_late)
    declared_dead(field, victim, "its link was cut while it was stopped, so that it could not know")

    async with stopped(victim):
        await cut_link_of(field, victim)
        field.harm(victim.pid)
        gate(field).touch()
        await field.until_finished(jobs)
        await field.lasts(full=50, short=1)

    await until_refused(field, [*jobs, *ends_late], victim)


async def test_every_process_is_stopped_and_every_connection_is_cut_meanwhile(
    field: Field,
) -> None:
    # As when a machine is suspended: all come back at once, and none may take another for dead.
    victim = await field.worker("victim")
    jobs = await with_long_jobs(field)
    [_, other] = field.processes

    async with stopped(victim, other):
        await cut(field, ALL)
        await field.lasts(full=60, short=1)
    await until_linked(field, victim, other)
    gate(field).touch()

    await field.until_finished()
    assert_each_ran_once(field, jobs, victim)


@pytest.mark.full
async def test_a_stopped_process_is_declared_dead_when_its_network_forgets_it(
    field: Field,
) -> None:
    # Its kernel acknowledges for it, so Postgres does not give it up; a firewall between them does.
    proxy = await network(field)
    victim = await field.worker("victim", dsn=proxy.dsn)
    jobs = await with_long_jobs(field)
    declared_dead(field, victim, "Postgres was told that its connections had ended, and it was not")

    async with stopped(victim):
        await field.lasts(full=20, short=1)
        proxy.hang_up(Side.POSTGRES)
        field.harm(victim.pid)
        await until_unlinked(field, victim)
        gate(field).touch()
        await field.until_finished(jobs)
        await field.lasts(full=40, short=1)

    await until_refused(field, jobs, victim)


@asynccontextmanager
async def stopped(*processes: Process) -> AsyncIterator[None]:
    """Stop them, as a debugger or a full machine does; they go on at the end of the block."""
    for process in processes:
        process.tell(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            process.tell(signal.SIGCONT)


def declared_dead(field: Field, process: Process, why: str) -> None:
    """Say that others take what it runs while it runs it, and that it comes back under another number."""
    field.may_overlap = why
    may_be_reborn(field, process)


async def until_refused(field: Field, jobs: Sequence[UUID], process: Process) -> None:
    """Wait until that process has told of each of these that its end came too late."""
    wanted = {str(job) for job in jobs}

    def are_told() -> bool:
        return wanted <= {entry.job for entry in field.entries("told Lost", pid=process.pid)}

    # An end may be on its way over a connection that nobody answers on; that is given up after 30 s.
    await until_true(are_told, within=60)


def assert_each_ran_once(field: Field, jobs: Sequence[UUID], process: Process) -> None:
    """Nobody but this process ran any of these, and it ran each once."""
    runs = {job: [run.pid for run in field.runs_of(job)] for job in jobs}
    assert runs == {job: [process.pid] for job in jobs}
