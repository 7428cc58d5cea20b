"""Real processes that race, die and come back."""

from __future__ import annotations

import asyncio
import signal
import time

import asyncpg

from asyncjobs import Jobs, JobState
from tests.engine.crew import Hire
from tests.engine.diary import diary, until_began
from tests.moments import until


async def test_two_processes_that_race_run_every_job_once(
    desk: Jobs, hire: Hire, eyes: asyncpg.Connection
) -> None:
    await asyncio.gather(hire(), hire())
    quick = desk.tasks["quick"]

    handles = await desk.enqueue_many([quick.job() for _ in range(300)])
    handles += await asyncio.gather(*(quick.enqueue() for _ in range(100)))
    pids = {await handle.result(60) for handle in handles}

    runs = await eyes.fetch("select job, count(*) from public.diary group by job")
    assert len(runs) == 400
    assert {row["count"] for row in runs} == {1}
    assert len(pids) == 2


async def test_the_jobs_of_a_killed_process_run_again_in_another_within_five_seconds(
    desk: Jobs, hire: Hire, eyes: asyncpg.Connection
) -> None:
    victim = await hire()
    handle = await desk.tasks["once_slow"].enqueue()
    await until_began(eyes, handle.id)
    survivor = await hire()

    killed_at = time.monotonic()
    victim.kill()
    pid = await handle.result(30)

    assert pid == survivor.pid
    assert time.monotonic() - killed_at < 5
    snapshot = await desk.get(handle.id)
    assert (snapshot.attempt, snapshot.crashes) == (1, 1)
    assert [attempt.outcome for attempt in snapshot.history] == ["crashed"]


async def test_the_jobs_of_a_killed_process_run_again_at_its_restart_within_two_seconds(
    desk: Jobs, hire: Hire, eyes: asyncpg.Connection
) -> None:
    victim = await hire()
    handle = await desk.tasks["once_slow"].enqueue()
    await until_began(eyes, handle.id)
    victim.kill()
    await victim.wait()

    await hire()
    up_at = time.monotonic()
    await handle.result(30)

    assert time.monotonic() - up_at < 2
    assert await diary(eyes, handle.id, "ended") == 1


async def test_a_process_with_a_blocked_loop_is_not_robbed(
    desk: Jobs, hire: Hire, eyes: asyncpg.Connection
) -> None:
    blocked = await hire()
    handle = await desk.tasks["blocking"].enqueue(6)
    await until_began(eyes, handle.id)
    await hire()

    pid = await handle.result(40)

    assert pid == blocked.pid
    assert await diary(eyes, handle.id, "began") == 1


async def test_a_job_that_kills_its_processes_is_failed_and_spares_the_others(
    desk: Jobs, hire: Hire
) -> None:
    handle = await desk.tasks["deadly"].enqueue()
    for _ in range(3):
        process = await hire()
        await asyncio.wait_for(process.wait(), 30)
    await hire()

    async def failed() -> bool:
        return await handle.status() is JobState.FAILED

    await until(failed)
    snapshot = await desk.get(handle.id)
    assert snapshot.crashes == 3
    assert (snapshot.error or "").startswith("ProcessDied: 3 processes died while running it")


async def test_sigterm_gives_back_what_does_not_end_with_its_attempt(
    desk: Jobs, hire: Hire, eyes: asyncpg.Connection
) -> None:
    leaving = await hire()
    handle = await desk.tasks["once_slow"].enqueue()
    await until_began(eyes, handle.id)

    leaving.send_signal(signal.SIGTERM)
    await asyncio.wait_for(leaving.wait(), 15)

    snapshot = await desk.get(handle.id)
    assert (snapshot.state, snapshot.attempt, snapshot.crashes) == (JobState.READY, 0, 0)
    ending = "select ending from asyncjobs.process where pid = $1"
    assert await eyes.fetchval(ending, leaving.pid) == "stopped"
    await hire()
    await handle.result(30)


async def test_a_stopped_process_keeps_its_jobs_while_its_connection_lives(
    desk: Jobs, hire: Hire, eyes: asyncpg.Connection
) -> None:
    stopped = await hire()
    handle = await desk.tasks["blocking"].enqueue(2)
    await until_began(eyes, handle.id)
    stopped.send_signal(signal.SIGSTOP)
    other = await hire()
    # The other has looked twice and more: it runs something for longer than that.
    await (await desk.tasks["blocking"].enqueue(3)).result(30)
    stopped.send_signal(signal.SIGCONT)

    assert await handle.result(30) == stopped.pid
    assert other.pid != stopped.pid
    assert await diary(eyes, handle.id, "began") == 1
