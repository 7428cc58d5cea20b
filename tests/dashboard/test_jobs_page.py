"""The list of jobs: states, counts, filters, pages."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from asyncjobs import JobState
from tests.dashboard.reading import counts, ids, link, read, rows

if TYPE_CHECKING:
    import httpx2

    from tests.dashboard.shelf import Shelf

STATES = [state.value for state in JobState]


async def test_each_state_has_its_list(browse: httpx2.AsyncClient, shelf: Shelf) -> None:
    put = {state: str(await shelf.put(state)) for state in STATES}

    for state in STATES:
        assert ids(read(await browse.get(f"/jobs/?state={state}"))) == [put[state]]


async def test_without_a_state_all_are_listed_the_newest_first(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    put = [str(await shelf.put(state)) for state in STATES]

    assert ids(read(await browse.get("/jobs/"))) == put


async def test_a_line_says_what_the_job_does(browse: httpx2.AsyncClient, shelf: Shelf) -> None:
    await shelf.put(
        "running", task="resize", attempt=2, progress=0.4, progress_note="at 1024 px",
        arguments={"photo": 7}, cancel_asked_at=shelf.began,
    )  # fmt: skip

    (line,) = rows(read(await browse.get("/jobs/?state=running")))

    for words in (
        "running",
        "resize",
        "photo: 7",
        "40 %",
        "at 1024 px",
        "asked to stop",
        "mail",
        "2",
    ):
        assert words in line


async def test_a_failed_job_shows_its_error_in_the_list(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    await shelf.put("failed", error="ValueError: a stone")

    assert "ValueError: a stone" in rows(read(await browse.get("/jobs/?state=failed")))[0]


async def test_a_ready_job_that_nobody_can_run_says_why(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    await shelf.put("ready", task="greet", queue="mail")
    await shelf.put("ready", task="forgotten", queue="mail")
    await shelf.put("ready", task="greet", queue="elsewhere")
    nobody = rows(read(await browse.get("/jobs/?state=ready")))
    await shelf.put_process(tasks=["greet"], queues=["mail"])
    await shelf.hold(4711)

    known = rows(read(await browse.get("/jobs/?state=ready&task=greet")))
    unknown = rows(read(await browse.get("/jobs/?state=ready&task=forgotten")))

    assert all("no process is running" in line for line in nobody)
    assert "waits" not in known[1]
    assert "no running process that knows task greet serves queue elsewhere" in known[0]
    assert "no running process knows task forgotten" in unknown[0]


async def test_counts_are_exact_while_they_are_small(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    await shelf.put_many(3, "failed")
    await shelf.put("scheduled")

    assert counts(read(await browse.get("/jobs/"))) == {
        "all": "", "held": "0", "scheduled": "1", "ready": "0", "running": "0",
        "succeeded": "0", "failed": "3", "cancelled": "0",
    }  # fmt: skip


async def test_counting_stops_at_ten_thousand(browse: httpx2.AsyncClient, shelf: Shelf) -> None:
    await shelf.fill(10_001, "bulk")

    assert counts(read(await browse.get("/jobs/")))["succeeded"] == "10 000+"


async def test_counts_follow_the_filters(browse: httpx2.AsyncClient, shelf: Shelf) -> None:
    await shelf.put_many(2, "failed", task="one")
    await shelf.put_many(3, "failed", task="other", queue="slow")

    assert counts(read(await browse.get("/jobs/?task=one")))["failed"] == "2"
    assert counts(read(await browse.get("/jobs/?queue=slow")))["failed"] == "3"
    assert counts(read(await browse.get("/jobs/?task=one&queue=slow")))["failed"] == "0"


async def test_a_count_that_looked_at_enough_says_at_least(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    await shelf.put("succeeded", task="rare")
    await shelf.fill(10_000, "bulk")

    assert counts(read(await browse.get("/jobs/?task=rare")))["succeeded"] == "0+"


async def test_what_is_ready_in_one_queue_is_counted_to_the_last(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    for queue in ("a", "b", "b", "c"):
        await shelf.put("ready", queue=queue)

    assert counts(read(await browse.get("/jobs/?queue=b")))["ready"] == "2"
    assert counts(read(await browse.get("/jobs/?queue=d")))["ready"] == "0"


@pytest.mark.parametrize("state", ["", *STATES])
async def test_lists_are_narrowed_by_task_and_queue(
    browse: httpx2.AsyncClient, shelf: Shelf, state: str
) -> None:
    kind = state or "ready"
    both = str(await shelf.put(kind, task="one", queue="a"))
    task = str(await shelf.put(kind, task="one", queue="b"))
    queue = str(await shelf.put(kind, task="other", queue="a"))

    async def listed(narrowed: str) -> set[str]:
        return set(ids(read(await browse.get(f"/jobs/?state={state}&{narrowed}"))))

    assert await listed("task=one") == {both, task}
    assert await listed("queue=a") == {both, queue}
    assert await listed("task=one&queue=a") == {both}
    assert await listed("task=One") == set()


async def test_filters_survive_every_turn(browse: httpx2.AsyncClient, shelf: Shelf) -> None:
    await shelf.put_many(60, "failed", task="a&b", queue="q/1")
    page = read(await browse.get("/jobs/?state=failed&task=a%26b&queue=q%2F1"))

    narrowed = "task=a%26b&queue=q%2F1"
    assert page.one("a", id="tab-running").attributes["href"] == f"/jobs/?state=running&{narrowed}"
    assert f"state=failed&{narrowed}" in link(page, "Older →")
    assert f"?state=failed&{narrowed}" in page.one("tbody").all("a")[0].attributes["href"]
    assert page.one("div", id="live").attributes["hx-get"] == f"/jobs/?state=failed&{narrowed}"
    assert link(page, "Clear") == "/jobs/?state=failed"


async def test_the_choices_come_from_tasks_processes_and_what_is_ready(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    await shelf.put_process(tasks=["theirs"], queues=["theirs-too"])
    await shelf.hold(4711)
    await shelf.put("ready", queue="waiting")

    page = read(await browse.get("/jobs/?task=chosen"))

    tasks = [each.text for each in page.one("select", name="task").all("option")]
    queues = [each.text for each in page.one("select", name="queue").all("option")]
    assert tasks == ["Any task", "chosen", "greet", "stumble", "theirs"]
    assert queues == ["Any queue", "default", "mail", "theirs-too", "waiting"]


async def test_what_is_ready_stands_in_the_order_of_its_claim(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    early, late = shelf.began - timedelta(hours=1), shelf.began
    last = str(await shelf.put("ready", promise=early, queue="a", priority=5))
    second = str(await shelf.put("ready", promise=late, queue="a"))
    first = str(await shelf.put("ready", promise=early, queue="b"))

    assert ids(read(await browse.get("/jobs/?state=ready"))) == [first, second, last]


@pytest.mark.parametrize("state", ["", *STATES])
async def test_an_empty_list_says_so(browse: httpx2.AsyncClient, state: str) -> None:
    page = read(await browse.get(f"/jobs/?state={state}"))

    assert page.one("p", class_="empty").text
    assert rows(page) == []


@pytest.mark.parametrize(
    "pasted",
    ["{id}", "  {id}\n", "job {id} failed", "http://x/jobs/job/{id}?state=failed", "{ID}", "{hex}"],
)
async def test_a_pasted_id_leads_to_its_job(
    browse: httpx2.AsyncClient, shelf: Shelf, pasted: str
) -> None:
    id = await shelf.put("failed")
    words = pasted.format(id=id, ID=str(id).upper(), hex=id.hex)

    answer = await browse.get("/jobs/find", params={"id": words})

    assert answer.headers["location"] == f"/jobs/job/{id}"


@pytest.mark.parametrize("pasted", ["", "nonsense", "0193a3c4-7f1e-7abc", "\0", "x" * 5000])
async def test_what_is_no_id_leads_back_with_a_word(
    browse: httpx2.AsyncClient, pasted: str
) -> None:
    answer = await browse.get("/jobs/find", params={"id": pasted}, follow_redirects=True)

    assert answer.status_code == 200
    assert "No job's id was found in that." in read(answer).text


async def test_htmx_gets_only_what_lives(browse: httpx2.AsyncClient, shelf: Shelf) -> None:
    id = str(await shelf.put("failed"))

    answer = await browse.get("/jobs/?state=failed", headers={"hx-request": "true"})

    fragment = read(answer)
    assert ids(fragment) == [id]
    assert not fragment.all("html")
    assert answer.headers["vary"] == "HX-Request"
