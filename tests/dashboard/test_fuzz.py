"""
Ten thousand hostile requests to every route, over rows whose every text is markup.

Some hundred in the short form; ASYNCJOBS_FUZZ=10000 asks for as many as it says. Routes are read from the
dashboard itself, so that a new one is fuzzed as soon as it is there.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from anyio import from_thread, to_thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncjobs import Jobs, JobState
from asyncjobs.dashboard import reader
from tests.dashboard.conftest import anybody
from tests.dashboard.fuzzing import (
    EVIL,
    ROOT,
    Answer,
    Hostile,
    check_answer,
    check_markup,
    hostile_requests,
    paths,
    raw,
    routes_of,
    send,
)
from tests.dashboard.shelf import Shelf

if TYPE_CHECKING:
    from starlette.applications import Starlette

REQUESTS = int(os.environ.get("ASYNCJOBS_FUZZ", "500"))
ROUTES = routes_of(Jobs().dashboard())
ANYWHERE = "anywhere"
TARGETS = [*ROUTES, ANYWHERE]
EACH = -(-REQUESTS // len(TARGETS))
DIGEST = """
    select sum(hashtextextended(told, 0)) from (
      select job::text as told from asyncjobs.job union all select finished::text from asyncjobs.finished
      union all select process::text from asyncjobs.process
    ) as everything
"""
STATES = ["ready", "scheduled", "running", "held", "succeeded", "failed", "cancelled"]
IDS = [UUID(int=(7 << 76) | (2 << 62) | number) for number in range(1, 2 * len(EVIL) + 1)]


class Stock:
    """Rows in every state, markup wherever a text may stand."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self._turn = cycle(zip(cycle(STATES), EVIL, strict=False))
        self.process = 0
        self.last: int | None = None

    async def fill(self) -> None:
        for number, evil in enumerate(EVIL[:6]):
            self.process = await self.shelf.put_process(
                name=evil, queues=[evil], tasks=[evil], kind=evil, version=evil, lock_key=number
            )
            await self.shelf.put_process(name=evil, ended_at=self.shelf.began, ending=evil)
        await self.shelf.hold(5)
        for id in IDS:
            await self.put(id)

    async def put(self, id: UUID) -> None:
        """Put one there that carries the next of them."""
        state, evil = next(self._turn)
        past = {
            "attempt": 1,
            "outcome": evil,
            "process": 1,
            "started_at": evil,
            "error": evil,
            "traceback": evil,
        }
        row: dict[str, Any] = {
            "id": id, "task": evil, "queue": evil, "arguments": {evil: [evil, {"x": evil}]}, "history": [past],
            "progress_note": evil, "progress": 0.5, "crashes": 1, "attempt": 3, "claimed_by": self.process,
            "claimed_at": self.shelf.began,
        }  # fmt: skip
        if state in ("succeeded", "failed", "cancelled"):
            row |= {"error": evil, "traceback": f"  File {evil}", "result": {evil: evil}}
        if next(self.shelf.numbers) % 5 == 0:
            row["extra"] = {"shown": {evil: "•••"}}
        await self.shelf.put(state, **row)

    async def refill(self) -> None:
        """Put back what a request has deleted."""
        found = await self.shelf.connection.fetch(
            "select id from asyncjobs.job union all select id from asyncjobs.finished"
        )
        for id in sorted(set(IDS) - {row["id"] for row in found}):
            await self.put(id)

    async def digest(self) -> int:
        """A number that changes when anything does."""
        return int(await self.shelf.connection.fetchval(DIGEST))


