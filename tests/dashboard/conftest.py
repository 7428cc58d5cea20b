"""What the tests of the dashboard share: jobs that run, a shelf of made-up rows, and a visitor."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from asyncjobs import Jobs, never
from tests.dashboard.browsing import serve
from tests.dashboard.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from playwright.async_api import Page
    from starlette.types import ASGIApp

    from asyncjobs.dashboard import Allow

    Visit = Callable[..., httpx2.AsyncClient]

HERE = "http://localhost"


def anybody(_: object) -> bool:
    return True


def mounted(app: ASGIApp, path: str = "/jobs") -> Starlette:
    """An application that does nothing but carry the dashboard."""
    return Starlette(routes=[Mount(path, app)])


def visitor(
    app: ASGIApp,
    *,
    address: str = "127.0.0.1",
    root_path: str = "",
    raise_app_exceptions: bool = True,
) -> httpx2.AsyncClient:
    """A browser, as far as one can be without one: it says where its requests come from."""
    transport = httpx2.ASGITransport(
        app,
        client=(address, 50000),
        root_path=root_path,
        raise_app_exceptions=raise_app_exceptions,
    )
    client = httpx2.AsyncClient(transport=transport, base_url=HERE)
    client.headers["sec-fetch-site"] = "same-origin"
    return client


@pytest.fixture
def unconnected(database: str) -> Jobs:
    """Jobs with tasks that are not running."""
    jobs = Jobs(database, slots=2)

    @jobs.task(name="greet", queue="mail")
    async def greet(name: str) -> str:
        return f"Hello {name}"

    @jobs.task(name="stumble", retry=never())
    async def stumble(stone: str) -> None:
        raise ValueError(stone)

    return jobs


@pytest.fixture
async def jobs(unconnected: Jobs) -> AsyncIterator[Jobs]:
    """Jobs that run in this very process."""
    async with unconnected.running(kind="web"):
        yield unconnected


@pytest.fixture
async def idle(unconnected: Jobs) -> AsyncIterator[Jobs]:
    """Jobs that are connected, and leave what is on the shelf alone."""
    async with unconnected.connected():
        yield unconnected


@pytest.fixture
async def shelf(database: str) -> AsyncIterator[Shelf]:
    """Rows as no test has the patience to make them by running jobs."""
    connection = await asyncpg.connect(database)
    yield Shelf(connection)
    await connection.close()


@pytest.fixture
async def browse(idle: Jobs) -> AsyncIterator[httpx2.AsyncClient]:
    """A visitor whom the dashboard, mounted at /jobs, lets in; nothing runs."""
    async with visitor(mounted(idle.dashboard(allow=anybody))) as client:
        yield client


@pytest.fixture
async def visit(jobs: Jobs) -> AsyncIterator[httpx2.AsyncClient]:
    """A visitor whom the dashboard, mounted at /jobs, lets in; jobs run."""
    async with visitor(mounted(jobs.dashboard(allow=anybody))) as client:
        yield client


@pytest.fixture
def let_in(idle: Jobs) -> Callable[[Allow | None], Awaitable[int]]:
    """Ask for the list of jobs under an `allow`, and tell the status."""

    async def ask(allow: Allow | None) -> int:
        async with visitor(mounted(idle.dashboard(allow=allow))) as client:
            return (await client.get("/jobs/")).status_code

    return ask


@pytest.fixture
async def home(idle: Jobs) -> AsyncIterator[str]:
    """The address of a dashboard; nothing runs."""
    async with serve(mounted(idle.dashboard(allow=anybody))) as address:
        yield f"{address}/jobs"


@pytest.fixture
async def page(browser_page: Page) -> Page:
    """A page whose clock can be put forward."""
    await browser_page.clock.install()
    return browser_page
