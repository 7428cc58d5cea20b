"""The heart: a thread that a blocked loop does not starve, and that ends with its executor."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from asyncjobs import Jobs
from asyncjobs.engine import drain as drain_module
from asyncjobs.postgres import heart
from asyncjobs.postgres.failures import Unreachable
from asyncjobs.postgres.heart import Heart
from tests.engine import crew
from tests.engine.harm import inside
from tests.engine.leasing import LEASED_FOR, beats, lease
from tests.moments import until, until_true


@pytest.fixture
def jobs(database: str) -> Jobs:
    return Jobs(database, presence="lease")


@pytest.fixture(autouse=True)
async def no_heart_is_left() -> AsyncIterator[None]:
    yield
    assert not beats()


async def test_a_blocked_loop_loses_neither_its_lease_nor_its_job(
    short: None, jobs: Jobs, database: str
) -> None:
    blocked = threading.Event()
    looked = asyncio.Event()

    @jobs.task
    async def block() -> str:
        # The loop stands still until another thread has seen the lease renewed for longer than it lasts.
        return "once" if blocked.wait(30) else "never"

    def watch() -> None:
        asyncio.run(_until_renewed_for(database, heart.LEASE * 1.5))
        blocked.set()

    async with jobs.running():
        watcher = threading.Thread(target=watch)
        watcher.start()
        handle = await block.enqueue()
        assert await handle.result(60) == "once"
        looked.set()
        watcher.join()
        assert lease(jobs).is_up
        assert (await jobs.get(handle.id)).history == ()


async def _until_renewed_for(database: str, seconds: float) -> None:
    """Watch the lease from outside: it must be ahead of the clock all the time."""
    connection = await asyncpg.connect(database)
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() - began < seconds:
        assert await connection.fetchval(
            "select lease_until > clock_timestamp() from asyncjobs.process"
        )
        await asyncio.sleep(0.05)
    await connection.close()


async def test_a_heart_that_fails_is_logged_counted_and_goes_on(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    renew = Heart._renew
    failed: list[int] = []

    async def fails_once(self: Heart, seconds: float) -> None:
        if self.standing is not None and not failed:
            failed.append(1)
            raise KeyError("a bug of ours")
        await renew(self, seconds)

    monkeypatch.setattr(Heart, "_renew", fails_once)
    monkeypatch.setattr(heart, "RENEW_EVERY", 0.05)
    async with jobs.running():
        await until_true(lambda: inside(jobs).troubles.get("heart") == 1)
        link = lease(jobs)
        sent = link.answered_at
        await until_true(lambda: link.answered_at > sent)
        assert link.is_up

    assert "heart failed and starts again" in caplog.text


async def test_a_heart_whose_thread_ends_is_replaced(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with jobs.running():
        link = lease(jobs)
        me = link.process_id
        [first] = beats()

        def broken() -> None:
            raise KeyError("a bug of ours")

        own = link._heart._loop
        assert own is not None
        link._heart._call(own.stop)
        await until_true(lambda: inside(jobs).troubles.get("link") == 1)
        await until_true(lambda: link.is_up and inside(jobs)._claimer.is_open and bool(beats()))
        assert beats() != [first]
        assert link.process_id == me

    assert "the heart has stopped by itself" in caplog.text


async def test_what_was_asked_of_a_heart_that_stops_is_answered(jobs: Jobs) -> None:
    async with jobs.running():
        link = lease(jobs)
        asked = [asyncio.ensure_future(link.fetch("select pg_sleep(1)")) for _ in range(3)]
        await asyncio.sleep(0)
        await link._heart.stop()
        answers = await asyncio.gather(*asked, return_exceptions=True)

    assert all(isinstance(answer, Unreachable) for answer in answers)


async def test_a_caller_that_is_cancelled_leaves_the_rest_as_it_was(jobs: Jobs) -> None:
    async with jobs.running():
        link = lease(jobs)
        callers = [asyncio.ensure_future(link.fetch("select pg_sleep(0.05)")) for _ in range(3)]
        await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()

        [row] = await link.fetch("select 5 as five")

        assert row["five"] == 5


async def test_the_lease_outlives_the_executor_for_a_body_that_cannot_be_stopped(
    short: None, database: str, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain_module, "OBEY_WITHIN", 0.1)
    jobs = Jobs(database, presence="lease", drain=timedelta(0))
    began, gate = threading.Event(), threading.Event()

    @jobs.task
    def stubborn() -> None:
        began.set()
        gate.wait(60)

    async with jobs.running():
        me = lease(jobs).process_id
        await stubborn.enqueue()
        await until_true(began.is_set)
    left_at = asyncio.get_running_loop().time()

    async def speaks_for_long_enough() -> bool:
        assert await eyes.fetchval(LEASED_FOR, me) > 0
        return asyncio.get_running_loop().time() - left_at > heart.LEASE

    await until(speaks_for_long_enough)
    gate.set()
    await until_true(lambda: not beats())

    assert await eyes.fetchval(LEASED_FOR, me) <= 0


async def test_a_forked_child_is_silent_and_holds_no_connection(
    database: str, eyes: asyncpg.Connection
) -> None:
    # In a process of its own: threads and forks do not mix well, and here both are.
    process = await asyncio.create_subprocess_exec(
        *crew.command(database, "--leased", "--shorten", "0.3", "--forks"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    child = int(await process.stdout.readline())
    assert await process.stdout.readline() == b"up\n"
    process.kill()
    await process.wait()

    async def alone() -> bool:
        os.kill(child, 0)
        return not await eyes.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database() and application_name = '' and pid <> pg_backend_pid()"
        )

    async def ended() -> bool:
        return bool(
            await eyes.fetchval("select lease_until < clock_timestamp() from asyncjobs.process")
        )

    try:
        await until(alone)
        await until(ended)
        os.kill(child, 0)
    finally:
        os.kill(child, 9)
        process._transport.close()  # type: ignore[attr-defined]
