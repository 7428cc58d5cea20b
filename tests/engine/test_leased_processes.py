"""Real processes that live by a lease: beside each other, beside those that hold a lock, straight and through a pooler."""

from __future__ import annotations

import asyncio
import signal
import time

import asyncpg
import pytest

from asyncjobs import Jobs, JobState
from asyncjobs.postgres import heart
from tests.engine.crew import Hire
from tests.engine.diary import diary, until_began
from tests.moments import until, until_state
from tests.pgbouncer import Start

SHORT = 0.3  # of the true time
LEASE = heart.LEASE * SHORT
LEASED = ("--leased", "--shorten", str(SHORT))
ELSEWHERE = (*LEASED, "--elsewhere")


@pytest.fixture(params=["straight", "through a pooler"])
def way(request: pytest.FixtureRequest, database: str) -> str:
    """The address that leased processes have: of Postgres itself, or of a PgBouncer in transaction mode."""
    if request.param == "straight":
        return database
    start: Start = request.getfixturevalue("bouncer")
    return start("transaction").dsn


async def until_leased_for(
    eyes: asyncpg.Connection,
    process: asyncio.subprocess.Process,
    *,
    more_than: float = 0.0,
    less_than: float = LEASE + 1,
) -> None:
    """Wait until so much of its lease is left, in seconds."""
    left = (
        "select date_part('epoch', lease_until - clock_timestamp()) between $2 and $3"
        " from asyncjobs.process where pid = $1"
    )

    async def is_so() -> bool:
        return bool(await eyes.fetchval(left, process.pid, more_than, less_than))

    await until(is_so)


async def test_two_leased_processes_that_race_run_every_job_once(
    desk: Jobs, hire: Hire, way: str, eyes: asyncpg.Connection
) -> None:
    await asyncio.gather(*(hire(2, "--leased", dsn=way) for _ in range(2)))
    quick, blocking = desk.tasks["quick"], desk.tasks["blocking"]

    # Nobody is woken, so each must be busy for longer than the other takes to ask.
    handles = await desk.enqueue_many([blocking.job(1.5) for _ in range(2)])
    handles += await desk.enqueue_many([quick.job() for _ in range(148)])
    handles += await asyncio.gather(*(quick.enqueue() for _ in range(50)))
    pids = {await handle.result(60) for handle in handles}

    began = "select job, count(*) from public.diary where what = 'began' group by job"
    runs = await eyes.fetch(began)
    assert len(runs) == 200
    assert {row["count"] for row in runs} == {1}
    assert len(pids) == 2


async def test_the_jobs_of_a_killed_process_run_again_when_its_lease_has_ended(
    desk: Jobs, hire: Hire, way: str, eyes: asyncpg.Connection
) -> None:
    victim = await hire(5, *ELSEWHERE, dsn=way)
    handle = await desk.tasks["once_slow"].enqueue()
    await until_began(eyes, handle.id)
    survivor = await hire(5, *ELSEWHERE, dsn=way)

    victim.kill()
    killed_at = time.monotonic()
    pid = await handle.result(60)
    took = time.monotonic() - killed_at

    assert pid == survivor.pid
    assert took < LEASE + 5  # a look each second, and the second of them counts
    snapshot = await desk.get(handle.id)
    assert (snapshot.attempt, snapshot.crashes) == (1, 1)
    assert [attempt.outcome for attempt in snapshot.history] == ["crashed"]


async def test_on_one_machine_nobody_waits_for_the_lease_of_the_dead(
    desk: Jobs, hire: Hire, way: str, eyes: asyncpg.Connection
) -> None:
    victim = await hire(5, "--leased", dsn=way)
    handle = await desk.tasks["once_slow"].enqueue()
    await until_began(eyes, handle.id)
    survivor = await hire(5, "--leased", dsn=way)

    victim.kill()
    await victim.wait()
    killed_at = time.monotonic()

    assert await handle.result(30) == survivor.pid
    assert time.monotonic() - killed_at < 5


async def test_a_loop_that_is_blocked_for_longer_than_the_lease_is_not_robbed(
    desk: Jobs, hire: Hire, way: str, eyes: asyncpg.Connection
) -> None:
    blocked = await hire(5, *ELSEWHERE, dsn=way)
    handle = await desk.tasks["blocking"].enqueue(LEASE * 1.5)
    await until_began(eyes, handle.id)
    await hire(5, *ELSEWHERE, dsn=way)

    assert await handle.result(60) == blocked.pid
    assert await diary(eyes, handle.id, "began") == 1
    assert (await desk.get(handle.id)).history == ()


