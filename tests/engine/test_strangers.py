"""Rows that strangers hold: nothing that many share waits for them, and nothing else for long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from uuid import UUID

import asyncpg
import pytest

from asyncjobs import Jobs
from asyncjobs.errors import Unavailable
from asyncjobs.job import JobState, Outcome, Settled
from asyncjobs.postgres.ledger import Ledger
from tests.engine.conftest import STATEMENTS
from tests.engine.harm import inside
from tests.engine.test_claim import claim
from tests.engine.test_rescue import rescue
from tests.faults.proxy import proxied
from tests.moments import until, until_true

ME = 77
DONE = Outcome(JobState.SUCCEEDED, "succeeded")

FILL = """
insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments, attempt, fence, claimed_by)
select gen_random_uuid(), 't', 'default', $1, now(), now(), '{}', 1, 1, case when $1 = 'running' then $2::bigint end
from generate_series(1, 20)
returning id
"""


async def claims(ledger: Ledger, eyes: asyncpg.Connection, ids: list[UUID]) -> int:
    jobs, _ = await claim(eyes, {"default": 50}, 50)
    return len(jobs)


async def promotes(ledger: Ledger, eyes: asyncpg.Connection, ids: list[UUID]) -> int:
    [row] = await eyes.fetch(STATEMENTS["promote"], 50, None)
    return int(row["promoted"])


async def finishes(ledger: Ledger, eyes: asyncpg.Connection, ids: list[UUID]) -> int:
    answers = await ledger.finish(ME, [Settled(id, 1, DONE, 0.1, 0) for id in ids])
    return len(ids) - len(answers)


async def reports(ledger: Ledger, eyes: asyncpg.Connection, ids: list[UUID]) -> int:
    return len(await ledger.progress(ME, [(id, 1, 0.5, "half") for id in ids]))


async def rescues(ledger: Ledger, eyes: asyncpg.Connection, ids: list[UUID]) -> int:
    return len(await rescue(eyes, ME))  # a process that nobody knows needs no burial


Act = Callable[[Ledger, asyncpg.Connection, list[UUID]], Awaitable[int]]


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (claims, "ready"),
        (promotes, "scheduled"),
        (finishes, "running"),
        (reports, "running"),
        (rescues, "running"),
    ],
    ids=["claim", "promote", "finish", "progress", "rescue"],
)
async def test_what_touches_many_jobs_passes_over_those_that_somebody_holds(
    ledger: Ledger, database: str, eyes: asyncpg.Connection, act: Act, state: str
) -> None:
    # Two that hold some rows and wait for others would be a deadlock: so nobody waits.
    ids = [row["id"] for row in await eyes.fetch(FILL, state, ME)]
    stranger = await asyncpg.connect(database)
    async with stranger.transaction():
        await stranger.execute("select from asyncjobs.job where id = any ($1) for update", ids[::2])
        async with asyncio.timeout(5):
            done = await act(ledger, eyes, ids)
    await stranger.close()

    assert done == 10


async def test_no_statement_of_ours_locks_many_rows_and_waits() -> None:
    for name in STATEMENTS:
        for lock in locks(STATEMENTS[name]):
            alone = name in ("cancel", "delete", "enqueue_and_start", "stands")
            assert alone or "skip locked" in lock, name


def locks(text: str) -> Iterable[str]:
    """Give the locking clauses of a statement, without its comments."""
    for line in text.splitlines():
        words = line.partition("--")[0].strip()
        if words.startswith("for ") and ("update" in words or "share" in words):
            yield words


async def until_they_wait(eyes: asyncpg.Connection) -> None:
    async def they_wait() -> bool:
        waiting = await eyes.fetchval(
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        )
        return bool(waiting == 2)

    await until(they_wait)


@pytest.mark.parametrize("act", ["cancel", "retry", "delete"])
async def test_who_acts_on_a_job_that_somebody_holds_is_told_soon(
    jobs: Jobs, database: str, eyes: asyncpg.Connection, act: str
) -> None:
    [id, *_] = [row["id"] for row in await eyes.fetch(FILL, "scheduled", None)]
    stranger = await asyncpg.connect(database)
    async with jobs.connected(), stranger.transaction():
        await stranger.execute("select from asyncjobs.job where id = $1 for update", id)
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable, match="lock timeout"):
                await getattr(jobs, act)(id)
    await stranger.close()


async def test_a_lease_is_had_though_all_of_the_pool_waits_for_a_stranger(
    database: str, eyes: asyncpg.Connection
) -> None:
    stranger = await asyncpg.connect(database)
    gate = asyncio.Event()
    async with proxied(database) as proxy:
        jobs = Jobs(database, link_dsn=proxy.dsn, queues=["default"])

        @jobs.task
        async def work() -> int:
            await gate.wait()
            return 1

        @jobs.task
        async def later() -> None: ...

        async with jobs.running():
            job = await work.enqueue()
            await until_true(lambda: inside(jobs).running)
            waits = await later.options(queue="nowhere").enqueue()
            async with stranger.transaction():
                await stranger.execute(
                    "select from asyncjobs.job where id = $1 for update", waits.id
                )

                async def insist() -> None:
                    """Wait for the stranger, again and again: the lock timeout ends each wait soon."""
                    while True:
                        with suppress(Unavailable):
                            await jobs.cancel(waits.id)

                async def leased() -> bool:
                    return bool(
                        await eyes.fetchval("select lease_until > now() from asyncjobs.process")
                    )

                acts = [asyncio.create_task(insist()) for _ in range(2)]
                try:
                    await until_they_wait(eyes)
                    proxy.refuse()
                    proxy.hang_up()
                    await until(leased)
                    assert inside(jobs).running == [job.id]
                finally:
                    for act in acts:
                        act.cancel()
                    await asyncio.wait(acts)
            proxy.refuse(on=False)
            gate.set()
            assert await job.result(20) == 1
    await stranger.close()
