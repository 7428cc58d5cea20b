"""Nothing that a job carries can become markup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dashboard.reading import read

if TYPE_CHECKING:
    import httpx2

    from tests.dashboard.reading import Element
    from tests.dashboard.shelf import Shelf

EVIL = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<hx-partial hx-get=/x hx-trigger=load>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "</pre></textarea></title><svg onload=alert(1)>",
    "\u2028\u202e\ufeff<b>",
    "</head><head><base href=//evil.example>",
]
ELEMENTS = {
    "html head meta title link script body header nav main form input button select option a div p span b i",
    "svg use rect figure figcaption table thead tbody tr th td code pre time progress meter section dl dt dd",
    "h1 h2 ul li details summary small",
}
KNOWN = set(" ".join(ELEMENTS).split())


def assert_inert(page: Element) -> None:
    for element in page.all("*"):
        assert element.name in KNOWN, element.name
        assert not [name for name in element.attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action", "hx-get"):
            address = element.attributes.get(name, "/")
            assert address.startswith(("/jobs/", "/", "#")), address
            assert not address.startswith("//"), address
    scripts = page.all("script")
    assert all(script.attributes["src"].startswith("/jobs/static/") for script in scripts)
    assert not [script for script in scripts if script.text]


@pytest.mark.parametrize("evil", EVIL)
async def test_markup_in_a_job_stays_text(
    browse: httpx2.AsyncClient, shelf: Shelf, evil: str
) -> None:
    past = {"attempt": 1, "outcome": evil, "process": 1, "started_at": None, "waited": 1, "ran": 1}
    carried = {
        "task": evil,
        "queue": evil,
        "arguments": {evil: [evil, {"x": evil}]},
        "history": [{**past, "error": evil, "traceback": evil}],
        "progress_note": evil,
        "progress": 0.5,
    }
    process = await shelf.put_process(
        name=evil, queues=[evil], tasks=[evil], kind=evil, version=evil
    )
    await shelf.put_process(name=evil, ended_at=shelf.began, ending=evil)
    running = await shelf.put("running", **carried, claimed_by=process)
    failed = await shelf.put("failed", **carried, error=evil, traceback=evil, result=evil)
    succeeded = await shelf.put("succeeded", **carried, result={evil: evil})
    ready = await shelf.put("ready", **carried, crashes=1)

    pages = [
        "/jobs/",
        "/jobs/processes",
        *(f"/jobs/job/{id}" for id in (running, failed, succeeded, ready)),
    ]
    for address in pages:
        for headers in ({}, {"hx-request": "true"}):
            page = read(await browse.get(address, headers=headers))
            assert_inert(page)
            if "<b>" not in evil:
                assert " ".join(evil.split()) in page.text or "processes" in address


@pytest.mark.parametrize("evil", EVIL)
async def test_markup_in_an_address_stays_text(browse: httpx2.AsyncClient, evil: str) -> None:
    everywhere = {"task": evil, "queue": evil, "after": evil, "before": evil, "did": evil}

    for query in (everywhere, {"state": evil}, {"state": "failed", **everywhere}):
        assert_inert(read(await browse.get("/jobs/", params=query)))
    assert_inert(read(await browse.get("/jobs/find", params={"id": evil}, follow_redirects=True)))


async def test_what_was_done_is_told_by_a_word_of_ours_only(browse: httpx2.AsyncClient) -> None:
    answer = await browse.get("/jobs/", params={"did": "You have been hacked, call 555-1234"})

    assert "hacked" not in answer.text
