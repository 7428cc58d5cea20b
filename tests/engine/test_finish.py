"""Recording ends: fenced, together, never waiting for a stranger and never failing as a whole."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from asyncjobs import Jobs, JobState, exponential
from asyncjobs.events import Event, Finished, Lost
from asyncjobs.job import Outcome, Settled
from asyncjobs.postgres.failures import InDoubt
from asyncjobs.postgres.ledger import Ledger
from asyncjobs.postgres.values import Recorded
from tests.moments import until, until_state, until_true

ME = 77
DONE = Outcome(JobState.SUCCEEDED, "succeeded", result="1")
BACK = Outcome(JobState.READY, "released", counts=False)


class Ears:
    """An extension that remembers what it hears."""

    def __init__(self) -> None:
        self.heard: list[Event] = []

    def hears(self, event: Event) -> None:
        self.heard.append(event)


async def running_row(eyes: asyncpg.Connection, process: int, fence: int = 1) -> UUID:
    id = uuid4()
    await eyes.execute(
        """
        insert into asyncjobs.job
          (id, task, queue, state, run_at, promise, arguments, attempt, fence, claimed_by, claimed_at)
        values ($1, 't', 'elsewhere', 'running', now(), now(), '{}', 1, $3, $2, now())
        """,
        id,
        process,
        fence,
    )
    return id


async def test_a_late_finish_of_an_earlier_run_by_the_same_process_is_refused(
    ledger: Ledger, eyes: asyncpg.Connection
) -> None:
    # Claimed, released and claimed again by one process: claimed_by and attempt are the same, the fence
    # is not.
    id = await running_row(eyes, ME)
    await ledger.finish(ME, [Settled(id, 1, BACK, 0.1, 1)])
    await eyes.execute(
        "update asyncjobs.job set state = 'running', attempt = 1, fence = fence + 1, claimed_by = $2 where id = $1",
        id,
        ME,
    )

    # In one batch too, each is told for itself.
    batch = [Settled(id, 1, DONE, 0.1, 1), Settled(id, 3, DONE, 0.1, 1)]

    assert await ledger.finish(ME, batch[:1]) == {(id, 1): Recorded("lost")}
    assert await ledger.finish(ME, batch) == {(id, 1): Recorded("lost")}
    assert await eyes.fetchval("select fence from asyncjobs.finished where id = $1", id) == 3


async def test_what_is_given_back_unharmed_keeps_its_place_and_what_failed_does_not(
    ledger: Ledger, eyes: asyncpg.Connection
) -> None:
    released, failed = await running_row(eyes, ME), await running_row(eyes, ME)
    place = await eyes.fetchrow(
        "update asyncjobs.job set run_at = run_at - interval '1 h', promise = promise - interval '1 h'"
        " returning run_at, promise"
    )
    again = Outcome(JobState.READY, "failed", error="it failed")

    await ledger.finish(ME, [Settled(released, 1, BACK, 0.1, 1), Settled(failed, 1, again, 0.1, 1)])

    found = await eyes.fetch("select id, run_at, promise from asyncjobs.job")
    places = {row["id"]: (row["run_at"], row["promise"]) for row in found}
    assert places[released] == tuple(place or ())
    assert min(places[failed]) > max(places[released])


async def test_a_finish_sent_twice_is_recorded_once_and_told_so(
    ledger: Ledger, eyes: asyncpg.Connection
) -> None:
    id = await running_row(eyes, ME)
    answers = [await ledger.finish(ME, [Settled(id, 1, DONE, 0.1, 1)]) for _ in range(2)]

    assert answers == [{}, {(id, 1): Recorded("recorded")}]
    assert await eyes.fetchval("select count(*) from asyncjobs.finished where id = $1", id) == 1


async def test_a_row_that_somebody_holds_is_answered_locked_and_holds_nobody_up(
    ledger: Ledger, eyes: asyncpg.Connection
) -> None:
    held, free = await running_row(eyes, ME), await running_row(eyes, ME)
    async with eyes.transaction():
        await eyes.execute("select from asyncjobs.job where id = $1 for update", held)
        batch = [Settled(id, 1, DONE, 0.1, 1) for id in (held, free)]
        answers = await ledger.finish(ME, batch)

    assert answers == {(held, 1): Recorded("locked")}
    assert await eyes.fetchval("select id from asyncjobs.finished") == free


async def test_a_job_that_was_locked_is_recorded_when_it_is_let_go(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    started, gate = asyncio.Event(), asyncio.Event()

    @jobs.task
    async def work() -> int:
        started.set()
        await gate.wait()
        return 7

    @jobs.task
    async def other() -> int:
        return 8

    async with jobs.running():
        handle = await work.enqueue()
        await started.wait()
        async with eyes.transaction():
            await eyes.execute("select from asyncjobs.job where id = $1 for update", handle.id)
            gate.set()
            assert await (await other.enqueue()).result(20) == 8
            assert await handle.status() is JobState.RUNNING
        assert await handle.result(20) == 7


async def test_a_day_that_is_missing_spills_and_nothing_waits_or_fails(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task(keep=timedelta(days=300))
    async def work() -> int:
        return 1

    async with jobs.running():
        days = await eyes.fetch(
            "select inhrelid::regclass::text as day from pg_inherits where inhparent = 'asyncjobs.archive'::regclass"
        )
        for row in days:
            await eyes.execute(f"drop table {row['day']}")
        handle = await work.enqueue()
        assert await handle.result(20) == 1

    assert await eyes.fetchval("select count(*) from asyncjobs.archive_spill") == 1


async def test_a_finish_does_not_wait_while_days_are_made_behind_a_long_reader(
    jobs: Jobs, database: str, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> int:
        return 1

    async with jobs.running():
        reader = await asyncpg.connect(database)
        async with reader.transaction(), eyes.transaction():
            await reader.fetch("select * from asyncjobs.archive")
            await eyes.fetch("select * from asyncjobs.tend_archive(array[current_date + 200])")
            assert await (await work.enqueue()).result(20) == 1
        await reader.close()


async def test_the_row_that_postgres_refuses_fails_alone(
    database: str, eyes: asyncpg.Connection
) -> None:
    ears = Ears()
    jobs = Jobs(database, extensions=[ears])
    gate = asyncio.Event()

    @jobs.task
    async def work(number: int) -> int:
        await gate.wait()
        return number

    async with jobs.running():
        handles = await jobs.enqueue_many([work.job(number) for number in range(8)])
        assert jobs.executor is not None
        finisher, runs = jobs.executor._finisher, jobs.executor.runs
        await until_true(lambda: len(runs.live) == 8)
        broken = handles[3].id

        def spoil(settled: Settled) -> None:
            outcome = Outcome(JobState.SUCCEEDED, "succeeded", result="{ not json")
            finisher.settle(settled._replace(outcome=outcome) if settled.id == broken else settled)

        runs.settle = spoil
        gate.set()
        await until_true(lambda: sum(isinstance(event, Finished) for event in ears.heard) == 8)
        states = [await handle.status() for handle in handles]

    assert states.count(JobState.SUCCEEDED) == 7
    assert states[3] is JobState.FAILED


async def test_a_job_that_somebody_asked_to_cancel_does_not_go_back_to_wait(
    ledger: Ledger, eyes: asyncpg.Connection
) -> None:
    id = await running_row(eyes, ME)
    await eyes.execute("update asyncjobs.job set cancel_asked_at = now() where id = $1", id)

    answers = await ledger.finish(ME, [Settled(id, 1, BACK, 0.1, 1)])

    assert answers == {(id, 1): Recorded("recorded", "cancelled")}


async def test_what_is_recorded_is_in_doubt_where_nobody_says_why_the_rest_is_not(
    ledger: Ledger, eyes: asyncpg.Connection
) -> None:
    # One goes back to wait, which leaves no trace: whoever sends it again must know that it may have happened.
    ours, other = await running_row(eyes, ME), await running_row(eyes, ME + 1)
    await eyes.execute("drop view asyncjobs.finished")  # which the second question needs

    with pytest.raises(InDoubt):
        await ledger.finish(ME, [Settled(ours, 1, BACK, 0.1, 1), Settled(other, 1, DONE, 0.1, 1)])

    assert await eyes.fetchval("select claimed_by from asyncjobs.job where id = $1", ours) is None


async def test_a_run_that_is_not_ours_any_more_is_told_as_lost(
    database: str, eyes: asyncpg.Connection
) -> None:
    ears = Ears()
    jobs = Jobs(database, extensions=[ears])
    started, gate = asyncio.Event(), asyncio.Event()

    @jobs.task
    async def work() -> None:
        started.set()
        await gate.wait()

    async with jobs.running():
        handle = await work.enqueue()
        await started.wait()
        await eyes.execute("update asyncjobs.job set fence = fence + 1 where id = $1", handle.id)
        gate.set()
        await until_true(lambda: any(isinstance(event, Lost) for event in ears.heard))

    assert not any(isinstance(event, Finished) for event in ears.heard)


async def test_every_attempt_is_remembered(jobs: Jobs) -> None:
    tries = 0

    @jobs.task(retry=exponential(3, base=timedelta(milliseconds=1)))
    async def work() -> str:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ValueError(f"try {tries}")
        return "done"

    async with jobs.running():
        handle = await work.enqueue()
        await until_state(handle, JobState.SUCCEEDED)
        snapshot = await jobs.get(handle.id)

    assert [(each.attempt, each.outcome, each.error) for each in snapshot.history] == [
        (1, "failed", "ValueError: try 1"),
        (2, "failed", "ValueError: try 2"),
    ]
    assert "raise ValueError" in (snapshot.history[0].traceback or "")
    assert snapshot.attempt == 3
    assert all(each.ran is not None and each.waited is not None for each in snapshot.history)


async def test_what_is_not_kept_leaves_no_trace(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    @jobs.task(keep=timedelta(0))
    async def work() -> None: ...

    async with jobs.running():
        await work.enqueue()

        async def gone() -> bool:
            return not await eyes.fetchval("select count(*) from asyncjobs.job")

        await until(gone)

    assert await eyes.fetchval("select count(*) from asyncjobs.finished") == 0


async def test_the_fence_goes_on_through_the_archive_and_back(
    ledger: Ledger, eyes: asyncpg.Connection
) -> None:
    # Finished, tried again by somebody, and running again in the same process: the first run has a late word.
    failed = Outcome(JobState.FAILED, "failed", error="no")
    id = await running_row(eyes, ME, fence=5)
    await ledger.finish(ME, [Settled(id, 5, failed, 0.1, 1)])
    await ledger.retry(id)
    await eyes.execute(
        "update asyncjobs.job set state = 'running', attempt = 1, fence = fence + 1, claimed_by = $1",
        ME,
    )

    late = await ledger.finish(ME, [Settled(id, 5, DONE, 0.1, 1)])

    assert await eyes.fetchval("select fence from asyncjobs.job") == 7
    assert late == {(id, 5): Recorded("lost")}
