"""A job's page: its story, and what can be done to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from asyncjobs import Jobs, JobState
from asyncjobs.errors import JobNotFound
from tests.dashboard.reading import read
from tests.moments import until, until_state

if TYPE_CHECKING:
    import httpx2

    from tests.dashboard.reading import Element
    from tests.dashboard.shelf import Shelf

NO_SUCH = UUID(int=7)


def facts(page: Element) -> dict[str, str]:
    listed = page.one("dl", class_="facts")
    return {each.one("dt").text: each.all("dd")[0].text for each in listed.all("div")}


def can(page: Element) -> set[str]:
    """What the page's forms can do."""
    actions = {form.attributes["action"] for form in page.all("form", method="post")}
    return {action.rpartition("/")[2].partition("?")[0] for action in actions}


async def test_a_succeeded_job_tells_its_arguments_and_result(
    visit: httpx2.AsyncClient, jobs: Jobs
) -> None:
    job = await jobs.tasks["greet"].enqueue("Zoë <b>")
    await job.result(timeout=20)

    page = read(await visit.get(f"/jobs/job/{job.id}"))

    assert page.one("h1").text == "greet"
    assert '"name" : "Zoë <b>"' in page.one("pre", id="arguments").text
    assert page.one("pre", id="result").text == '"Hello Zoë <b>"'
    told = facts(page)
    assert (told["Queue"], told["Attempt"]) == ("mail", "1")
    assert told["Waited"]
    assert told["Ran"]
    assert ":" in told["Process"]
    assert page.one("figure", class_="life").all("rect", class_="is-succeeded")
    assert can(page) == {"delete"}


async def test_a_failed_job_tells_its_error_and_traceback(
    visit: httpx2.AsyncClient, jobs: Jobs
) -> None:
    job = await jobs.tasks["stumble"].enqueue("a <i>stone</i>")
    await until_state(job, JobState.FAILED)

    page = read(await visit.get(f"/jobs/job/{job.id}"))

    assert page.one("section", class_="error").one("p").text == "ValueError: a <i>stone</i>"
    assert "raise ValueError(stone)" in page.one("pre", id="traceback").text
    assert can(page) == {"retry", "delete"}


async def test_every_attempt_is_told_the_latest_first(
    visit: httpx2.AsyncClient, jobs: Jobs
) -> None:
    job = await jobs.tasks["stumble"].enqueue("one")
    await until_state(job, JobState.FAILED)
    await visit.post(f"/jobs/job/{job.id}/retry")
    await until_state(job, JobState.FAILED)

    page = read(await visit.get(f"/jobs/job/{job.id}"))

    lines = [row.text for row in page.one("table", class_="attempts").one("tbody").all("tr")]
    assert len(lines) == 2
    assert all("failed" in line for line in lines)
    assert "raise ValueError(stone)" in lines[1]


