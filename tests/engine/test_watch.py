"""The watch: who keeps the event loop is named, and nobody is who does not."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from asyncjobs import Jobs
from asyncjobs.current import CurrentJob
from asyncjobs.engine import blocks, watch
from asyncjobs.engine.sight import Eye, Sight
from asyncjobs.engine.watch import Moment, Silence, counted, watched
from asyncjobs.events import Blocked, Event
from tests.engine.harm import inside
from tests.moments import until, until_true

AFTER = timedelta(milliseconds=100)


class Ear:
    """Hears of blocks: by jobs, and by others, of which a busy machine may add some of its own."""

    def __init__(self) -> None:
        self.blocks: list[Blocked] = []
        self.others: list[Blocked] = []

    def hears(self, event: Event) -> None:
        if isinstance(event, Blocked):
            (self.blocks if event.by == "job" else self.others).append(event)


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def jobs(database: str, ear: Ear) -> Jobs:
    return Jobs(database, extensions=[ear], blocked_after=AFTER)


def compute(seconds: float) -> None:
    """Keep the loop by computing."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def test_a_job_that_computes_on_the_loop_is_named(jobs: Jobs, ear: Ear) -> None:
    @jobs.task(name="heavy", queue="mine")
    async def heavy() -> None:
        compute(0.5)

    async with jobs.running():
        job = await heavy.enqueue()
        await until_true(lambda: ear.blocks)

    [block] = ear.blocks
    assert (block.by, block.id, block.task, block.queue, block.attempt) == (
        "job", job.id, "heavy", "mine", 1,
    )  # fmt: skip
    assert str(block.line).startswith("tests/engine/test_watch.py:")
    assert str(block.line).endswith(" in compute")
    assert block.inside is None
    assert 0.3 < block.seconds < 5


async def test_whether_it_computes_or_waits_is_told(jobs: Jobs, ear: Ear) -> None:
    @jobs.task(name="waits")
    async def waits() -> None:
        assert child.stdin is not None
        threading.Timer(1.0, child.stdin.close).start()
        child.wait(timeout=20)

    with subprocess.Popen(
        [sys.executable, "-S", "-c", "open(0).read()"], stdin=subprocess.PIPE
    ) as child:
        async with jobs.running():
            job = await waits.enqueue()
            await job.result(20)
            await until_true(lambda: ear.blocks)

    [block] = ear.blocks
    assert block.id == job.id
    assert block.computed < block.seconds / 2
    assert str(block.line).endswith(" in test_whether_it_computes_or_waits_is_told.<locals>.waits")
    assert "subprocess.py:" in str(block.inside)


async def test_code_of_the_app_is_not_taken_for_a_job(jobs: Jobs, ear: Ear) -> None:
    started = asyncio.Event()
    end = asyncio.Event()

    @jobs.task
    async def innocent() -> None:
        started.set()
        await end.wait()

    async with jobs.running():
        await innocent.enqueue()
        await started.wait()
        compute(0.5)
        await until_true(lambda: [block for block in ear.others if "in compute" in block.who])
        end.set()

    [block] = [block for block in ear.others if "in compute" in block.who]
    assert (block.by, block.id, block.task) == ("app", None, None)
    assert ear.blocks == []


async def test_plain_functions_are_in_threads_and_block_nothing(jobs: Jobs, ear: Ear) -> None:
    @jobs.task
    def heavy() -> None:
        compute(0.5)

    @jobs.task
    async def light() -> None: ...

    async with jobs.running():
        await (await heavy.enqueue()).result(20)
        await (await light.enqueue()).result(20)

    assert ear.blocks == []


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="before it nobody can ask a task for its context"
)
async def test_what_a_job_has_started_counts_as_the_job(jobs: Jobs, ear: Ear) -> None:
    @jobs.task(name="groups")
    async def groups() -> None:
        async def part() -> None:
            compute(0.5)

        async with asyncio.TaskGroup() as group:
            group.create_task(part())

    async with jobs.running():
        job = await groups.enqueue()
        await until_true(lambda: ear.blocks)

    assert ear.blocks[0].id == job.id