async def test_the_late_end_of_a_process_that_was_stopped_for_longer_than_its_lease_is_refused(
    desk: Jobs, hire: Hire, way: str, eyes: asyncpg.Connection
) -> None:
    # The weaker promise: both run it for a while, and one end of it is recorded. It is long enough to be stopped in its midst.
    stopped = await hire(5, *ELSEWHERE, dsn=way)
    handle = await desk.tasks["blocking"].enqueue(4)
    await until_began(eyes, handle.id)
    stopped.send_signal(signal.SIGSTOP)
    other = await hire(5, *ELSEWHERE, dsn=way)
    await until_began(eyes, handle.id, times=2)
    former = await eyes.fetchval("select id from asyncjobs.process where pid = $1", stopped.pid)

    stopped.send_signal(signal.SIGCONT)

    assert await handle.result(60) == other.pid

    async def is_reborn() -> bool:
        return bool(
            await eyes.fetchval(
                "select count(*) from asyncjobs.process where pid = $1 and id <> $2 and ended_at is null",
                stopped.pid,
                former,
            )
        )

    await until(is_reborn)
    snapshot = await desk.get(handle.id)
    assert (snapshot.attempt, snapshot.crashes) == (1, 1)
    recorded = "select count(*) from asyncjobs.finished where id = $1"
    assert await eyes.fetchval(recorded, handle.id) == 1


async def test_a_process_that_was_stopped_for_less_than_its_lease_keeps_its_job(
    desk: Jobs, hire: Hire, way: str, eyes: asyncpg.Connection
) -> None:
    stopped = await hire(5, *ELSEWHERE, dsn=way)
    handle = await desk.tasks["blocking"].enqueue(LEASE)
    await until_began(eyes, handle.id)
    await hire(5, *ELSEWHERE, dsn=way)

    await until_leased_for(eyes, stopped, more_than=LEASE * 0.9)
    stopped.send_signal(signal.SIGSTOP)
    await until_leased_for(eyes, stopped, less_than=LEASE * 0.5)
    stopped.send_signal(signal.SIGCONT)

    assert await handle.result(60) == stopped.pid
    assert await diary(eyes, handle.id, "began") == 1


@pytest.mark.parametrize("dies", ["leased", "locked"])
async def test_one_that_lives_by_a_lease_and_one_that_lives_by_a_lock_rescue_each_other(
    desk: Jobs, hire: Hire, way: str, eyes: asyncpg.Connection, dies: str
) -> None:
    async def leased() -> asyncio.subprocess.Process:
        return await hire(5, *ELSEWHERE, dsn=way)

    async def locked() -> asyncio.subprocess.Process:
        return await hire(5, "--elsewhere")

    victim = await (leased() if dies == "leased" else locked())
    handle = await desk.tasks["once_slow"].enqueue()
    await until_began(eyes, handle.id)
    survivor = await (locked() if dies == "leased" else leased())

    victim.kill()
    killed_at = time.monotonic()

    assert await handle.result(60) == survivor.pid
    assert time.monotonic() - killed_at < (LEASE if dies == "leased" else 0) + 6
    assert (await desk.get(handle.id)).crashes == 1


async def test_a_mixed_fleet_runs_every_job_once(
    desk: Jobs, hire: Hire, way: str, eyes: asyncpg.Connection
) -> None:
    await asyncio.gather(hire(5, *ELSEWHERE, dsn=way), hire(5, "--elsewhere"))
    quick, blocking = desk.tasks["quick"], desk.tasks["blocking"]

    long = [await blocking.enqueue(2.5) for _ in range(2)]
    handles = await desk.enqueue_many([quick.job() for _ in range(100)])
    for handle in [*handles, *long]:
        await handle.result(60)

    runs = await eyes.fetch("select count(*) from public.diary where what = 'began' group by job")
    assert [row["count"] for row in runs] == [1] * 102


async def test_connections_that_are_cut_again_and_again_cost_no_job(
    desk: Jobs, hire: Hire, way: str, eyes: asyncpg.Connection
) -> None:
    await asyncio.gather(*(hire(5, *ELSEWHERE, dsn=way) for _ in range(2)))
    quick, blocking = desk.tasks["quick"], desk.tasks["blocking"]
    long = [await blocking.enqueue(LEASE / 3) for _ in range(2)]
    handles = [*long, *await desk.enqueue_many([quick.job() for _ in range(200)])]
    mine = desk.database.application

    for _ in range(5):
        before = await eyes.fetchval("select count(*) from asyncjobs.finished")
        await eyes.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
            " and pid <> pg_backend_pid() and application_name not in ($1, 'diary')"
            " and backend_type = 'client backend'",
            mine,
        )

        async def goes_on(before: int = before) -> bool:
            done: int = await eyes.fetchval("select count(*) from asyncjobs.finished")
            return done > before or done == len(handles)

        await until(goes_on, 30)
    for handle in handles:
        await until_state(handle, JobState.SUCCEEDED)

    twice = await eyes.fetch(
        "select job from public.diary where what = 'began' group by job having count(*) > 1"
    )
    finished = await eyes.fetchval("select count(*) from asyncjobs.finished")
    assert (list(twice), finished) == ([], len(handles))
