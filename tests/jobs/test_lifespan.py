"""Jobs live as long as the app that they are mounted in, whatever kind of app that is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from asyncjobs import Jobs
from asyncjobs.errors import SchemaMismatch


class Desk:
    """A `Jobs` with one task, and a page that enqueues it and waits for its result."""

    def __init__(self, dsn: str) -> None:
        self.jobs = Jobs(dsn)
        self.task = self.jobs.task(name="double")(self._double)

    async def _double(self, number: int) -> int:
        return 2 * number

    async def page(self, request: Request) -> JSONResponse:
        job = await self.task.enqueue(int(request.path_params["number"]))
        return JSONResponse(await job.result(20))

    @property
    def routes(self) -> list[Route]:
        return [Route("/double/{number}", self.page)]


@pytest.fixture
def desk(database: str) -> Desk:
    return Desk(database)


def answer(app: Any) -> Any:
    with TestClient(app) as client:
        return client.get("/double/21").json()


def test_jobs_run_while_a_starlette_app_does(desk: Desk) -> None:
    app = Starlette(routes=desk.routes, lifespan=desk.jobs.lifespan)

    assert answer(app) == 42
    assert desk.jobs.executor is None


def test_jobs_run_while_a_fastapi_app_does(desk: Desk) -> None:
    app = FastAPI(lifespan=desk.jobs.lifespan)

    @app.get("/double/{number}")
    async def double(number: int) -> int:
        return await (await desk.task.enqueue(number)).result(20)

    assert answer(app) == 42


def test_jobs_run_while_an_app_that_knows_no_lifespan_does(desk: Desk) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        job = await desk.task.enqueue(21)
        response = PlainTextResponse(str(await job.result(20)))
        await response(scope, receive, send)

    assert answer(desk.jobs.asgi(app)) == 42


def test_an_app_may_start_more_than_once(desk: Desk) -> None:
    app = Starlette(routes=desk.routes, lifespan=desk.jobs.lifespan)

    assert [answer(app), answer(app)] == [42, 42]


# Composed with the app's own.


@pytest.mark.parametrize("kind", [Starlette, FastAPI])
def test_what_the_apps_own_lifespan_opens_is_there_for_the_jobs_to_their_end(
    desk: Desk, kind: Callable[..., Starlette]
) -> None:
    log: list[str] = []

    @desk.jobs.task
    async def note() -> None:
        log.append("job")

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[None]:
        log.append("open")
        yield
        log.append("close")

    async def page(request: Request) -> PlainTextResponse:
        await (await note.enqueue()).result(20)
        return PlainTextResponse("stored")

    app = kind(routes=[Route("/", page)], lifespan=desk.jobs.lifespan(own))
    with TestClient(app) as client:
        client.get("/")

    assert log == ["open", "job", "close"]


def test_the_state_of_the_apps_own_lifespan_reaches_its_requests(desk: Desk) -> None:
    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[dict[str, str]]:
        yield {"colour": "red"}

    async def page(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.state.colour)

    app = Starlette(routes=[Route("/", page)], lifespan=desk.jobs.lifespan(own))
    with TestClient(app) as client:
        assert client.get("/").text == "red"


def test_the_apps_own_lifespan_gets_the_app_and_may_ask_for_the_address(
    desk: Desk, database: str
) -> None:
    seen: list[object] = []

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[None]:
        seen.extend([app, await desk.jobs.address()])
        yield

    app = Starlette(routes=desk.routes, lifespan=desk.jobs.lifespan(own))

    assert answer(app) == 42
    assert seen == [app, database]


# When it goes wrong.


WRAPPERS: list[Callable[[Jobs], Any]] = [
    lambda jobs: Starlette(lifespan=jobs.lifespan),
    lambda jobs: jobs.asgi(Starlette()),
]


@pytest.mark.parametrize("wrap", WRAPPERS, ids=["lifespan", "asgi"])
def test_an_app_whose_jobs_cannot_start_does_not_start(
    empty_database: str, wrap: Callable[[Jobs], Any]
) -> None:
    app = wrap(Jobs(empty_database, migrate=False))

    with pytest.raises(SchemaMismatch), TestClient(app):
        pass


def test_the_apps_own_lifespan_is_left_when_jobs_cannot_start(empty_database: str) -> None:
    log: list[str] = []

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[None]:
        log.append("open")
        try:
            yield
        finally:
            log.append("close")

    jobs = Jobs(empty_database, migrate=False)
    with pytest.raises(SchemaMismatch), TestClient(Starlette(lifespan=jobs.lifespan(own))):
        pass

    assert log == ["open", "close"]


def test_the_lifespan_of_a_wrapped_app_runs_as_well(desk: Desk) -> None:
    log: list[str] = []

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncIterator[dict[str, int]]:
        log.append("open")
        yield {"number": 21}
        log.append("close")

    async def page(request: Request) -> JSONResponse:
        job = await desk.task.enqueue(request.state.number)
        return JSONResponse(await job.result(20))

    app = desk.jobs.asgi(Starlette(routes=[Route("/double/21", page)], lifespan=own))

    assert answer(app) == 42
    assert log == ["open", "close"]


class Server:
    """The lifespan protocol's other side: says startup and shutdown, and writes down the answers."""

    def __init__(self) -> None:
        self.to_say = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
        self.heard: list[str] = []

    async def receive(self) -> dict[str, str]:
        return self.to_say.pop(0)

    async def send(self, message: dict[str, Any]) -> None:
        self.heard.append(message["type"])


async def test_a_wrapped_app_keeps_to_the_lifespan_protocol(desk: Desk) -> None:
    server = Server()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("knows no lifespan")

    await desk.jobs.asgi(app)({"type": "lifespan", "state": {}}, server.receive, server.send)

    assert server.heard == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_failure_after_the_start_is_told_as_one_of_the_shutdown(desk: Desk) -> None:
    class Broken(Server):
        async def receive(self) -> dict[str, str]:
            if len(self.to_say) == 1:
                raise ConnectionError("the server is gone")
            return await super().receive()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("knows no lifespan")

    server = Broken()
    with pytest.raises(ConnectionError):
        await desk.jobs.asgi(app)({"type": "lifespan", "state": {}}, server.receive, server.send)

    assert server.heard == ["lifespan.startup.complete", "lifespan.shutdown.failed"]