async def test_a_block_of_c_code_that_keeps_the_lock_is_found_when_it_is_over(
    jobs: Jobs, ear: Ear
) -> None:
    @jobs.task(name="counts")
    async def counts() -> None:
        sum(range(60_000_000))

    async with jobs.running():
        job = await counts.enqueue()
        await job.result(30)
        await until_true(lambda: ear.blocks)

    [block] = ear.blocks
    assert (block.by, block.id) == ("job", job.id)
    assert str(block.line).endswith(".<locals>.counts")
    assert block.computed > block.seconds / 2


async def test_the_collectors_time_is_no_jobs_fault(jobs: Jobs, ear: Ear) -> None:
    @jobs.task(name="innocent")
    async def innocent() -> None:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            gc.collect()

    rubbish: list[Any] = []
    for _ in range(1_000_000):
        rubbish.append([rubbish])
    async with jobs.running():
        await (await innocent.enqueue()).result(30)
        await until_true(lambda: "collector" in {block.by for block in ear.others})
    rubbish.clear()

    assert ear.blocks == []


SCRIPT = """
import asyncio, sys, time
from datetime import timedelta
from asyncjobs import Jobs

class Ear:
    def hears(self, event):
        if type(event).__name__ == "Blocked":
            print(event.by, flush=True)

jobs = Jobs(sys.argv[1], extensions=[Ear()], blocked_after=timedelta(milliseconds=100))

@jobs.task
async def waits() -> None:
    print("up", flush=True)
    await asyncio.sleep(2)

async def main():
    async with jobs.running():
        await (await waits.enqueue()).result(30)
    print("over", flush=True)

asyncio.run(main())
"""


async def test_a_process_that_was_stopped_accuses_nobody(database: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, database,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGSTOP)
    stopped_at = time.monotonic()
    status = Path(f"/proc/{process.pid}/stat")
    await until_true(lambda: status.read_text().rpartition(")")[2].split()[0] == "T")
    await until_true(lambda: time.monotonic() - stopped_at > 1)
    process.send_signal(signal.SIGCONT)
    rest = await process.stdout.read()
    await process.wait()

    assert rest == b"over\n"


def test_a_late_look_counts_only_where_the_loop_has_computed() -> None:
    assert counted(0.05, 0.05, 0.0) == 0.05
    assert counted(3600.0, 0.05, 0.0) == 0.05  # the whole process stood still
    assert counted(3600.0, 0.05, 3000.0) == 3000.0  # C code kept the interpreter's lock
    assert counted(3600.0, 0.05, 3601.0) == 3600.0


def test_our_own_code_that_only_waits_waits_for_the_interpreters_lock() -> None:
    ours = Sight("asyncjobs", "ours")

    assert ours.told(seconds=1.0, computed=0.9).by == "asyncjobs"
    assert ours.told(seconds=1.0, computed=0.1).by == "threads"


def test_who_was_seen_for_most_of_the_time_is_named() -> None:
    silence = Silence(Moment(0.0, 0.0, 0.0))
    one, two = Sight("app", 1), Sight("app", 2)

    for sight, seconds in ((one, 1.0), (two, 2.0), (two, 1.0)):
        silence.note(sight, seconds)
    assert silence.sight is two
    silence.note(one, 2.0)
    assert silence.sight.by == "many"


def stands_in(name: str, function: str) -> bool:
    """Tell whether the thread of this name is in that function."""
    [thread] = (thread for thread in threading.enumerate() if thread.name == name)
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code.co_name != function:
        frame = frame.f_back
    return frame is not None


async def test_an_idle_watch_sleeps_until_there_are_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    at_work: list[str] = []
    told: list[Blocked] = []
    asked: list[Silence] = []
    eye: Any = Sight.of_many
    with watched(None, AFTER, eye, told.append, lambda: at_work) as watching:
        assert watching is not None
        ask = watching._ask

        def noting(since: Moment) -> Silence:
            asked.append(ask(since))
            return asked[-1]

        # In there it waits for jobs, without a limit.
        await until_true(lambda: stands_in("asyncjobs watch", "_rest"))
        monkeypatch.setattr(watching, "_ask", noting)
        at_work.append("work")
        watching.begin()
        await until_true(lambda: len(asked) > 2)
        at_work.clear()

        await until_true(lambda: stands_in("asyncjobs watch", "_rest"))


