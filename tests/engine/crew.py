"""
A real process for tests to start, stop and kill: `python -m tests.engine.crew DSN [slots]`.

Its jobs write into a table of their own, `public.diary`, kept outside the queue: who ran what, when it
began and when it ended. It prints `up` when it is up.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from datetime import timedelta

import asyncpg

from asyncjobs import Jobs, Tasks, current_job

tasks = Tasks()
dsn = ""

DIARY = """
create table if not exists public.diary (
  entry bigint generated always as identity, job uuid, pid integer, what text,
  at timestamptz not null default clock_timestamp()
)
"""


async def note(what: str) -> None:
    connection = await asyncpg.connect(dsn)
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


async def main() -> None:
    jobs = Jobs(dsn, slots=int(sys.argv[2]) if len(sys.argv) > 2 else 5)
    jobs.include(tasks)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, told.set)
    async with jobs.running():
        print("up", flush=True)  # noqa: T201
        await told.wait()


if __name__ == "__main__":
    dsn = sys.argv[1]
    asyncio.run(main())
