"""Ways to hurt a process from inside: cut its connections, count its calls. A network that does harm is in `tests.faults.proxy`."""

from __future__ import annotations

import time
from typing import Any

import asyncpg

from asyncjobs import Jobs
from tests.moments import until_true


def inside(jobs: Jobs) -> Any:
    """The running executor, for tests that reach into it."""
    assert jobs.executor is not None
    return jobs.executor


class Count:
    """Counts the calls of one method of ours, which goes on as it is."""

    def __init__(self, owner: Any, method: str) -> None:
        self.calls = 0
        self.running = 0
        self._inner = getattr(owner, method)
        setattr(owner, method, self)

    async def until_answered(self, times: int) -> None:
        """Wait until it was called so often and has given its last answer."""
        await until_true(lambda: self.calls >= times and not self.running)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        self.running += 1
        try:
            return await self._inner(*args, **kwargs)
        finally:
            self.running -= 1


async def until_at_rest(jobs: Jobs) -> None:
    """Wait until the first claims, the first beat and the first looks are over."""
    executor = inside(jobs)
    await until_true(
        lambda: (
            executor._claimer.at_rest.is_set()
            and not executor._presence._is_doubtful
            and executor.runs.slots.asked == 0
            and time.monotonic() > executor._rescuer._watch_until + 1
        )
    )


async def cut(eyes: asyncpg.Connection, application: str) -> int:
    """Terminate the sessions of this database whose application name begins so."""
    cut: int = await eyes.fetchval(
        """
        select count(pg_terminate_backend(pid)) from pg_stat_activity
        where application_name like $1 || '%' and datname = current_database()
        """,
        application,
    )
    return cut
