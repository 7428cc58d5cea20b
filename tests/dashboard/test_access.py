"""Who gets in, and from where."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse

from asyncjobs.errors import BadOption
from tests.dashboard.conftest import anybody, mounted, visitor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from asyncjobs import Jobs
    from asyncjobs.dashboard import Allow

    LetIn = Callable[[Allow | None], Awaitable[int]]

PAGES = ["/jobs/", "/jobs/?state=failed", "/jobs/processes", "/jobs/find?id=x", "/jobs/nowhere"]


@pytest.fixture
def in_development(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASYNCJOBS_DEV", "1")


@pytest.fixture
def in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASYNCJOBS_DEV", raising=False)


@pytest.mark.parametrize("page", PAGES)
async def test_outside_development_nobody_gets_in_by_default(
    idle: Jobs, in_production: None, page: str
) -> None:
    async with visitor(mounted(idle.dashboard())) as client:
        answer = await client.get(page)

    assert answer.status_code == 403
    assert "jobs.dashboard(allow=…)" in answer.text


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"])
async def test_in_development_this_machine_gets_in(
    idle: Jobs, in_development: None, address: str
) -> None:
    async with visitor(mounted(idle.dashboard()), address=address) as client:
        assert (await client.get("/jobs/")).status_code == 200


@pytest.mark.parametrize(
    "address", ["192.168.1.5", "::ffff:10.0.0.1", "unix", "127.0.0.1.evil.org"]
)
async def test_in_development_other_machines_do_not_get_in(
    idle: Jobs, in_development: None, address: str
) -> None:
    async with visitor(mounted(idle.dashboard()), address=address) as client:
        answer = await client.get("/jobs/")

    assert answer.status_code == 403
    assert "on its own machine only" in answer.text


@pytest.mark.parametrize(
    "host", ["rebound.example.org", "localhost.example.org", "", "[", "127.0.0.1@x"]
)
async def test_a_foreign_name_for_this_machine_does_not_open_the_development_door(
    idle: Jobs, in_development: None, host: str
) -> None:
    async with visitor(mounted(idle.dashboard())) as client:
        assert (await client.get("/jobs/", headers={"host": host})).status_code == 403


async def test_a_connection_without_an_address_is_not_this_machine(
    idle: Jobs, in_development: None
) -> None:
    app = mounted(idle.dashboard())

    async def without_address(scope, receive, send):  # type: ignore[no-untyped-def]
        await app({**scope, "client": None}, receive, send)

    async with visitor(without_address) as client:
        assert (await client.get("/jobs/")).status_code == 403


async def yes(_: Request) -> bool:
    return True


async def no(_: Request) -> bool:
    return False


def around_yes(request: Request) -> Awaitable[bool]:
    return yes(request)


def around_no(request: Request) -> Awaitable[bool]:
    return no(request)


class Guard:
    def __init__(self, answer: bool) -> None:
        self.answer = answer

    async def __call__(self, _: Request) -> bool:
        return self.answer


@pytest.mark.parametrize(
    ("allow", "status"),
    [
        (lambda request: True, 200),
        (lambda request: False, 403),
        (lambda request: None, 403),
        (yes, 200),
        (no, 403),
        (around_yes, 200),
        (around_no, 403),
        (partial(yes), 200),
        (partial(no), 403),
        (Guard(True), 200),
        (Guard(False), 403),
        (lambda request: request.headers["host"] == "localhost", 200),
    ],
)
async def test_allow_may_be_plain_or_async(let_in: LetIn, allow: Allow, status: int) -> None:
    assert await let_in(allow) == status


def without_await(request: Request) -> Awaitable[bool]:
    async def forgets() -> object:
        return no(request)

    return forgets()  # type: ignore[return-value]


async def generates(_: Request) -> AsyncIterator[bool]:
    yield False


ODD: list[Any] = [
    without_await,
    generates,
    lambda request: (_ for _ in ()),
    lambda request: no,
    lambda request: Guard,
    Guard,
    lambda request: request,
    lambda request: "no",
    lambda request: 1,
    lambda request: {"admin": False},
]


@pytest.mark.parametrize("allow", ODD, ids=range(len(ODD)))
async def test_what_is_only_true_by_accident_opens_no_door(
    idle: Jobs, caplog: pytest.LogCaptureFixture, allow: Allow
) -> None:
    async with visitor(mounted(idle.dashboard(allow=allow))) as client:
        answer = await client.get("/jobs/")

    assert answer.status_code == 403
    assert "Nobody can get in now" in answer.text
    assert "it lets in with True only" in caplog.text


@pytest.mark.parametrize("junk", [True, False, 0, "admin", []], ids=str)
def test_what_is_no_function_is_refused_as_allow(unconnected: Jobs, junk: Any) -> None:
    with pytest.raises(BadOption, match="a function of the request"):
        unconnected.dashboard(allow=junk)


class NeverTrue:
    """A guard that is false itself, as one with no members would be."""

    def __bool__(self) -> bool:
        return False

    def __call__(self, _: Request) -> bool:
        return True


async def test_a_guard_that_is_false_itself_is_asked_all_the_same(
    let_in: LetIn, in_production: None
) -> None:
    assert await let_in(NeverTrue()) == 200


async def test_allow_is_asked_in_production_too(let_in: LetIn, in_production: None) -> None:
    assert await let_in(anybody) == 200


async def test_allow_may_send_a_visitor_elsewhere(idle: Jobs) -> None:
    dashboard = idle.dashboard(allow=lambda request: RedirectResponse("/login"))

    async with visitor(mounted(dashboard)) as client:
        answer = await client.get("/jobs/")

    assert (answer.status_code, answer.headers["location"]) == (307, "/login")


async def test_allow_may_raise_what_the_visitor_is_to_be_told(idle: Jobs) -> None:
    def allow(_: Request) -> bool:
        raise HTTPException(401, headers={"WWW-Authenticate": "Basic"})

    async with visitor(mounted(idle.dashboard(allow=allow))) as client:
        answer = await client.get("/jobs/")

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Basic")


class Undecided:
    def __bool__(self) -> bool:
        raise ValueError("neither")


async def test_an_answer_that_cannot_be_told_from_true_lets_nobody_in(
    let_in: LetIn, caplog: pytest.LogCaptureFixture
) -> None:
    assert await let_in(lambda request: Undecided()) == 403  # type: ignore[arg-type, return-value]
    assert "allow= raised" in caplog.text


async def test_an_allow_that_fails_lets_nobody_in_and_is_logged(
    let_in: LetIn, caplog: pytest.LogCaptureFixture
) -> None:
    assert await let_in(lambda request: request.state.user.is_admin) == 403
    assert "allow= raised" in caplog.text


async def test_the_refusal_has_its_style(idle: Jobs, in_production: None) -> None:
    async with visitor(mounted(idle.dashboard())) as client:
        refusal = await client.get("/jobs/")
        style = refusal.text.split('rel="stylesheet" href="')[1].split('"')[0]

        assert (await client.get(style)).status_code == 200
