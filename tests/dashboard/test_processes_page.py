"""The processes: who lives, what they run, who ended and how."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.dashboard.reading import link, read

if TYPE_CHECKING:
    import httpx2

    from asyncjobs import Jobs
    from tests.dashboard.reading import Element
    from tests.dashboard.shelf import Shelf


def process(page: Element, id: int) -> str:
    return page.one("section", id=f"process-{id}").text


async def test_this_very_process_is_shown(visit: httpx2.AsyncClient, jobs: Jobs) -> None:
    assert jobs.executor is not None
    assert jobs.executor.process_id is not None

    told = process(read(await visit.get("/jobs/processes")), jobs.executor.process_id)

    for words in ("web · started", "0 of 2 slots", "all queues · 2 tasks", "idle"):
        assert words in told
    assert "dead" not in told


async def test_this_process_tells_how_its_jobs_give_way(
    visit: httpx2.AsyncClient, jobs: Jobs
) -> None:
    assert jobs.executor is not None
    assert jobs.executor.process_id is not None
    assert jobs.executor.runs.pace is not None
    jobs.executor.runs.pace.judge(1.0)

    told = process(read(await visit.get("/jobs/processes")), jobs.executor.process_id)

    assert (
        "jobs give way: new ones take 1 of 2 slots at most, the event loop was 1000 ms late" in told
    )


async def test_a_process_shows_what_it_runs(browse: httpx2.AsyncClient, shelf: Shelf) -> None:
    id = await shelf.put_process(queues=["mail", "slow"], draining=True)
    await shelf.hold(4711)
    job = await shelf.put("running", claimed_by=id, task="resize", progress=0.5)
    await shelf.put("running", claimed_by=id + 1, task="elsewhere")

    page = read(await browse.get("/jobs/processes"))

    told = process(page, id)
    for words in ("draining", "1 of 4 slots", "queues mail, slow", "resize", "50 %"):
        assert words in told
    assert "elsewhere" not in told
    assert link(page, "resize") == f"/jobs/job/{job}"


async def test_more_than_a_dozen_jobs_are_counted(browse: httpx2.AsyncClient, shelf: Shelf) -> None:
    id = await shelf.put_process(slots=20)
    await shelf.put_many(15, "running", claimed_by=id)

    assert "and 3 more" in process(read(await browse.get("/jobs/processes")), id)


async def test_a_process_without_its_lock_is_dead_unless_it_has_a_lease(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    dead = await shelf.put_process(lock_key=1)
    leased = await shelf.put_process(lock_key=2, lease_until=shelf.began + timedelta(hours=1))

    page = read(await browse.get("/jobs/processes"))

    assert "dead" in process(page, dead)
    assert "reconnecting" in process(page, leased)


async def test_a_process_that_never_has_a_lock_lives_by_its_lease(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    alive = await shelf.put_process(lock_key=-1, lease_until=shelf.began + timedelta(hours=1))
    dead = await shelf.put_process(lock_key=-2, lease_until=shelf.began - timedelta(hours=1))

    page = read(await browse.get("/jobs/processes"))

    assert "lives by a lease" in process(page, alive)
    assert "reconnecting" not in process(page, alive)
    assert "dead" in process(page, dead)


async def test_locks_of_any_key_are_recognised(browse: httpx2.AsyncClient, shelf: Shelf) -> None:
    keys = (-(2**63), -1, 0, 2**31, 2**63 - 1)
    ids = [await shelf.put_process(lock_key=key) for key in keys]
    for key in keys:
        await shelf.hold(key)

    page = read(await browse.get("/jobs/processes"))

    assert not [id for id in ids if "dead" in process(page, id)]


async def test_those_that_ended_are_listed_with_how(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    await shelf.put_process(name="gone:1", ended_at=shelf.began, ending="died")

    page = read(await browse.get("/jobs/processes"))

    assert "gone:1 web died" in page.one("table", class_="ended").text
    assert not page.all("section")


async def test_without_any_process_the_page_says_how_to_get_one(
    browse: httpx2.AsyncClient,
) -> None:
    assert "asyncjobs work" in read(await browse.get("/jobs/processes")).text
