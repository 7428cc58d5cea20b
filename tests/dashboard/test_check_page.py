"""The check-up's page: what is wrong and what to do, and a number in the navigation that costs nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest
from anyio import current_time

from asyncjobs import Jobs
from asyncjobs.checkup import check_up
from asyncjobs.dashboard import lately
from tests.dashboard.conftest import anybody, mounted, visitor
from tests.dashboard.reading import Element, link, read
from tests.engine.harm import Count, inside
from tests.faults.proxy import proxied
from tests.moments import until_true

if TYPE_CHECKING:
    import httpx2

    from tests.dashboard.shelf import Shelf


def findings(page: Element) -> list[str]:
    return [each.text for each in page.all("li") if "finding" in each.attributes.get("class", "")]


def of(page: Element, about: str) -> list[str]:
    return [text for text in findings(page) if text.startswith(about)]


def alarm(page: Element) -> str:
    """The number in the navigation, if there is one."""
    return " ".join(each.text for each in page.one("nav", aria_label="Pages").all("span"))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is shared with a visit before, unless a test is about that."""
    monkeypatch.setattr(lately, "FRESH", 0.0)


async def test_the_page_tells_of_postgres_and_of_this_process(
    visit: httpx2.AsyncClient, jobs: Jobs
) -> None:
    await until_true(lambda: jobs.health().is_ready)

    page = read(await visit.get("/jobs/check"))

    assert of(page, "Notifications well A NOTIFY was heard after")
    assert of(page, "Link well Up for")
    assert "Alive and ready" in page.text
    assert link(page, "Check again") == "/jobs/check"


async def test_what_is_wrong_comes_first_with_what_to_do(visit: httpx2.AsyncClient) -> None:
    page = read(await visit.get("/jobs/check"))

    first = findings(page)[0]
    assert first.startswith("Settings wrong fsync is off. A power cut")
    assert first.endswith("Set fsync = on.")


async def test_a_process_that_is_not_ready_is_told_of_before_all_else(
    visit: httpx2.AsyncClient, jobs: Jobs
) -> None:
    inside(jobs).begin_draining()

    page = read(await visit.get("/jobs/check"))

    assert findings(page)[0].startswith("Executor wrong Draining: 0 jobs still run")
    assert "Alive, and not ready" in page.text


async def test_what_postgres_said_is_shown_to_those_who_are_let_in(
    visit: httpx2.AsyncClient, jobs: Jobs
) -> None:
    await until_true(lambda: jobs.health().is_ready)
    rescuer = inside(jobs)._rescuer
    rescuer._ledger.look = broken
    rescuer.look_for_a_while()
    await until_true(lambda: not jobs.health().is_ready)

    page = read(await visit.get("/jobs/check"))

    assert "said <b>" in of(page, "Services wrong")[0]


async def broken() -> list[object]:
    raise KeyError("said <b>")


async def test_work_that_nobody_does_is_told_as_by_the_command_line(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    await shelf.put("ready")

    page = read(await browse.get("/jobs/check"))

    assert "Jobs are ready and no process is alive" in of(page, "Work wrong")[0]


async def test_the_navigation_counts_what_the_last_check_up_found(
    visit: httpx2.AsyncClient, jobs: Jobs
) -> None:
    await until_true(lambda: jobs.health().is_ready)
    before = alarm(read(await visit.get("/jobs/processes")))
    await visit.get("/jobs/check")

    page = read(await visit.get("/jobs/processes"))

    assert before == ""
    assert alarm(page) == "2"  # the tests' server is careless with fsync and full_page_writes
    [number] = page.one("nav", aria_label="Pages").all("span")
    assert number.attributes["aria-label"] == "2 things are wrong"


async def test_the_navigation_knows_how_this_process_is_without_any_check_up(
    visit: httpx2.AsyncClient, jobs: Jobs
) -> None:
    inside(jobs).begin_draining()

    assert alarm(read(await visit.get("/jobs/processes"))) == "1"


async def test_the_navigation_costs_no_statement(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with visitor(mounted(jobs.dashboard(allow=anybody))) as client:
        await client.get("/jobs/check")
        sent = Count(jobs.database, "fetch")

        await client.get("/jobs/find?id=nothing")

    assert sent.calls == 0


async def test_the_navigation_forgets_what_was_long_ago(
    visit: httpx2.AsyncClient, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    await until_true(lambda: jobs.health().is_ready)
    await visit.get("/jobs/check")
    now = current_time() + lately.REMEMBERED + 1
    monkeypatch.setattr(lately, "current_time", lambda: now)

    assert alarm(read(await visit.get("/jobs/processes"))) == ""


async def test_who_is_not_let_in_is_not_told_how_we_are(jobs: Jobs) -> None:
    inside(jobs).begin_draining()

    async with visitor(mounted(jobs.dashboard(allow=lambda request: False))) as client:
        answer = await client.get("/jobs/check")

    assert answer.status_code == 403
    assert alarm(read(answer)) == ""


async def test_many_who_ask_at_once_share_one_check_up(
    visit: httpx2.AsyncClient, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lately, "FRESH", 60.0)
    made: list[object] = []

    async def counted(jobs: Jobs) -> object:
        made.append(jobs)
        return await check_up(jobs)

    monkeypatch.setattr(lately, "check_up", counted)

    answers = await asyncio.gather(*(visit.get("/jobs/check") for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
    assert len(made) == 1


async def test_a_check_up_leaves_no_connection_behind(
    visit: httpx2.AsyncClient, eyes: asyncpg.Connection
) -> None:
    await visit.get("/jobs/check")

    left = "select count(*) from pg_stat_activity where application_name = 'asyncjobs check' and datname = current_database()"
    assert await eyes.fetchval(left) == 0


async def test_a_fragment_is_answered_as_any_page(visit: httpx2.AsyncClient) -> None:
    answer = await visit.get("/jobs/check", headers={"hx-request": "true"})

    assert answer.status_code == 200
    assert "<html" not in answer.text


async def test_a_postgres_that_has_gone_is_told_on_the_page_itself(database: str) -> None:
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)
        async with jobs.connected(), visitor(mounted(jobs.dashboard(allow=anybody))) as client:
            proxy.refuse()
            proxy.hang_up()

            answer = await client.get("/jobs/check")

    assert answer.status_code == 200
    assert any("Postgres does not answer" in text for text in findings(read(answer)))


async def test_without_jobs_the_page_says_that_they_do_not_run(unconnected: Jobs) -> None:
    async with visitor(mounted(unconnected.dashboard(allow=anybody))) as client:
        answer = await client.get("/jobs/check")

    assert answer.status_code == 503
    assert alarm(read(answer)) == "1"
