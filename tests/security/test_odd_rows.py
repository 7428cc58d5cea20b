"""Rows that somebody else has written: odd as they are, the others' jobs go on and the pages are shown."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from asyncjobs import Enqueued, Jobs, JobState
from tests.command import run
from tests.dashboard.conftest import anybody, mounted, visitor
from tests.dashboard.reading import read
from tests.dashboard.shelf import Shelf

NO_CALENDAR = [
    "infinity",
    "-infinity",
    "20000-01-01",
    "294276-12-31",
    "0044-03-15 BC",
    "4713-01-01 BC",
]
ODD_HISTORIES: list[Any] = [
    7, "text", {}, {"attempt": 1}, [7, None, "text", [], {}], [{"attempt": "1"}], [{"attempt": None}],
    [{"attempt": 1e300, "outcome": 7, "process": "x", "started_at": "x", "waited": "Infinity", "ran": []}],
    [{"attempt": -1.5, "outcome": {}, "process": 1.5, "started_at": 7, "waited": True, "ran": -1e300}],
    [{"attempt": 1, "outcome": "failed", "process": 10**30, "started_at": "2026-01-01", "error": [1]}],
    [{"attempt": 1, "outcome": "failed", "started_at": "0001-01-01T00:00:00+00:00", "traceback": {"a": 1}}],
]  # fmt: skip


@pytest.mark.parametrize("moment", NO_CALENDAR)
@pytest.mark.parametrize("state", ["scheduled", "ready"])
async def test_a_moment_that_no_calendar_has_stops_nobody_and_is_shown(
    jobs: Jobs, eyes: asyncpg.Connection, moment: str, state: str
) -> None:
    @jobs.task
    async def work() -> str:
        return "done"

    id = await eyes.fetchval(
        f"""
        insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments)
        values (gen_random_uuid(), 'nobody.knows', 'default', '{state}', '{moment}', '{moment}', '{{}}')
        returning id
        """
    )

    async with jobs.running(), visitor(mounted(jobs.dashboard(allow=anybody))) as client:
        later = await work.options(delay=timedelta(milliseconds=30)).enqueue()
        assert await later.result(20) == "done"
        assert await (await work.enqueue()).result(20) == "done"
        snapshot = await jobs.get(id)
        for path in ("", "?state=scheduled", "?state=ready", "?task=nobody.knows", f"job/{id}"):
            assert (await client.get(f"/jobs/{path}")).status_code == 200
        assert await jobs.cancel(id)

    assert 1 <= snapshot.run_at.year <= 9999
    assert snapshot.run_at.tzinfo is not None


async def test_a_moment_that_no_calendar_has_does_not_keep_a_dead_process_from_being_buried(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task(name="work")
    async def work() -> str:
        return "done"

    ids = [
        await eyes.fetchval(
            f"""
            insert into asyncjobs.job
              (id, task, queue, state, run_at, promise, arguments, claimed_by, claimed_at, attempt, fence)
            values
              (gen_random_uuid(), 'work', 'default', 'running', '{moment}', '{moment}', '{{}}', 4711, now(), 1, 1)
            returning id
            """
        )
        for moment in ("-infinity", "0044-03-15 BC", "now")
    ]

    async with jobs.running():
        for id in ids:
            assert await Enqueued(id, work).result(20) == "done"


@pytest.mark.parametrize("history", ODD_HISTORIES, ids=range(len(ODD_HISTORIES)))
async def test_a_history_that_is_none_is_shown_as_far_as_it_makes_sense(
    jobs: Jobs, eyes: asyncpg.Connection, history: Any
) -> None:
    shelf = Shelf(eyes)
    rows = [await shelf.put(state, history=history) for state in ("ready", "failed", "running")]

    async with jobs.connected(), visitor(mounted(jobs.dashboard(allow=anybody))) as client:
        for id in rows:
            answer = await client.get(f"/jobs/job/{id}")
            assert answer.status_code == 200, answer.text
            assert "greet" in read(answer).text
            assert all(isinstance(each.attempt, int) for each in (await jobs.get(id)).history)
        assert (await client.post(f"/jobs/job/{rows[0]}/cancel")).status_code == 303


async def test_arguments_that_are_no_object_are_shown(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    shelf = Shelf(eyes)
    for arguments in (7, None, "text", [], [1, {"a": "b"}], {"": 1}):
        id = await shelf.put("ready")
        await eyes.execute(
            "update asyncjobs.job set arguments = $2::jsonb where id = $1",
            id,
            json.dumps(arguments),
        )
        async with jobs.connected(), visitor(mounted(jobs.dashboard(allow=anybody))) as client:
            assert (await client.get(f"/jobs/job/{id}")).status_code == 200
            assert (await jobs.get(id)).state is JobState.READY


HOSTILE_NAME = "shop.\x1b[2J\x1b]0;owned\x07\r\n! all is well\u202e\u2028"


async def test_a_terminal_is_told_nothing_that_it_would_obey(
    database: str, eyes: asyncpg.Connection
) -> None:
    shelf = Shelf(eyes)
    process = await shelf.put_process(name=HOSTILE_NAME, tasks=["t"], queues=[HOSTILE_NAME])
    await shelf.hold(4711)
    await shelf.put("ready", task=HOSTILE_NAME, queue=HOSTILE_NAME)
    await shelf.put("scheduled", task=HOSTILE_NAME)
    await shelf.put("running", task=HOSTILE_NAME, claimed_by=process)

    _, said = await run("status", "--dsn", database)

    assert "\\x1b[2J\\x1b]0;owned\\x07\\r\\n! all is well\\u202e\\u2028" in said
    assert not [line for line in said.splitlines() if line.startswith("! all is well")]
    assert not set("\x1b\x07\r\u202e\u2028") & set(said)