async def test_a_job_to_be_tried_again_shows_what_for(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    past = {"attempt": 1, "outcome": "failed", "process": None, "started_at": None, "waited": None}
    history = [{**past, "ran": 1.5, "error": "OSError: no route", "traceback": None}]
    id = await shelf.put("scheduled", attempt=1, history=history)

    page = read(await browse.get(f"/jobs/job/{id}"))

    assert page.one("section", class_="error").text.startswith("Last error OSError: no route")
    assert "Run now" in page.text
    assert can(page) == {"retry", "cancel", "delete"}


async def test_a_suspect_and_a_waiting_job_say_so(browse: httpx2.AsyncClient, shelf: Shelf) -> None:
    id = await shelf.put("ready", crashes=2, task="forgotten")
    await shelf.put_process()
    await shelf.hold(4711)

    page = read(await browse.get(f"/jobs/job/{id}"))

    assert "Waits: no running process knows task forgotten." in page.text
    assert "Suspect: 2 processes died while running this job." in page.text
    assert facts(page)["Crashes"] == "2"


async def test_the_process_of_an_attempt_is_named(browse: httpx2.AsyncClient, shelf: Shelf) -> None:
    process = await shelf.put_process(name="web-9:1")
    past = {
        "attempt": 1,
        "outcome": "crashed",
        "process": process,
        "started_at": shelf.began.isoformat(),
    }
    history = [
        {**past, "waited": 0.1, "ran": None, "error": "process web-9:1 died", "traceback": None}
    ]
    id = await shelf.put("failed", claimed_by=process, history=history, error="x")

    page = read(await browse.get(f"/jobs/job/{id}"))

    assert facts(page)["Process"] == "web-9:1"
    assert page.one("table", class_="attempts").text.count("web-9:1") == 3


async def test_very_large_arguments_are_cut_and_very_very_large_ones_not_opened(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    large = await shelf.put("failed", arguments={"text": "x" * 100_000})
    # Random, so that compression cannot make it small.
    huge = await shelf.put("failed")
    await shelf.connection.execute(
        """
        update asyncjobs.archive_spill
        set arguments = to_jsonb((select string_agg(md5(random()::text), '') from generate_series(1, 20000)))
        where id = $1
        """,
        huge,
    )

    cut, closed = await browse.get(f"/jobs/job/{large}"), await browse.get(f"/jobs/job/{huge}")

    assert "The first 20 000 characters" in read(cut).text
    assert "too much to show here" in read(closed).text
    assert len(cut.content) < 60_000
    assert len(closed.content) < 10_000


async def test_numbers_too_large_for_a_browser_are_shown_as_they_are(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    id = await shelf.put("failed", arguments={"order": 12345678901234567890123})

    assert "12345678901234567890123" in read(await browse.get(f"/jobs/job/{id}")).text


async def test_retry_runs_a_failed_job_again(visit: httpx2.AsyncClient, jobs: Jobs) -> None:
    job = await jobs.tasks["stumble"].enqueue("one")
    await until_state(job, JobState.FAILED)

    answer = await visit.post(f"/jobs/job/{job.id}/retry?state=failed&task=stumble")

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/jobs/job/{job.id}?state=failed&task=stumble&did=retried"
    assert (
        "It is ready and will run again." in read(await visit.get(answer.headers["location"])).text
    )


async def test_retry_of_a_succeeded_job_says_that_it_could_not(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    id = await shelf.put("succeeded")

    answer = await browse.post(f"/jobs/job/{id}/retry", follow_redirects=True)

    assert "could not be retried" in read(answer).text


async def test_cancel_ends_a_waiting_job(
    browse: httpx2.AsyncClient, idle: Jobs, shelf: Shelf
) -> None:
    id = await shelf.put("scheduled")

    answer = await browse.post(f"/jobs/job/{id}/cancel", follow_redirects=True)

    assert "The job is cancelled." in read(answer).text
    assert (await idle.get(id)).state is JobState.CANCELLED


async def test_cancel_asks_a_running_job_to_stop(visit: httpx2.AsyncClient, jobs: Jobs) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    @jobs.task(name="stubborn")
    async def stubborn() -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await ended.wait()
            raise

    job = await jobs.tasks["stubborn"].enqueue()
    await started.wait()

    answer = await visit.post(f"/jobs/job/{job.id}/cancel", follow_redirects=True)
    page = read(await visit.get(f"/jobs/job/{job.id}"))
    ended.set()

    assert "has been asked to stop" in read(answer).text
    assert "Asked to stop" in page.text
    assert can(page) == {"cancel"}
    await until_state(job, JobState.CANCELLED)


async def test_delete_forgets_a_job_and_returns_to_the_list_one_came_from(
    browse: httpx2.AsyncClient, idle: Jobs, shelf: Shelf
) -> None:
    id = await shelf.put("failed")

    answer = await browse.post(f"/jobs/job/{id}/delete?state=failed&queue=mail")

    assert answer.headers["location"] == "/jobs/?state=failed&queue=mail&did=deleted"
    assert "The job is deleted." in read(await browse.get(answer.headers["location"])).text
    with pytest.raises(JobNotFound):
        await idle.get(id)


async def test_delete_of_a_job_that_has_just_started_only_asks_it_to_stop(
    browse: httpx2.AsyncClient, shelf: Shelf
) -> None:
    id = await shelf.put("running")

    answer = await browse.post(f"/jobs/job/{id}/delete", follow_redirects=True)

    assert "has been asked to stop" in read(answer).text


@pytest.mark.parametrize("verb", ["retry", "cancel", "delete"])
async def test_nothing_can_be_done_to_an_unknown_job(browse: httpx2.AsyncClient, verb: str) -> None:
    answer = await browse.post(f"/jobs/job/{NO_SUCH}/{verb}", follow_redirects=True)

    assert answer.status_code in (200, 404)
    assert "could not be" in answer.text or "no such job" in answer.text


async def test_an_unknown_verb_is_not_found(browse: httpx2.AsyncClient, shelf: Shelf) -> None:
    id = await shelf.put("failed")

    assert (await browse.post(f"/jobs/job/{id}/explode")).status_code == 404


async def test_htmx_may_post_too(browse: httpx2.AsyncClient, shelf: Shelf) -> None:
    id = await shelf.put("scheduled")
    headers = {"hx-request": "true"}

    answer = await browse.post(f"/jobs/job/{id}/cancel", headers=headers, follow_redirects=True)

    fragment = read(answer)
    assert fragment.one("h1").text == "greet"
    assert not fragment.all("html")


async def test_a_job_on_its_way_to_the_archive_is_never_missing(
    visit: httpx2.AsyncClient, jobs: Jobs
) -> None:
    job = await jobs.tasks["greet"].enqueue("Ada")
    seen: list[int] = []

    async def finished() -> bool:
        seen.append((await visit.get(f"/jobs/job/{job.id}")).status_code)
        return await job.status() is JobState.SUCCEEDED

    await until(finished)

    assert set(seen) == {200}
