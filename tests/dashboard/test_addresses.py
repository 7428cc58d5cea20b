"""Wherever it is mounted and whatever a proxy puts before it, every link leads home."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.dashboard.conftest import anybody, mounted, visitor
from tests.dashboard.reading import read

if TYPE_CHECKING:
    import httpx2
    from starlette.types import ASGIApp

    from asyncjobs import Jobs
    from tests.dashboard.shelf import Shelf

ADDRESSES = ("href", "src", "action", "hx-get")


async def addresses(client: httpx2.AsyncClient, page: str) -> set[str]:
    """Every address that a page names."""
    elements = read(await client.get(page)).all("*")
    found = {
        each.attributes[name] for each in elements for name in ADDRESSES if name in each.attributes
    }
    return {address.partition("#")[0] for address in found if not address.startswith("#")}


async def assert_all_lead_home(client: httpx2.AsyncClient, home: str, id: object) -> None:
    for page in (f"{home}/", f"{home}/processes", f"{home}/job/{id}"):
        for address in await addresses(client, page):
            assert address.startswith(f"{home}/")
            answer = await client.get(address, follow_redirects=True)
            assert answer.status_code in (200, 405), address
    answer = await client.post(f"{home}/job/{id}/cancel?state=scheduled")
    assert answer.headers["location"].startswith(f"{home}/job/{id}?")


def under_fastapi(app: ASGIApp) -> ASGIApp:
    host = FastAPI()
    host.mount("/admin/jobs", app)
    return host


def nested(app: ASGIApp) -> ASGIApp:
    return Starlette(routes=[Mount("/a", Starlette(routes=[Mount("/b/c", app)]))])


def in_a_place_with_accents(app: ASGIApp) -> ASGIApp:
    return mounted(app, "/tâches à faire")


def below_a_tenant(app: ASGIApp) -> ASGIApp:
    return mounted(app, "/{tenant}/jobs")


@pytest.mark.parametrize(
    ("host", "home"),
    [
        (mounted, "/jobs"),
        (under_fastapi, "/admin/jobs"),
        (nested, "/a/b/c"),
        (in_a_place_with_accents, "/t%C3%A2ches%20%C3%A0%20faire"),
        (below_a_tenant, "/acme%22%3E/jobs"),
    ],
)
async def test_mounted_anywhere(idle: Jobs, shelf: Shelf, host, home: str) -> None:  # type: ignore[no-untyped-def]
    id = await shelf.put("scheduled")

    async with visitor(host(idle.dashboard(allow=anybody))) as client:
        await assert_all_lead_home(client, home, id)


async def test_as_an_application_of_its_own(idle: Jobs, shelf: Shelf) -> None:
    id = await shelf.put("scheduled")

    async with visitor(idle.dashboard(allow=anybody)) as client:
        await assert_all_lead_home(client, "", id)


async def test_behind_a_proxy_that_the_server_was_told_of(idle: Jobs, shelf: Shelf) -> None:
    id = await shelf.put("scheduled")

    # As uvicorn --root-path has it, whether the proxy takes the prefix off or not.
    async with visitor(mounted(idle.dashboard(allow=anybody)), root_path="/proxied") as client:
        await assert_all_lead_home(client, "/proxied/jobs", id)


async def test_the_bare_path_leads_in(idle: Jobs) -> None:
    async with visitor(mounted(idle.dashboard(allow=anybody))) as client:
        answer = await client.get("/jobs")

    assert answer.status_code == 307
    assert answer.headers["location"].endswith("/jobs/")


async def test_links_do_not_believe_the_host_that_a_visitor_names(idle: Jobs) -> None:
    async with visitor(mounted(idle.dashboard(allow=anybody))) as client:
        answer = await client.get("/jobs/", headers={"host": "evil.example"})

    assert "evil.example" not in answer.text
