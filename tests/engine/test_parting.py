"""A process that was told to end ends, whatever its jobs do; one that was not waits for them."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from textwrap import dedent

import pytest

from asyncjobs.engine import parting
from asyncjobs.engine.parting import Parting
from tests.moments import until_true

# A process that runs one job that does not end, the way that a web server would: it has handlers of its own.
SCRIPT = """
import asyncio, signal, sys, threading
from datetime import timedelta
from asyncjobs import Jobs

jobs = Jobs(sys.argv[1], drain=timedelta(0))
inside = threading.Event()

@jobs.task
async def deaf() -> None:
    inside.set()
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

@jobs.task
def stuck() -> None:
    inside.set()
    threading.Event().wait()

async def main() -> None:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, told.set)
    async with jobs.running():
        await jobs.tasks["__main__." + sys.argv[2]].enqueue()
        while not inside.is_set():
            await asyncio.sleep(0.01)
        print("inside", flush=True)
        await told.wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("task", ["deaf", "stuck"])
async def test_a_process_that_was_told_to_end_is_not_kept_by_a_job(
    database: str, task: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", dedent(SCRIPT), database, task),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"inside\n"
    process.send_signal(signal.SIGINT)

    _, said = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == parting.EXIT_CODE, said.decode()
    assert f"{task} will not end; the process does" in said.decode()


class Ended:
    """Takes the place of the end of the process."""

    def __init__(self) -> None:
        self.code: int | None = None

    def __call__(self, code: int) -> None:
        self.code = code


async def test_nothing_is_ended_while_the_loop_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parting, "EVERY", 0.001)
    monkeypatch.setattr(parting, "WITHIN", 0.005)
    looks, ended = 0, Ended()

    def overdue() -> list[str]:
        nonlocal looks
        looks += 1
        return ["a job"] if looks < 50 else []

    Parting(overdue, ended).begin()
    await until_true(lambda: looks >= 50)

    assert ended.code is None


def test_a_loop_that_is_torn_down_is_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parting, "EVERY", 0.001)
    monkeypatch.setattr(parting, "WITHIN", 0.01)
    ended = Ended()

    async def life() -> None:
        Parting(lambda: ["a job"], ended).begin()

    asyncio.run(life())

    asyncio.run(until_true(lambda: ended.code is not None))
    assert ended.code == parting.EXIT_CODE


def test_who_is_cut_short_is_at_the_end_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parting, "EVERY", 0.001)
    monkeypatch.setattr(parting, "WITHIN", 0.01)
    ended = Ended()

    async def life() -> None:
        me = asyncio.current_task()
        assert me is not None
        me.cancel()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            Parting(lambda: ["a job"], ended).begin()
            await until_true(lambda: ended.code is not None)
            me.uncancel()

    asyncio.run(life())

    assert ended.code == parting.EXIT_CODE
