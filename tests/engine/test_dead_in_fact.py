"""Alive by its lock, and dead in fact: a blocked loop, a pool that is gone, an executor that somebody else ended."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from asyncjobs import Jobs, JobState
from asyncjobs.engine import finish, watch
from asyncjobs.engine.sight import Sight
from asyncjobs.errors import BadOption
from asyncjobs.postgres.dial import dial
from tests.command import Command, run, started
from tests.engine.harm import inside
from tests.faults.proxy import proxied
from tests.moments import until, until_state, until_true

WORKSHOP = """
import asyncio, os, time
from asyncjobs import Jobs, current_job

jobs = Jobs(os.environ["DSN"])

@jobs.task(name="stuck")
async def stuck() -> None:
    while True:
        time.sleep(0.01)

@jobs.task(name="busy")
async def busy() -> None:
    for _ in range(300):
        await asyncio.sleep(0.02)
"""

Worker = Callable[..., Awaitable[Command]]


@pytest.fixture
async def worker(database: str, tmp_path: Path) -> AsyncIterator[Worker]:
    """Start a worker of its own with these options."""
    (tmp_path / "workshop.py").write_text(WORKSHOP)
    async with asyncio.TaskGroup() as group:
        over = asyncio.Event()

        async def start(*options: str) -> Command:
            up: asyncio.Future[Command] = asyncio.get_running_loop().create_future()

            async def live() -> None:
                words = tmp_path / "words"
                environment = {"DSN": database, "PYTHONPATH": os.pathsep.join(sys.path)}
                arguments = ("work", "workshop:jobs", *options)
                async with started(
                    words, *arguments, cwd=tmp_path, environment=environment
                ) as command:
                    await command.says("works")
                    up.set_result(command)
                    await over.wait()

            group.create_task(live())
            return await up

        yield start
        over.set()


async def test_a_worker_whose_loop_never_turns_again_ends_and_says_where_it_stood(
    worker: Worker, database: str
) -> None:
    desk = Jobs(database, max_crashes=1)

    @desk.task(name="stuck")
    async def stuck() -> None: ...

    blocked = await worker("--blocked-limit", "5")
    async with desk.connected():
        job = await stuck.enqueue()
        assert await blocked.ended() == watch.EXIT_CODE

    assert "the event loop has not turned for 5 s" in blocked.said
    assert "what runs here (stuck)" in blocked.said
    assert re.search(r'workshop.py", line \d+, in stuck', blocked.said)
    # It was the job's fault, and the next process to look says so.
    async with desk.running():
        await until_state(job, JobState.FAILED)


async def test_a_worker_that_works_is_not_ended(worker: Worker, database: str) -> None:
    desk = Jobs(database)

    @desk.task(name="busy")
    async def busy() -> None: ...

    at_work = await worker("--blocked-limit", "5")
    async with desk.connected():
        await (await busy.enqueue()).result(20)  # it takes longer than that

    assert at_work.process.returncode is None


async def test_a_limit_that_is_too_short_is_refused(jobs: Jobs) -> None:
    with pytest.raises(BadOption, match="blocked_limit must be a timedelta of at least 5 s"):
        async with jobs.running(blocked_limit=timedelta(seconds=4)):
            pass
    code, said = await run("work", "nowhere:jobs", "--blocked-limit", "-1")
    assert code == 2
    assert "--blocked-limit" in said


async def test_silence_is_counted_in_looks_so_that_a_process_that_was_stopped_may_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing: Any = Sight.of_many
    ends: list[int] = []
    watching = watch.Watch(10.0, None, nothing, nothing, list)
    clock = 0.0

    class Over:
        """Looks; at the fourth look an hour has gone by on every clock, and at the sixth the loop turns."""

        looks = 0

        def wait(self, within: float) -> bool:
            nonlocal clock
            self.looks += 1
            clock += 3600.0 if self.looks == 4 else within
            if self.looks == 6:
                assert watching._silence is not None
                watching._silence.answered_at = clock
            return False

    monkeypatch.setattr(watching, "_now", lambda: watch.Moment(clock, 0.0, 0.0))
    monkeypatch.setattr(watching, "_answer", lambda silence: None)
    monkeypatch.setattr(watching, "_over", Over())
    monkeypatch.setattr(watching, "_end", lambda: ends.append(1))

    for _ in range(14):
        watching.look(1.0)
    assert ends == []
    for _ in range(2):
        watching.look(1.0)
    assert ends == [1]


async def test_outcomes_go_on_the_link_when_the_pool_does_not_work(
    database: str, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "BY_LINK_AFTER", 0.2)
    monkeypatch.setattr(finish, "REDIAL_AFTER", 0.05)
    gate = asyncio.Event()
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)

        @jobs.task
        async def work() -> int:
            await gate.wait()
            return 7

        async with jobs.running():
            link = inside(jobs).link
            link._connect = dial(database, None)
            link._connection._transport.abort()
            await until_true(lambda: link.is_up and link.generation == 2)
            await work.enqueue()
            await until_true(lambda: inside(jobs).running)
            proxy.refuse()
            proxy.hang_up()
            gate.set()

            async def recorded() -> bool:
                return bool(await eyes.fetchval("select result from asyncjobs.finished"))

            await until(recorded)
            assert link.generation == 2
            proxy.refuse(on=False)


async def test_the_lock_goes_with_an_executor_that_somebody_else_cancels(
    jobs: Jobs, database: str, eyes: asyncpg.Connection
) -> None:
    runs: list[str] = []

    @jobs.task(name="work")
    async def work() -> None:
        runs.append("here")
        await asyncio.Event().wait()

    elsewhere = Jobs(database)

    @elsewhere.task(name="work")
    async def same() -> None:
        runs.append("elsewhere")

    async with jobs.running():
        job = await work.enqueue()
        await until_true(lambda: runs)
        [executor] = [
            task for task in asyncio.all_tasks() if task.get_name() == "asyncjobs executor"
        ]
        executor.cancel()
        # The app goes on, and what it ran is free to be run by others.
        async with elsewhere.running():
            await until_state(job, JobState.SUCCEEDED)
        waits = await work.options(delay=timedelta(days=1)).enqueue()
        assert await waits.status() is JobState.SCHEDULED

    assert runs == ["here", "elsewhere"]


async def test_an_extension_that_will_not_end_does_not_hold_up_the_drain(
    database: str, eyes: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    let_go = asyncio.Event()
    cancelled: list[int] = []

    class Stubborn:
        async def serve(self) -> None:
            while not let_go.is_set():
                try:
                    await let_go.wait()
                except asyncio.CancelledError:
                    cancelled.append(1)

    jobs = Jobs(database, extensions=[Stubborn()])
    async with asyncio.timeout(15):
        async with jobs.running():
            await asyncio.sleep(0)
    let_go.set()

    assert cancelled == [1]
    assert "Stubborn (extension 1) does not end, and is left behind" in caplog.text
    assert await eyes.fetchval("select ending from asyncjobs.process") == "stopped"
