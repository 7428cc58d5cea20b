"""The supervisor: keeps workers going, and ends them in good order."""

from __future__ import annotations

import os
import signal
from collections import Counter

from asyncjobs import JobState
from asyncjobs.engine.identity import started
from tests.moments import until, until_state, until_true
from tests.standalone import yard
from tests.standalone.conftest import StartWork, Yard


async def test_two_workers_race_for_jobs_and_each_runs_once(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work("--processes", "2"):
        pids = await seen.until_alive(2)
        enqueued = await yard.jobs.enqueue_many([yard.note.job() for _ in range(200)])
        await seen.until_all_finished()

        ledger = await seen.ledger()
        assert Counter(job for job, _ in ledger) == Counter(job.id for job in enqueued)
        assert {pid for _, pid in ledger} == set(pids)


async def test_a_killed_worker_is_replaced_and_its_job_run_again(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work("--processes", "2") as supervisor:
        await seen.until_alive(2)
        job = await yard.wait_at.enqueue("gate")
        [(_, victim)] = await seen.until_signed(1)
        os.kill(victim, signal.SIGKILL)
        [_, (again, other)] = await seen.until_signed(2)
        await seen.open_gate("gate")
        await job.result(timeout=20)

        assert again == job.id
        assert other != victim
        assert victim not in await seen.until_alive(2)
        assert f"pid {victim}, ended: killed by SIGKILL" in supervisor.said
        assert (await yard.jobs.get(job.id)).crashes == 1


async def test_told_to_end_the_supervisor_waits_until_all_have_drained(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work("--processes", "2", "--slots", "1") as supervisor:
        await seen.until_alive(2)
        enqueued = [await yard.wait_at.enqueue("gate") for _ in range(2)]
        await seen.until_signed(2)
        supervisor.tell(signal.SIGTERM)
        await seen.until_draining(2)
        await seen.open_gate("gate")

        assert await supervisor.ended() == 0

    assert [await job.status() for job in enqueued] == [JobState.SUCCEEDED] * 2
    assert await seen.alive() == []


async def test_a_second_signal_kills_the_workers(seen: Yard, start_work: StartWork) -> None:
    async with start_work("--processes", "1") as supervisor:
        [pid] = await seen.until_alive(1)
        await yard.wait_at.enqueue("closed")
        await seen.until_signed(1)
        supervisor.tell(signal.SIGINT)
        await seen.until_draining()
        supervisor.tell(signal.SIGINT)

        assert await supervisor.ended() == 1
        assert started(pid) is None


async def test_nobody_is_left_behind_when_the_supervisor_is_killed(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work("--processes", "2", YARD_DRAIN="0.1") as supervisor:
        pids = await seen.until_alive(2)
        job = await yard.wait_at.enqueue("closed")
        await seen.until_signed(1)
        supervisor.tell(signal.SIGKILL)

        await until_true(lambda: all(started(pid) is None for pid in pids))

    left = await yard.jobs.get(job.id)
    assert (left.state, left.attempt, left.crashes) == (JobState.READY, 0, 0)


async def test_a_worker_that_the_system_tells_to_end_as_well_drains_all_the_same(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work("--processes", "1") as supervisor:
        [pid] = await seen.until_alive(1)
        job = await yard.wait_at.enqueue("gate")
        await seen.until_signed(1)
        os.kill(pid, signal.SIGTERM)
        supervisor.tell(signal.SIGTERM)
        await seen.until_draining()
        await supervisor.says("told to end: the workers drain")
        await seen.open_gate("gate")

        assert await supervisor.ended() == 0

    assert await job.status() is JobState.SUCCEEDED


async def test_a_worker_that_was_told_to_end_by_itself_is_replaced(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work("--processes", "1") as supervisor:
        await supervisor.says("works")
        [pid] = await seen.until_alive(1)
        os.kill(pid, signal.SIGTERM)
        await supervisor.says(f"pid {pid}, ended: exit code 0")

        async def replaced() -> bool:
            return await seen.alive() not in ([], [pid])

        await until(replaced)


async def test_workers_that_never_come_up_are_tried_again_later_and_later(
    start_work: StartWork,
) -> None:
    async with start_work("--processes", "1", target="tests.standalone.nowhere") as supervisor:
        await supervisor.says("starts again in 2 s")
        supervisor.tell(signal.SIGTERM)

        assert await supervisor.ended() == 0
        assert "there is no module 'tests.standalone.nowhere'" in supervisor.said
        assert "did not come up: exit code 1, time 2 in a row" in supervisor.said
        assert supervisor.said.index("again in 1 s") < supervisor.said.index("again in 2 s")


async def test_the_job_of_a_worker_that_died_is_run_by_its_successor(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work("--processes", "1"):
        job = await yard.wait_at.enqueue("gate")
        [(_, victim)] = await seen.until_signed(1)
        os.kill(victim, signal.SIGKILL)
        [_, (_, successor)] = await seen.until_signed(2)
        await seen.open_gate("gate")
        await until_state(job, JobState.SUCCEEDED)

        assert successor != victim