async def test_it_leaves_nothing_behind(jobs: Jobs) -> None:
    before = list(gc.callbacks)

    async with jobs.running():
        assert "asyncjobs watch" in {thread.name for thread in threading.enumerate()}

    await until_true(
        lambda: "asyncjobs watch" not in {thread.name for thread in threading.enumerate()}
    )
    assert gc.callbacks == before


async def test_it_can_be_turned_off(database: str) -> None:
    jobs = Jobs(database, blocked_after=None)

    async with jobs.running():
        assert "asyncjobs watch" not in {thread.name for thread in threading.enumerate()}


async def test_nothing_of_arguments_or_variables_is_told(jobs: Jobs, ear: Ear) -> None:
    @jobs.task(name="whispers")
    async def whispers(pin: str) -> None:
        secret = pin * 2
        compute(0.5)
        assert secret

    async with jobs.running():
        await (await whispers.enqueue("open sesame")).result(20)
        await until_true(lambda: ear.blocks)
        stored = inside(jobs).blocks.as_stored()

    assert "sesame" not in f"{ear.blocks}{stored}"


def heard(ear: Ear, blocks: int) -> bool:
    return len(ear.blocks) >= blocks


async def test_a_task_that_blocks_all_the_time_is_counted_and_logged_once(
    jobs: Jobs, ear: Ear, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "asyncjobs.watch")

    @jobs.task(name="heavy")
    async def heavy() -> None:
        compute(0.3)

    async with jobs.running():
        for number in range(1, 4):
            await heavy.enqueue()
            await until_true(partial(heard, ear, number))
        tally = inside(jobs).blocks.by_task["heavy"]

    assert tally.times == 3
    assert tally.seconds == pytest.approx(sum(block.seconds for block in ear.blocks))
    told = [record.getMessage() for record in caplog.records if record.name == "asyncjobs.watch"]
    assert len(told) == 1
    assert "of task heavy at tests/engine/test_watch.py:" in told[0]
    assert "kept the event loop for 0." in told[0]


async def test_the_row_of_the_process_tells_others(
    jobs: Jobs, ear: Ear, eyes: asyncpg.Connection
) -> None:
    @jobs.task(name="heavy")
    async def heavy() -> None:
        compute(0.3)

    async with jobs.running():
        job = await heavy.enqueue()
        await until_true(lambda: ear.blocks)

        async def stored() -> Any:
            return json.loads(await eyes.fetchval("select blocks from asyncjobs.process") or "null")

        told = (await until(stored))["tasks"]["heavy"]

    assert told["times"] == 1
    assert told["worst"]["job"] == str(job.id)
    assert told["worst"]["line"] == ear.blocks[0].line


def test_tasks_beyond_measure_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "MOST", 2)
    none: Any = None
    tallies = blocks.Blocks(none, none, lambda event: None)  # type: ignore[arg-type]

    for name in "abcab":
        tallies._tally(Blocked(None, name, "q", 1, "job", None, None, 1.0, 0.0)).add(
            Blocked(None, name, "q", 1, "job", None, None, 1.0, 0.0)
        )

    assert {name: tally.times for name, tally in tallies.by_task.items()} == {
        "a": 2, "b": 2, "…": 1,
    }  # fmt: skip


async def test_a_block_that_goes_on_for_long_is_told_before_it_is_over(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LONG", 0.2)
    ended: list[Blocked] = []

    def run_of(task: asyncio.Task[Any]) -> CurrentJob | None:
        return None

    with watched(None, AFTER, Eye(run_of, threading.get_ident()), ended.append, lambda: ["work"]):
        await until_true(lambda: True)
        limit = time.monotonic() + 20
        while "and goes on" not in caplog.text and time.monotonic() < limit:
            compute(0.01)
        assert ended == []
        await until_true(lambda: ended)

    assert "the app's own code at tests/engine/test_watch.py:" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="no such clock there")
def test_the_clock_is_that_of_one_thread() -> None:
    clock = watch._cpu_clock(threading.get_ident())
    before = clock()
    other = threading.Thread(target=compute, args=[0.2])
    other.start()
    other.join()
    waited = clock() - before
    ours = time.thread_time()
    while time.thread_time() < ours + 0.2:
        pass

    assert waited < 0.1 < clock() - before
