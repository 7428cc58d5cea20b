"""
What the processes under harm run; `asyncjobs work tests.faults.crew:jobs` and the web app share it.

Everything comes through the environment: FAULTS_DIARY is the file to write to, FAULTS_OPTIONS are keyword
arguments of `Jobs` as JSON, with `drain` in seconds.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import resource
import signal
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from asyncjobs import Jobs, Snooze, Tasks, current_job, exponential, fixed, never
from tests.faults.diary import Diary, Witness

tasks = Tasks()

OFTEN = fixed(timedelta(milliseconds=50), max_attempts=1000)


@tasks.task(retry=OFTEN)
async def steady(seconds: float = 0.02) -> None:
    """Wait for a while, as jobs that talk to others do."""
    await asyncio.sleep(seconds)


@tasks.task(retry=OFTEN)
def threaded(seconds: float = 0.02) -> None:
    """Wait in a thread."""
    time.sleep(seconds)


@tasks.task(retry=OFTEN)
async def blocking(seconds: float) -> None:
    """Block the event loop."""
    time.sleep(seconds)


@tasks.task(retry=OFTEN)
async def held_by(gate: str) -> None:
    """Go on when the file is there."""
    while not Path(gate).exists():
        await asyncio.sleep(0.02)


@tasks.task(retry=OFTEN)
def thread_held_by(gate: str) -> None:
    """Do so in a thread, and hear nothing."""
    while not Path(gate).exists():
        time.sleep(0.02)


@tasks.task(retry=OFTEN)
async def deaf(gate: str) -> None:
    """Swallow every cancellation until the file is there."""
    while not Path(gate).exists():
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            continue


@tasks.task(retry=fixed(timedelta(0), max_attempts=3))
async def fails(times: int) -> None:
    """Fail so often, then succeed."""
    if current_job().attempt <= times:
        raise RuntimeError("as it was told to")


@tasks.task(retry=exponential(5))
async def snoozes(gate: str) -> Snooze | None:
    """Come back later until the file is there."""
    return None if Path(gate).exists() else Snooze(timedelta(milliseconds=200))


@tasks.task(retry=never())
async def deadly(how: str) -> None:
    """End the whole process, in one of several ways."""
    match how:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(3)
        case "segfault":
            ctypes.string_at(0)
        case "memory":
            limit = 1 << 30
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            os.kill(os.getpid(), signal.SIGKILL) if _eat(limit) else None
        case _:
            raise ValueError(how)


def _eat(limit: int) -> bool:
    """Take memory until there is none; what a kernel that ends a process for it would do is then done."""
    eaten = []
    try:
        while True:
            eaten.append(bytearray(limit // 16))
    except MemoryError:
        return True


@tasks.task(queue="mail", retry=OFTEN)
async def post(seconds: float = 0.02) -> None:
    """Be of another queue."""
    await asyncio.sleep(seconds)


@tasks.task(retry=OFTEN)
async def sits(seconds: float) -> None:
    """Sit in a thread that nobody waits for, and end."""
    done = threading.Event()
    threading.Timer(seconds, done.set).start()
    await asyncio.to_thread(done.wait)


def named(task: str) -> str:
    """Give the name under which a function of this module is stored."""
    return f"{__name__}.{task}"


def make(dsn: str | None = None, **options: Any) -> Jobs:
    """Make a Jobs with all tasks, its options as they come out of JSON."""
    if "drain" in options:
        options["drain"] = timedelta(seconds=options["drain"])
    made = Jobs(dsn, **options)
    made.include(tasks)
    return made


def made_from_environment() -> Jobs:
    """Make what a process under harm runs."""
    witness = Witness(Diary(Path(os.environ["FAULTS_DIARY"])))
    options = json.loads(os.environ.get("FAULTS_OPTIONS", "{}"))
    witness.jobs = made = make(extensions=[witness], **options)
    return made


if "FAULTS_DIARY" in os.environ:
    jobs = made_from_environment()
