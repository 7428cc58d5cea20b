"""The cursor of the claim: what is dead is walked seldom, and nothing that lives is passed by for long."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from asyncjobs import Jobs
from asyncjobs.engine import cursor
from asyncjobs.engine.cursor import Cursor
from asyncjobs.postgres.session import SETTINGS
from asyncjobs.postgres.values import WHOLE, Choice, Survey
from tests.engine.conftest import STATEMENTS
from tests.engine.harm import Count, inside
from tests.moments import until_true

STORE = """
insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments, priority)
select gen_random_uuid(), $1, $2, 'ready', due.at, due.at, '{}', $3
from generate_series(1, $4::integer) as nth
cross join lateral (select now() - $5::double precision * interval '1 s' + nth * interval '1 us' as at) as due
returning id
"""
DEAD = 20_000
ID = UUID(int=7)


async def store(
    eyes: asyncpg.Connection, count: int = 1, *, task: str = "t", queue: str = "default",
    priority: int = 0, age: float = 0,
) -> list[UUID]:  # fmt: skip
    return [row["id"] for row in await eyes.fetch(STORE, task, queue, priority, count, age)]


def found(places: dict[int, tuple[str, UUID]], walked: float = 1.0) -> Survey:
    return Survey({"default": places}, "recent", walked)


async def surveyed(subject: Cursor, survey: Survey) -> bool:
    async def ask() -> Survey:
        return survey

    return await subject.survey(["default"], ask)


async def test_quick_claims_have_no_cursor() -> None:
    subject = Cursor()

    subject.claimed(Choice(10, cursor.SLOW / 2, []), surveyed=False)

    assert not await surveyed(subject, found({}))
    assert subject.stretches is WHOLE
    assert subject.due_in is None


async def test_a_slow_claim_is_followed_by_a_survey_and_claims_begin_at_its_places() -> None:
    subject = Cursor()

    subject.claimed(
        Choice(1, cursor.SLOW * 2, [{"queue": "default", "priority": 5}]), surveyed=False
    )

    assert await surveyed(subject, found({0: ("then", ID)}))
    assert list(zip(*subject.stretches, strict=True)) == [
        ("default", -32768, "-infinity", UUID(int=0), -1),
        ("default", 0, "then", ID, 4),
        ("default", 5, "recent", UUID(int=0), 32767),
    ]


async def test_surveys_take_a_twentieth_of_the_time_at_most() -> None:
    subject = Cursor()
    subject.claimed(Choice(1, 1.0, []), surveyed=False)
    assert await surveyed(subject, found({}, walked=0.5))

    subject.claimed(Choice(1, 1.0, []), surveyed=False)

    assert not await surveyed(subject, found({}))
    assert subject.due_in is not None
    assert 9 < subject.due_in <= 10


async def test_who_has_looked_at_all_since_the_last_claim_comes_to_rest() -> None:
    subject = Cursor()
    subject.claimed(Choice(1, 1.0, []), surveyed=False)
    assert await surveyed(subject, found({}))

    subject.claimed(Choice(0, 0.0, []), surveyed=True)

    assert subject.is_set
    assert subject.due_in is None


async def test_a_quick_survey_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursor, "EVERY", 0.0)
    subject = Cursor()
    subject.claimed(Choice(1, 1.0, []), surveyed=False)
    assert await surveyed(subject, found({}, walked=cursor.QUICK * 2))
    subject._again_at = 0.0

    assert await surveyed(subject, found({}, walked=cursor.QUICK / 2))

    assert not subject.is_set


async def test_a_survey_tells_the_first_of_each_queue_and_priority_that_could_run(
    eyes: asyncpg.Connection,
) -> None:
    await store(eyes, 3, task="unknown", age=100)
    [first] = await store(eyes, age=50)
    await store(eyes, 5, age=40)
    [urgent] = await store(eyes, priority=-5, age=30)
    await store(eyes, priority=9)

    rows = await eyes.fetch(STATEMENTS["survey"], ["default", "empty"], ["unknown"], 2.0)

    places = {(row["queue"], row["priority"]): row["id"] for row in rows}
    assert places == {
        ("default", -5): urgent, ("default", 0): first, ("default", 9): UUID(int=0),
        ("empty", None): UUID(int=0),
    }  # fmt: skip
    recent = datetime.fromisoformat(rows[0]["recent"])
    assert datetime.now(UTC) - recent >= timedelta(seconds=2)
    assert all(datetime.fromisoformat(row["promise"]) <= recent for row in rows)


async def walked(database: str, *, stretches: tuple[list[Any], ...]) -> int:
    """Tell how many pages a claim touches."""
    ours = {name: value for name, value in SETTINGS.items() if not name.startswith("tcp_")}
    connection = await asyncpg.connect(database, server_settings=ours)
    explained = await connection.fetchval(
        f"explain (analyze, buffers, format json) {STATEMENTS['claim']}",
        ["default"], [1], 1, 1, [], 1, 1, 2, *stretches,
    )  # fmt: skip
    await connection.close()
    return int(json.loads(explained)[0]["Plan"]["Shared Hit Blocks"])


async def test_a_claim_from_a_place_walks_over_nothing_that_died_before_it(
    database: str, eyes: asyncpg.Connection
) -> None:
    holder = await asyncpg.connect(database)
    async with holder.transaction(isolation="repeatable_read"):
        await holder.execute("select pg_current_xact_id()")
        await store(eyes, DEAD, age=100)
        await eyes.execute("delete from asyncjobs.job")
        await store(eyes, 2, age=10)
        [row] = await eyes.fetch(STATEMENTS["survey"], ["default"], [], 2.0)
        place = (
            ["default"],
            [row["priority"]],
            [row["promise"]],
            [row["id"]],
            [row["priority"]],
        )

        whole = await walked(database, stretches=WHOLE)
        from_place = await walked(database, stretches=place)
    await holder.close()

    assert from_place * 5 < whole


async def test_with_a_cursor_all_jobs_run_whatever_their_priority_and_however_late_they_come(
    jobs: Jobs, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SLOW", -1.0), ("QUICK", -1.0), ("EVERY", 0.05)):
        monkeypatch.setattr(cursor, name, value)
    ran: list[str] = []

    @jobs.task(name="t")
    async def work() -> None:
        ran.append("t")

    async with jobs.running():
        claimer = inside(jobs)._claimer
        for priority in (0, 5, -5, 0):
            await store(eyes, 3, priority=priority)
            claimer.heard_of(["default"])
        await until_true(lambda: len(ran) == 12)
        assert claimer.walks_far
        # They lie before every place, and nobody says another word: only the next survey finds them.
        claims = Count(inside(jobs)._ledger, "claim")
        await store(eyes, age=3600)
        await store(eyes, age=3600, priority=5)
        claimer.heard_of(["default"])
        await until_true(lambda: len(ran) == 14)
        await until_true(lambda: claimer._cursor.due_in is None)
        at_rest = claims.calls
        async with asyncio.timeout(10):
            await inside(jobs)._claimer.at_rest.wait()
        assert claims.calls == at_rest


async def test_with_a_cursor_nothing_starts_directly_and_all_is_run(
    jobs: Jobs, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The probe of a direct start knows no places: it would walk all that the claims are spared.
    monkeypatch.setattr(cursor, "SLOW", -1.0)
    monkeypatch.setattr(cursor, "QUICK", -1.0)

    @jobs.task(name="t")
    async def work() -> int:
        return 1

    async with jobs.running():
        await store(eyes)
        inside(jobs)._claimer.heard_of(["default"])
        await until_true(
            lambda: inside(jobs)._claimer.walks_far or inside(jobs)._claimer._bell.ring()
        )
        starts = Count(inside(jobs)._ledger, "enqueue_and_start")
        assert await (await work.enqueue()).result(20) == 1

    assert starts.calls == 0
