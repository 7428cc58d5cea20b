"""A worker: runs jobs until it is told to end, then drains."""

from __future__ import annotations

import asyncio
import signal

import pytest

from asyncjobs import Jobs, JobState
from asyncjobs.errors import BadOption
from asyncjobs.standalone.worker import parse_queues
from tests.moments import until_state, until_true
from tests.standalone import yard
from tests.standalone.conftest import StartWork, Yard


async def test_a_worker_runs_what_others_enqueue_and_ends_well(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work() as worker:
        [pid] = await seen.until_alive(1)
        job = await yard.note.enqueue()
        await job.result(timeout=20)
        worker.tell(signal.SIGTERM)

        assert await worker.ended() == 0

    assert await seen.ledger() == [(job.id, pid)]
    assert await seen.alive() == []


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
async def test_a_job_that_ends_while_the_worker_drains_has_succeeded(
    seen: Yard, start_work: StartWork, told: signal.Signals
) -> None:
    async with start_work() as worker:
        job = await yard.wait_at.enqueue("gate")
        await seen.until_signed(1)
        worker.tell(told)
        await seen.until_draining()
        await seen.open_gate("gate")

        assert await worker.ended() == 0

    assert await job.status() is JobState.SUCCEEDED


async def test_a_job_that_does_not_end_is_released_and_its_attempt_given_back(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work(YARD_DRAIN="0.1") as worker:
        job = await yard.wait_at.enqueue("closed")
        await seen.until_signed(1)
        worker.tell(signal.SIGTERM)

        assert await worker.ended() == 0

    left = await yard.jobs.get(job.id)
    assert (left.state, left.attempt, left.crashes) == (JobState.READY, 0, 0)


async def test_a_second_signal_ends_the_worker_at_once(seen: Yard, start_work: StartWork) -> None:
    async with start_work() as worker:
        await yard.wait_at.enqueue("closed")
        await seen.until_signed(1)
        worker.tell(signal.SIGTERM)
        await seen.until_draining()
        worker.tell(signal.SIGTERM)

        assert await worker.ended() == -signal.SIGTERM


async def test_a_thread_that_does_not_end_does_not_keep_the_worker(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work(YARD_DRAIN="0") as worker:
        job = await yard.sit_tight.enqueue()
        await until_state(job, JobState.RUNNING)
        worker.tell(signal.SIGTERM)

        assert await worker.ended() == 0
        assert "a thread does not end" in worker.said


async def test_a_worker_that_still_waits_for_postgres_can_be_told_to_end(
    start_work: StartWork,
) -> None:
    callers: list[asyncio.StreamWriter] = []

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer)

    async with await asyncio.start_server(say_nothing, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        silent = f"postgresql://somebody@127.0.0.1:{port}/nothing?sslmode=disable"
        async with start_work(ASYNCJOBS_DATABASE_URL=silent) as worker:
            await until_true(lambda: callers)
            worker.tell(signal.SIGTERM)

            assert await worker.ended() == 0
        for caller in callers:
            caller.close()


async def test_queues_and_slots_of_the_command_line_come_first(
    seen: Yard, start_work: StartWork
) -> None:
    async with start_work("--queues", "mail=2,letters=1", "--slots", "3") as worker:
        await worker.says("works")
        other = await yard.note.enqueue()
        await (await yard.post.enqueue()).result(timeout=20)

        assert "3 slots, queues mail, letters" in worker.said
        assert "queue 'letters' is served, but no task here has it" in worker.said
    assert await other.status() is JobState.READY


async def test_jobs_keep_their_own_queues_and_slots_for_the_next_time(database: str) -> None:
    jobs = Jobs(database, slots=7)
    async with jobs.running(slots=2, queues=["mail"]):
        assert jobs.executor is not None
        assert jobs.executor.slots == 2

    async with jobs.running():
        assert jobs.executor.slots == 7
        assert jobs.executor.terms.queues is None


@pytest.mark.parametrize(
    ("text", "queues"),
    [
        ("mail", ["mail"]),
        ("mail, default", ["mail", "default"]),
        ("mail=2,default=8", {"mail": 2, "default": 8}),
        (" mail = 2 ", {"mail": 2}),
    ],
)
def test_queues_can_be_named_with_and_without_their_slots(text: str, queues: object) -> None:
    assert parse_queues(text) == queues


@pytest.mark.parametrize(
    "text", ["", "mail,", "mail=", "mail=x", "mail=-1", "mail=0", "=2", "a,a", "a=1,b"]
)
def test_queues_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(BadOption, match="--queues must be names"):
        parse_queues(text)
