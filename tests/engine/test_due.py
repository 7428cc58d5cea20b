"""Jobs that are not ready yet: on time, in every process, and whatever the client's clock says."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import asyncpg

from asyncjobs import Jobs, JobState
from asyncjobs.engine.due import JITTER, Jitter
from tests.engine.conftest import STATEMENTS
from tests.engine.harm import inside
from tests.moments import until, until_true


async def test_a_delayed_job_runs_when_it_is_due_and_not_before(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.running():
        handle = await work.options(delay=timedelta(milliseconds=200)).enqueue()
        assert await handle.status() is JobState.SCHEDULED
        await handle.result(20)
        snapshot = await jobs.get(handle.id)

    assert snapshot.claimed_at is not None
    assert timedelta(0) <= snapshot.claimed_at - snapshot.run_at < timedelta(seconds=5)


async def test_a_moment_in_the_past_is_now_and_a_zone_is_a_zone(jobs: Jobs) -> None:
    @jobs.task
    async def work() -> int:
        return 1

    east = timezone(timedelta(hours=9))
    async with jobs.running():
        past = work.options(run_at=datetime.now(east) - timedelta(hours=1))
        soon = work.options(run_at=datetime.now(east) + timedelta(milliseconds=100))
        assert [await (await each.enqueue()).result(20) for each in (past, soon)] == [1, 1]


async def test_another_process_hears_of_a_due_time_that_it_did_not_store(
    jobs: Jobs, database: str
) -> None:
    elsewhere = Jobs(database)

    @jobs.task(name="t")
    async def work() -> int:
        return 1

    @elsewhere.task(name="t")
    async def same() -> int:
        return 2

    async with jobs.running(), elsewhere.connected():
        handle = await same.options(delay=timedelta(milliseconds=300)).enqueue()
        assert await handle.result(10) == 1


async def test_two_that_promote_at_once_promote_each_job_once(
    database: str, eyes: asyncpg.Connection
) -> None:
    await eyes.execute(
        """
        insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments)
        select gen_random_uuid(), 't', 'q', 'scheduled', now() - interval '1 s', now(), '{}' from generate_series(1, 50)
        """
    )
    other = await asyncpg.connect(database)

    async with other.transaction():
        [first] = await other.fetch(STATEMENTS["promote"], 30, None)
        [second] = await eyes.fetch(STATEMENTS["promote"], 30, None)
    await other.close()

    assert (first["promoted"], second["promoted"]) == (30, 20)
    assert second["queues"] == ["q"]
    assert (first["saw"], second["saw"]) == (30, 30)


async def test_a_due_job_that_somebody_holds_is_asked_for_again(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> int:
        return 1

    async with jobs.running():
        held = await work.options(delay=timedelta(milliseconds=200)).enqueue()
        beside = await work.options(delay=timedelta(milliseconds=250)).enqueue()
        async with eyes.transaction():
            await eyes.execute("select from asyncjobs.job where id = $1 for update", held.id)
            await beside.result(10)
            assert await held.status() is JobState.SCHEDULED
        # Well before the safety poll, which comes after half a minute.
        assert await held.result(10) == 1


async def test_many_that_are_due_together_all_run(jobs: Jobs) -> None:
    ran = 0

    @jobs.task
    async def work() -> None:
        nonlocal ran
        ran += 1

    async with jobs.running():
        later = work.options(delay=timedelta(milliseconds=100))
        handles = await jobs.enqueue_many([later.job() for _ in range(1200)])
        await asyncio.gather(*(handle.result(30) for handle in handles[::100]))

        async def all_ran() -> bool:
            return ran == 1200

        await until(all_ran)


async def test_what_a_crash_may_take_back_is_not_flushed_for(eyes: asyncpg.Connection) -> None:
    id = await eyes.fetchval(
        "insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments, fence, claimed_by)"
        " values (gen_random_uuid(), 't', 'default', 'running', now(), now(), '{}', 1, 1) returning id"
    )
    calls = {
        "promote": (50, None),
        "progress": (1, [id], [1], [0.5], ["half"]),
        "notify": ("nobody", "{}"),
    }
    for name, arguments in calls.items():
        async with eyes.transaction():
            await eyes.execute("set local synchronous_commit = on")
            await eyes.fetch(STATEMENTS[name], *arguments)
            assert await eyes.fetchval("show synchronous_commit") == "off", name


async def test_who_is_alone_waits_for_nobody_and_who_meets_another_does(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> None: ...

    def most() -> Any:
        return inside(jobs)._promoter._jitter.most

    async with jobs.running():
        past = work.options(run_at=datetime(2020, 1, 1, tzinfo=UTC))
        soon = work.options(delay=timedelta(milliseconds=100))
        for options in (past, soon, past):
            await (await options.enqueue()).result(20)
        assert most() == 0.0

        held = await soon.enqueue()
        async with eyes.transaction():
            await eyes.execute("select from asyncjobs.job where id = $1 for update", held.id)
            await until_true(lambda: most() == JITTER)
        await held.result(20)
        assert most() == JITTER / 2


def test_jitter_goes_when_one_is_first_again_and_again() -> None:
    jitter = Jitter()

    jitter.learn(first=False)
    assert 0 <= jitter.pick() <= jitter.most == JITTER
    for _ in range(5):
        jitter.learn(first=True)

    assert jitter.pick() == 0.0
