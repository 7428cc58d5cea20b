"""What is done to jobs in a history, by whichever process: each gives what it learnt, or raises."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from asyncjobs import Jobs
from asyncjobs.errors import AsyncJobsError
from asyncjobs.task import Job, Task
from tests.faults.histories.traps import Traps

TROUBLE = (AsyncJobsError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)


async def do(jobs: Jobs, dsn: str, deed: Mapping[str, Any], traps: Traps | None) -> Any:
    """Do one deed; `dsn` is for those that need a connection of their own."""
    match deed["what"]:
        case "enqueue":
            return await _enqueue(jobs, deed)
        case "transact":
            return await _transact(jobs, dsn, deed)
        case "cancel" | "retry" | "delete" as verb:
            return await getattr(jobs, verb)(UUID(deed["id"]))
        case "trap" if traps is not None:
            return traps.set(deed["statement"], deed["harm"])
        case "disarm" if traps is not None:
            return traps.clear()
        case "rest":
            return left_over(jobs)
    raise AssertionError(f"nobody knows how to do {deed}")


async def _enqueue(jobs: Jobs, deed: Mapping[str, Any]) -> list[str] | None:
    """Store jobs; with `leaves_after` (seconds) the caller has gone by then, and never learns."""
    made = [_job(jobs, wanted) for wanted in deed["jobs"]]
    if len(made) == 1:
        storing = asyncio.ensure_future(_store_one(made[0]))
    else:
        storing = asyncio.ensure_future(_store(jobs, made, None))
    if deed.get("leaves_after") is not None:
        await asyncio.sleep(deed["leaves_after"])
        storing.cancel()
    try:
        return await storing
    except asyncio.CancelledError:
        if deed.get("leaves_after") is None:
            raise
        return None


async def _transact(jobs: Jobs, dsn: str, deed: Mapping[str, Any]) -> list[str]:
    """Store jobs in a transaction of the caller's, which stays open for a while, and then ends."""
    made = [_job(jobs, wanted) for wanted in deed["jobs"]]
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("begin")
        stored = await _store(jobs, made, connection)
        await asyncio.sleep(deed["open_for"])
        await connection.execute("commit" if deed["commits"] else "rollback")
    finally:
        connection.terminate()
    return stored


async def _store_one(job: Job[Any]) -> list[str]:
    return [str((await job.enqueue()).id)]


async def _store(jobs: Jobs, made: list[Job[Any]], connection: Any) -> list[str]:
    return [str(each.id) for each in await jobs.enqueue_many(made, connection=connection)]


def _job(jobs: Jobs, wanted: Mapping[str, Any]) -> Job[Any]:
    task: Task[..., Any] = jobs.tasks[wanted["task"]]
    delay = wanted.get("delay")
    if delay:
        task = task.options(delay=timedelta(seconds=delay))
    return task.job(wanted["number"])


def left_over(jobs: Jobs) -> dict[str, object]:
    """Tell what a process still holds; nothing, when it is at rest and well."""
    callers, executor = jobs.connection.enqueuer._callers, jobs.executor
    held: dict[str, object] = {
        "callers": len(callers.waiting) + len(callers._sent),
        "failed services": dict(jobs.connection.troubles),
    }
    if executor is not None:
        runs = executor.runs
        held |= {
            "bodies": len(runs.live),
            "unrecorded": len(runs) - len(runs.live),
            "expected": len(runs._expected),
            "going back": len(runs._going_back),
            "slots": runs.slots.total - runs.slots.free,
            "outcomes": len(executor._finisher),
            "failed services of the executor": dict(executor.troubles),
            "no link": not executor.link.is_up,
        }
    return {name: number for name, number in held.items() if number}
