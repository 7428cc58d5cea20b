"""
What the processes under harm run; `asyncjobs work tests.faults.crew:jobs` and the web app share it.

Everything comes through the environment: FAULTS_DIARY is the file to write to, FAULTS_OPTIONS are keyword
arguments of `Jobs` as JSON, with `drain` in seconds. FAULTS_DIE names a moment at which to die (see death.py);
FAULTS_MACHINE another machine, as which this one presents itself, so that nobody else here can prove a death;
FAULTS_COUNT asks for a line for each statement (see sent.py).
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
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from asyncjobs import Jobs, Snooze, Tasks, current_job, exponential, fixed, never
from asyncjobs.engine import identity
from tests.faults import death, poison
from tests.faults.diary import Diary, Witness
from tests.faults.sent import count_statements

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
async def gasping(times: int, seconds: float) -> None:
    """Block the event loop again and again, and let it run for moments only."""
    for _ in range(times):
        time.sleep(seconds)
        await asyncio.sleep(0.001)


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
    death.last_words(Diary(Path(os.environ["FAULTS_DIARY"])))
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


@tasks.task(retry=never())
def hungry(seconds: float) -> None:
    """Take all memory that the process may have, keep it for a while, and fail."""
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    former = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (in_use + (64 << 20), former[1]))
    try:
        eaten = []
        with suppress(MemoryError):
            for size in (1 << 20, 1 << 12, 1 << 6):
                while True:
                    eaten.append(bytearray(size))
        time.sleep(seconds)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, former)
    raise MemoryError(f"after {len(eaten)} pieces")


def _eat(limit: int) -> bool:
    """Take memory until there is none; what a kernel that ends a process for it would do is then done."""
    eaten = []
    try:
        while True:
            eaten.append(bytearray(limit // 16))
    except MemoryError:
        return True


@tasks.task(retry=OFTEN)
async def heavy(load: str) -> int:
    """Carry a lot."""
    return len(load)


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
    """Give the name under which a function of this module, or of poison, is stored."""
    return (
        f"{__name__}.{task}" if f"{__name__}.{task}" in tasks.tasks else f"{poison.__name__}.{task}"
    )


def make(dsn: str | None = None, **options: Any) -> Jobs:
    """Make a Jobs with all tasks, its options as they come out of JSON."""
    if "drain" in options:
        options["drain"] = timedelta(seconds=options["drain"])
    made = Jobs(dsn, **options)
    for task in (*tasks.tasks.values(), *poison.tasks.tasks.values()):
        # Registered anew: a test has many of these in one process, and a registry belongs to one.
        made.task(queue=task.queue, retry=task.retry, timeout=task.timeout, name=task.name)(
            task.function
        )
    return made


async def renamed() -> None:
    """Be known under one name in one version of the app, under another in the next."""


def made_from_environment() -> Jobs:
    """Make what a process under harm runs."""
    witness = Witness(Diary(Path(os.environ["FAULTS_DIARY"])))
    if moment := os.environ.get("FAULTS_DIE"):
        death.arrange(moment, witness.diary)
    if place := os.environ.get("FAULTS_MACHINE"):
        identity.machine = lambda: place
    if "FAULTS_COUNT" in os.environ:
        count_statements(witness.diary)
    options = json.loads(os.environ.get("FAULTS_OPTIONS", "{}"))
    witness.jobs = made = make(extensions=[witness], **options)
    if "FAULTS_RENAMED" in os.environ:
        made.task(name=f"app.{os.environ['FAULTS_RENAMED']}")(renamed)
    return made


if "FAULTS_DIARY" in os.environ:
    jobs = made_from_environment()
