"""
A real process for tests to start, stop and kill: `python -m tests.engine.crew DSN [slots] [--leased …]`.

Its jobs write into a table of their own, `public.diary`, kept outside the queue: who ran what, when it
began and when it ended. It prints `up` when it is up.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from types import ModuleType

import asyncpg

from asyncjobs import Jobs, Tasks, current_job
from asyncjobs.engine import identity, presence
from asyncjobs.postgres import heart

Hire = Callable[..., Awaitable[asyncio.subprocess.Process]]

tasks = Tasks()
dsn = ""

DIARY = """
create table if not exists public.diary (
  entry bigint generated always as identity, job uuid, pid integer, what text,
  at timestamptz not null default clock_timestamp()
)
"""


async def note(what: str) -> None:
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "diary"})
    await connection.execute(
        "insert into public.diary (job, pid, what) values ($1, $2, $3)",
        current_job().id,
        os.getpid(),
        what,
    )
    await connection.close()


@tasks.task(name="quick")
async def quick() -> int:
    await note("began")
    return os.getpid()


@tasks.task(name="once_slow")
async def once_slow() -> int:
    """Goes on for ever in its first run, and ends at once in its second."""
    connection = await asyncpg.connect(dsn)
    runs = await connection.fetchval(
        "select count(*) from public.diary where job = $1 and what = 'began'", current_job().id
    )
    await connection.close()
    await note("began")
    if not runs:
        await asyncio.Event().wait()
    await note("ended")
    return os.getpid()


@tasks.task(name="blocking")
async def blocking(seconds: float) -> int:
    """Blocks the event loop."""
    await note("began")
    time.sleep(seconds)
    await note("ended")
    return os.getpid()


@tasks.task(name="deadly", timeout=timedelta(minutes=1))
async def deadly() -> None:
    await note("began")
    os.kill(os.getpid(), signal.SIGKILL)


TIMED_BY_THE_LEASE: dict[ModuleType, tuple[str, ...]] = {
    heart: ("LEASE", "RENEW_EVERY", "ANSWER_WITHIN", "CANCEL_BY", "TICK"),
    presence: ("LEASE", "BEAT", "LEASE_ANSWER_WITHIN"),
}


def shorten(part: float, put: Callable[[ModuleType, str, float], None] = setattr) -> None:
    """Let a lease last so large a part of its time, and everything that is timed by it as well."""
    for module, names in TIMED_BY_THE_LEASE.items():
        for name in names:
            put(module, name, getattr(module, name) * part)


def come_from_elsewhere() -> None:
    """Be on another machine than all others, so that nobody sees from here whether a pid is gone."""
    machine = f"the machine of {os.getpid()}"
    identity.machine = lambda: machine


def asked() -> argparse.Namespace:
    words = argparse.ArgumentParser()
    words.add_argument("dsn")
    words.add_argument("slots", nargs="?", type=int, default=5)
    words.add_argument("--leased", action="store_true")
    words.add_argument("--shorten", type=float, default=1.0)
    words.add_argument("--elsewhere", action="store_true")
    words.add_argument("--diary")
    words.add_argument("--forks", action="store_true")
    return words.parse_args()


def command(*words: str) -> list[str]:
    """Give the command that starts one with these words."""
    return [sys.executable, "-m", "tests.engine.crew", *words]


def fork() -> None:
    """Leave a child behind that lives on by itself, and print its pid."""
    child = os.fork()
    if not child:
        os.close(sys.stdout.fileno())  # or whoever reads our words would wait for its end
        signal.pause()
        os._exit(0)
    print(child, flush=True)  # noqa: T201


async def main(asked: argparse.Namespace) -> None:
    jobs = Jobs(asked.dsn, slots=asked.slots, presence="lease" if asked.leased else "lock")
    jobs.include(tasks)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    async with jobs.running():
        if asked.forks:
            fork()
        print("up", flush=True)  # noqa: T201
        await told.wait()


if __name__ == "__main__":
    wishes = asked()
    dsn = wishes.diary or wishes.dsn
    shorten(wishes.shorten)
    if wishes.elsewhere:
        come_from_elsewhere()
    asyncio.run(main(wishes))
