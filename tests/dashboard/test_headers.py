"""What every response carries, and which requests may change something."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dashboard.conftest import anybody, mounted, visitor

if TYPE_CHECKING:
    import httpx2

    from asyncjobs import Jobs
    from tests.dashboard.shelf import Shelf

NO_SUCH = "00000000-0000-7000-8000-000000000000"


def assert_protected(answer: httpx2.Response) -> None:
    policy = answer.headers["content-security-policy"]
    for part in (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "object-src 'none'",
    ):
        assert part in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/jobs/", 200),
        ("/jobs/processes", 200),
        ("/jobs/check", 200),
        ("/jobs/find?id=no", 303),
        ("/jobs/?state=nonsense", 404),
        ("/jobs/nowhere", 404),
        (f"/jobs/job/{NO_SUCH}", 404),
        (f"/jobs/job/{NO_SUCH}/delete", 405),
        ("/jobs/static/1/app.css", 200),
        ("/jobs/static/1/secret.py", 404),
    ],
)
async def test_every_response_is_protected(
    browse: httpx2.AsyncClient, path: str, status: int
) -> None:
    answer = await browse.get(path)

    assert answer.status_code == status
    assert_protected(answer)


async def test_refusals_are_protected(idle: Jobs) -> None:
    async with visitor(mounted(idle.dashboard(allow=lambda request: False))) as client:
        assert_protected(await client.get("/jobs/"))


async def test_a_broken_page_is_protected_and_says_nothing_of_the_fault(
    idle: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = mounted(idle.dashboard(allow=anybody))
    monkeypatch.setattr("asyncjobs.dashboard.views.jobs.line", None)
    await idle.enqueue_many([idle.tasks["greet"].job("Ada")])

    async with visitor(app, raise_app_exceptions=False) as client:
        answer = await client.get("/jobs/")

    assert answer.status_code == 500
    assert "NoneType" not in answer.text
    assert_protected(answer)


async def test_pages_are_not_kept_by_caches(browse: httpx2.AsyncClient) -> None:
    assert (await browse.get("/jobs/")).headers["cache-control"] == "no-store"


async def test_static_files_are_kept_under_the_address_of_their_version_only(
    browse: httpx2.AsyncClient,
) -> None:
    page = (await browse.get("/jobs/")).text
    script = page.split('<script src="')[1].split('"')[0]

    assert "immutable" in (await browse.get(script)).headers["cache-control"]
    other = script.replace(script.split("/")[3], "0" * 12)
    assert (await browse.get(other)).headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "cross-site", "origin": "http://localhost"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://localhost.evil.example"},
        {"origin": "http://["},
        {},
    ],
)
@pytest.mark.parametrize("verb", ["retry", "cancel", "delete"])
async def test_a_post_from_elsewhere_is_refused(
    idle: Jobs, shelf: Shelf, headers: dict[str, str], verb: str
) -> None:
    id = await shelf.put("scheduled")

    async with visitor(mounted(idle.dashboard(allow=anybody))) as client:
        del client.headers["sec-fetch-site"]
        answer = await client.post(f"/jobs/job/{id}/{verb}", headers=headers)

    assert answer.status_code == 403
    assert (await idle.get(id)).state == "scheduled"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "same-origin", "origin": "null"},
        {"origin": "http://localhost"},
        {"origin": "https://LOCALHOST"},
        {"origin": "https://jobs.example", "x-forwarded-host": "jobs.example"},
    ],
)
async def test_a_post_from_our_own_pages_is_heard(
    idle: Jobs, shelf: Shelf, headers: dict[str, str]
) -> None:
    id = await shelf.put("scheduled")

    async with visitor(mounted(idle.dashboard(allow=anybody))) as client:
        del client.headers["sec-fetch-site"]
        answer = await client.post(f"/jobs/job/{id}/cancel", headers=headers)

    assert answer.status_code == 303
    assert (await idle.get(id)).state == "cancelled"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("verb", ["retry", "cancel", "delete"])
async def test_nothing_changes_but_by_post(
    browse: httpx2.AsyncClient, idle: Jobs, shelf: Shelf, method: str, verb: str
) -> None:
    id = await shelf.put("scheduled")

    answer = await browse.request(method, f"/jobs/job/{id}/{verb}")

    assert answer.status_code == 405
    assert (await idle.get(id)).state == "scheduled"
