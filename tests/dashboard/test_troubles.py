"""When there is nothing to show, the page says what happened and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from asyncjobs import Jobs
from tests.dashboard.conftest import anybody, mounted, visitor
from tests.dashboard.reading import read

if TYPE_CHECKING:
    import httpx2

    from tests.dashboard.shelf import Shelf


async def test_before_jobs_run_in_this_process_the_dashboard_says_so(unconnected: Jobs) -> None:
    async with visitor(mounted(unconnected.dashboard(allow=anybody))) as client:
        answer = await client.get("/jobs/")

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert "Jobs are not running in this process" in read(answer).one("h1").text


async def test_the_same_dashboard_works_in_each_life_of_jobs(unconnected: Jobs) -> None:
    async with visitor(mounted(unconnected.dashboard(allow=anybody))) as client:
        for _ in range(2):
            async with unconnected.connected():
                assert (await client.get("/jobs/")).status_code == 200
            assert (await client.get("/jobs/")).status_code == 503


async def test_when_postgres_is_gone_the_dashboard_says_so(
    idle: Jobs, browse: httpx2.AsyncClient
) -> None:
    await idle.database.close()

    answer = await browse.get("/jobs/")

    assert answer.status_code == 503
    assert read(answer).one("h1").text == "Postgres does not answer"


async def test_an_action_without_postgres_is_not_pretended(
    idle: Jobs, browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    id = await shelf.put("failed")
    await idle.database.close()

    assert (await browse.post(f"/jobs/job/{id}/retry")).status_code == 503


async def test_a_postgres_that_does_not_answer_is_left_in_peace_for_a_while(
    browse: httpx2.AsyncClient, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncjobs.dashboard.reader.DEADLINE", 0.2)
    stranger = await asyncpg.connect(database)
    waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    async with stranger.transaction():
        await stranger.execute("lock table asyncjobs.job in access exclusive mode")

        answers = [await browse.get("/jobs/") for _ in range(5)]

        assert [answer.status_code for answer in answers] == [503] * 5
        assert await stranger.fetchval(waiting) == 1
    await stranger.close()


async def test_after_the_rest_it_is_asked_again(
    browse: httpx2.AsyncClient, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncjobs.dashboard.reader.DEADLINE", 0.2)
    monkeypatch.setattr("asyncjobs.dashboard.reader.REST", 0.0)
    stranger = await asyncpg.connect(database)
    async with stranger.transaction():
        await stranger.execute("lock table asyncjobs.job in access exclusive mode")
        assert (await browse.get("/jobs/")).status_code == 503
    await stranger.close()

    assert (await browse.get("/jobs/")).status_code == 200


@pytest.mark.parametrize("path", ["nowhere", "job/nonsense", "job", "?state=nonsense"])
async def test_what_is_not_there_is_said_kindly(browse: httpx2.AsyncClient, path: str) -> None:
    answer = await browse.get(f"/jobs/{path}")

    assert answer.status_code == 404
    assert read(answer).one("h1").text == "There is no such page"


async def test_a_job_that_is_not_there_says_where_it_may_have_gone(
    browse: httpx2.AsyncClient,
) -> None:
    answer = await browse.get("/jobs/job/00000000-0000-7000-8000-000000000000")

    assert answer.status_code == 404
    assert "forgotten" in answer.text


async def test_many_tabs_share_one_look(idle: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    fetch = idle.database.fetch

    async def counting(sql: str, *arguments: object, **more: float):  # type: ignore[no-untyped-def]
        asked.append(sql)
        return await fetch(sql, *arguments, **more)

    monkeypatch.setattr(idle.database, "fetch", counting)
    async with visitor(mounted(idle.dashboard(allow=anybody))) as client:
        for _ in range(10):
            await client.get("/jobs/")

    assert len([sql for sql in asked if "limit $1) as capped" in sql]) == 1


async def test_a_schema_of_another_name_is_read_too(empty_database: str) -> None:
    jobs = Jobs(empty_database, schema="elsewhere", migrate=True)

    @jobs.task(name="greet")
    async def greet() -> None: ...

    async with jobs.connected(), visitor(mounted(jobs.dashboard(allow=anybody))) as client:
        job = await jobs.tasks["greet"].enqueue()
        for path in ("", "?state=ready", "?task=greet", "processes", f"job/{job.id}"):
            assert (await client.get(f"/jobs/{path}")).status_code == 200