@pytest.fixture
async def stock(shelf: Shelf) -> Stock:
    stock = Stock(shelf)
    await stock.fill()
    return stock


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no failure of a page."""
    monkeypatch.setattr(reader, "DEADLINE", 60.0)


@pytest.fixture
def app(idle: Jobs, patient: None) -> Starlette:
    return idle.dashboard(allow=anybody)


@pytest.fixture(scope="module")
def tally(request: pytest.FixtureRequest) -> Iterator[Counter[str]]:
    """What was answered how often; told at the end where it is the full form."""
    answers: Counter[str] = Counter()
    yield answers
    reporter, capture = map(
        request.config.pluginmanager.get_plugin, ("terminalreporter", "capturemanager")
    )
    if reporter is not None and capture is not None and "ASYNCJOBS_FUZZ" in os.environ:
        counted = ", ".join(f"{number:,} of {what}" for what, number in sorted(answers.items()))
        with capture.global_and_fixture_disabled():
            reporter.write_line(f"\nfuzz: {answers.total():,} requests, answers: {counted}")


def any_path(target: str) -> st.SearchStrategy[str]:
    if target == ANYWHERE:
        return st.lists(raw, max_size=5).map(lambda parts: "/" + "/".join(parts))
    return paths(ROUTES[target], [str(id) for id in IDS])


@pytest.mark.parametrize("target", TARGETS)
async def test_no_request_breaks_a_page_or_puts_markup_on_it(
    app: Starlette,
    stock: Stock,
    tally: Counter[str],
    caplog: pytest.LogCaptureFixture,
    target: str,
) -> None:
    async def is_answered(hostile: Hostile) -> None:
        before = stock.last or await stock.digest()

        answer = await send(app, hostile)
        stock.last = await stock.digest()
        tally[str(answer.status)] += 1

        check_answer(hostile, answer)
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
        if stock.last != before:
            assert (answer.status, hostile.method, hostile.is_ours) == (303, "POST", True)
            await stock.refill()
            stock.last = None

    # Hypothesis leaves a test by an exception that would end the loop's runner: it draws in a thread.
    @given(hostile=hostile_requests(any_path(target)))
    @settings(
        max_examples=EACH, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    def all_are_answered(hostile: Hostile) -> None:
        from_thread.run(is_answered, hostile)

    await to_thread.run_sync(all_are_answered)


@pytest.mark.parametrize("state", ["", *JobState])
async def test_rows_full_of_markup_are_shown_as_text(
    app: Starlette, stock: Stock, state: str
) -> None:
    addresses = [
        f"{ROOT}/",
        f"{ROOT}/processes",
        f"{ROOT}/check",
        *(f"{ROOT}/job/{id}" for id in IDS),
    ]

    for path in addresses:
        for headers in ([], [(b"hx-request", b"true")]):
            hostile = Hostile("GET", path, f"state={state}".encode(), headers, [], False, False)
            answer = await send(app, hostile)
            check_answer(hostile, answer)
            assert answer.status == 200, path


ROUTES_AND_METHODS = [
    (name, method) for name in ROUTES for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
]


@pytest.mark.parametrize(
    ("name", "method"), ROUTES_AND_METHODS, ids=[" ".join(each) for each in ROUTES_AND_METHODS]
)
async def test_every_route_is_closed_by_default_but_that_of_style_sheets(
    idle: Jobs, monkeypatch: pytest.MonkeyPatch, stock: Stock, name: str, method: str
) -> None:
    monkeypatch.delenv("ASYNCJOBS_DEV", raising=False)
    before = await stock.digest()
    path = ROUTES[name].path.replace("{id:uuid}", str(IDS[0])).replace("{verb}", "delete")
    path = path.replace("{version}/{name}", "1/app.css")
    ours = [(b"host", b"localhost"), (b"sec-fetch-site", b"same-origin")]

    answer = await send(idle.dashboard(), Hostile(method, ROOT + path, b"", ours, [], False, True))

    assert "{" not in path
    if name == "static":
        assert answer.status == (200 if method in ("GET", "HEAD") else 405)
    else:
        assert answer.status == 403
        assert "The dashboard is closed" in answer.text
    assert await stock.digest() == before


@pytest.mark.parametrize(
    "markup",
    [
        "<p><zqx></p>", '<a href="/jobs/" zqx="1">x</a>', '<p onclick="x">x</p>', '<a href="//x">x</a>',
        '<a href="javascript:x">x</a>', "<script>x</script>", '<img src="/jobs/x">', "<p><!-- x --></p>",
        '<form action="https://x"></form>', '<p style="x">x</p>', '<base href="/jobs/">',
    ],
)  # fmt: skip
def test_markup_that_is_not_ours_would_be_found(markup: str) -> None:
    with pytest.raises(AssertionError):
        check_markup(f"<!doctype html><html><head></head><body>{markup}</body></html>")


def test_an_answer_that_is_no_good_would_be_found() -> None:
    hostile = Hostile("POST", f"{ROOT}/", b"", [], [], False, False)
    good = Answer([(404, [(b"content-type", b"text/plain")])], [b""], True)

    with pytest.raises(AssertionError):
        check_answer(hostile, good)
