"""Large arguments: left behind by the claim, fetched by the run, and guarded like all that a run says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from asyncjobs import Jobs, JobState
from asyncjobs.engine import arguments
from asyncjobs.events import Event, Lost
from asyncjobs.postgres.dial import dial
from asyncjobs.postgres.values import WHOLE
from tests.engine.conftest import STATEMENTS
from tests.engine.harm import Count, inside
from tests.faults.proxy import proxied
from tests.moments import until, until_state, until_true

LARGE = "".join(f"{number:x}, " for number in range(50_000))  # some 300 kB that hardly compress


async def stored(database: str, text: str) -> Any:
    """Store a job that no direct start will find: its process runs nothing."""
    jobs = Jobs(database)

    @jobs.task(name="measure")
    async def measure(text: str) -> int:
        return len(text)

    async with jobs.connected():
        return await measure.enqueue(text)


def measuring(jobs: Jobs) -> list[int]:
    lengths: list[int] = []

    @jobs.task(name="measure")
    async def measure(text: str) -> int:
        lengths.append(len(text))
        return len(text)

    return lengths


def before_each_fetch(jobs: Jobs, act: Callable[[int], Awaitable[object]]) -> Count:
    """Do something between a claim and the question for its arguments, told how often it was asked."""
    ledger = inside(jobs)._ledger
    ask = ledger.arguments

    async def arguments(*args: Any) -> Any:
        await act(counted.calls)
        return await ask(*args)

    ledger.arguments = arguments
    counted = Count(ledger, "arguments")
    return counted


@pytest.mark.parametrize(
    "text", [LARGE, "a" * 200_000], ids=["hardly compressed", "compressed to almost nothing"]
)
async def test_large_arguments_are_left_behind_by_the_claim(
    database: str, eyes: asyncpg.Connection, text: str
) -> None:
    small, large = await stored(database, "a" * 60_000), await stored(database, text)

    rows = await eyes.fetch(STATEMENTS["claim"], ["default"], [5], 5, 1, [], 1, 1, 2, *WHOLE)

    brought = {row["id"]: row["arguments"] for row in rows}
    assert len(brought[small.id]) > 60_000
    assert brought[large.id] is None


@pytest.mark.parametrize("length", [10, 60_000, 70_000, 1_000_000])
async def test_a_job_gets_its_arguments_whatever_their_size(
    jobs: Jobs, database: str, length: int
) -> None:
    lengths = measuring(jobs)
    job = await stored(database, "ä" * (length // 2))

    async with jobs.running():
        await until_state(job_of(jobs, job), JobState.SUCCEEDED)

    assert lengths == [length // 2]


def job_of(jobs: Jobs, job: Any) -> Any:
    """The same job, asked for on these jobs."""

    class Asked:
        async def status(self) -> JobState:
            return (await jobs.get(job.id)).state

    return Asked()


async def test_arguments_are_told_only_to_the_run_that_owns_the_job(
    jobs: Jobs, database: str, eyes: asyncpg.Connection
) -> None:
    job = await stored(database, LARGE)
    await eyes.execute("update asyncjobs.job set state = 'running', claimed_by = 5, fence = 3")

    told = [
        await eyes.fetchval(STATEMENTS["arguments"], job.id, process, fence)
        for process, fence in ((5, 3), (5, 2), (4, 3))
    ]

    assert len(told[0]) > len(LARGE)
    assert told[1:] == [None, None]


async def test_an_answer_with_arguments_that_is_lost_is_asked_for_again(
    jobs: Jobs, database: str, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "AGAIN_AFTER", 0.01)
    lengths = measuring(jobs)
    other = await asyncpg.connect(database)
    hidden = other.transaction()

    async def hide_the_table(calls: int) -> None:
        if calls == 1:
            await hidden.start()
            await other.execute("lock table asyncjobs.job in access exclusive mode")

    async def lost() -> bool:
        return bool(
            await eyes.fetchval(
                "select bool_or(pg_terminate_backend(pid)) from pg_stat_activity where datname ="
                " current_database() and wait_event_type = 'Lock' and query like '%left behind because%'"
            )
        )

    async with jobs.running():
        asked = before_each_fetch(jobs, hide_the_table)
        job = await stored(database, LARGE)
        await until(lost)
        await hidden.rollback()
        await until_state(job_of(jobs, job), JobState.SUCCEEDED)
        seen = await jobs.get(job.id)
    await other.close()

    assert asked.calls >= 2
    assert lengths == [len(LARGE)]
    assert (seen.attempt, seen.history) == (1, ())


async def test_a_run_whose_arguments_cannot_be_had_goes_back_unharmed(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arguments, "PATIENCE", 0.2)
    monkeypatch.setattr(arguments, "AGAIN_AFTER", 0.05)
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)
        lengths = measuring(jobs)

        async def refuse(calls: int) -> None:
            if calls == 1:
                proxy.refuse()
                proxy.hang_up()

        async with jobs.running():
            # The pool goes through a proxy that will refuse it, the link straight to Postgres.
            link = inside(jobs).link
            link._connect = dial(database, None)
            link._connection._transport.abort()
            await until_true(lambda: link.is_up and link.generation == 2)
            before_each_fetch(jobs, refuse)
            job = await stored(database, LARGE)
            await until_true(lambda: len(inside(jobs)._finisher))
            proxy.refuse(on=False)
            await until_state(job_of(jobs, job), JobState.SUCCEEDED)
            seen = await jobs.get(job.id)

    assert lengths == [len(LARGE)]
    assert seen.attempt == 1
    assert [attempt.outcome for attempt in seen.history] == ["released"]


async def test_a_job_that_is_not_ours_any_more_when_its_arguments_are_asked_for_is_lost(
    database: str, eyes: asyncpg.Connection
) -> None:
    lost = asyncio.Event()

    class Ears:
        def hears(self, event: Event) -> None:
            if isinstance(event, Lost):
                lost.set()

    jobs = Jobs(database, extensions=[Ears()])
    lengths = measuring(jobs)

    async def take_it_away(calls: int) -> None:
        await eyes.execute("update asyncjobs.job set claimed_by = -1, fence = fence + 1")

    async with jobs.running():
        before_each_fetch(jobs, take_it_away)
        await stored(database, LARGE)
        await asyncio.wait_for(lost.wait(), 20)

    assert lengths == []
    assert await eyes.fetchval("select state from asyncjobs.job") == "running"


async def test_a_job_that_is_cancelled_while_its_arguments_are_on_their_way_does_not_run(
    jobs: Jobs, database: str
) -> None:
    lengths = measuring(jobs)

    async def never(calls: int) -> None:
        await asyncio.Event().wait()

    async with jobs.running():
        asked = before_each_fetch(jobs, never)
        job = await stored(database, LARGE)
        await until_true(lambda: asked.calls)
        assert await jobs.cancel(job.id)
        await until_state(job_of(jobs, job), JobState.CANCELLED)

    assert lengths == []
