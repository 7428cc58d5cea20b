"""What lives on a page, and what keeps still, in a real Chromium."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from playwright.async_api import expect
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Mount, Route

from tests.dashboard.browsing import HISTORY, ROUND, row, serve, tick
from tests.dashboard.conftest import anybody, mounted

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Request

    from asyncjobs import Jobs
    from tests.dashboard.shelf import Shelf

SHOW = """
state => {
  Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}
"""


async def test_what_happens_is_seen_without_a_reload(home: str, shelf: Shelf, page: Page) -> None:
    await page.goto(home + "/")
    await expect(page.locator(".empty")).to_be_visible()

    id = await shelf.put("failed")
    await tick(page)

    await expect(page.locator(row(id))).to_be_visible()


async def test_paused_means_that_nothing_is_asked(home: str, shelf: Shelf, page: Page) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    await page.goto(home + "/")
    switch = page.locator("#live-switch")
    await switch.click()
    page.on("request", note)

    await page.clock.fast_forward(10 * ROUND)
    id = await shelf.put("failed")
    await page.clock.fast_forward(10 * ROUND)

    await expect(switch).to_have_text("Paused")
    assert asked == []
    await switch.click()
    await expect(page.locator(row(id))).to_be_visible()
    await expect(switch).to_have_text("Live")


async def test_paused_is_remembered_on_the_next_page(home: str, page: Page) -> None:
    await page.goto(home + "/")
    await page.locator("#live-switch").click()

    await page.get_by_role("link", name="Processes").click()

    await expect(page.get_by_role("heading", name="Processes")).to_be_visible()
    await expect(page.locator("#live-switch")).to_have_text("Paused")


async def test_a_hidden_tab_asks_nothing(home: str, shelf: Shelf, page: Page) -> None:
    await page.goto(home + "/")
    await page.evaluate(SHOW, "hidden")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    await page.clock.fast_forward(10 * ROUND)

    assert asked == []
    async with page.expect_response(lambda answer: answer.ok):
        await page.evaluate(SHOW, "visible")


async def test_rows_keep_their_places_under_the_pointer(
    home: str, shelf: Shelf, page: Page
) -> None:
    stays, leaves = await shelf.put("failed"), await shelf.put("failed")
    await page.goto(home + "/?state=failed")
    places = page.locator("#rows tr")
    await page.hover(row(stays))
    before = await page.locator(row(stays)).bounding_box()

    await shelf.connection.execute("delete from asyncjobs.archive_spill where id = $1", leaves)
    new = await shelf.put("failed", finished_at=shelf.began.replace(year=shelf.began.year + 1))
    await tick(page)

    await expect(page.locator("#waiting")).to_have_text("1 new, waiting while you point here")
    await expect(page.locator(row(leaves))).to_have_class("is-gone")
    await expect(places).to_have_count(2)
    assert await page.locator(row(stays)).bounding_box() == before

    await page.mouse.move(5, 5)
    await tick(page)
    await expect(places.first).to_have_id(f"job-{new}")
    await expect(page.locator(row(leaves))).to_have_count(0)
    await expect(page.locator("#waiting")).to_be_empty()


async def test_focus_and_what_is_open_survive_a_refresh(
    home: str, shelf: Shelf, page: Page
) -> None:
    id = await shelf.put("failed", history=[*HISTORY, *HISTORY], error="x")
    await page.goto(f"{home}/job/{id}")
    await page.locator("summary").first.click()
    await page.get_by_role("button", name="Delete…").click()
    keep = page.get_by_role("button", name="Keep it")
    await keep.focus()

    await shelf.connection.execute("update asyncjobs.archive_spill set error = 'changed'")
    await tick(page)

    await expect(page.locator(".error p")).to_have_text("changed")
    await expect(page.locator("details").first).to_have_attribute("open", "")
    await expect(keep).to_be_visible()
    await expect(keep).to_be_focused()


async def test_focus_on_a_row_survives_a_refresh(home: str, shelf: Shelf, page: Page) -> None:
    id = await shelf.put("failed")
    await page.goto(home + "/?state=failed")
    await page.locator(row(id)).get_by_role("link", name="greet").focus()

    await shelf.put("failed", finished_at=shelf.began.replace(year=shelf.began.year + 1))
    await tick(page)

    await expect(page.locator(row(id)).get_by_role("link", name="greet")).to_be_focused()


async def test_a_silent_postgres_leaves_what_was_seen_and_says_so(
    home: str, idle: Jobs, shelf: Shelf, chromium: Browser
) -> None:
    id = await shelf.put("failed")
    page = await chromium.new_page()
    await page.clock.install()
    await page.goto(home + "/")

    await idle.database.close()
    await page.clock.fast_forward(ROUND)

    await expect(page.locator("#live-switch")).to_have_text("No answer")
    await expect(page.locator(row(id))).to_be_visible()

    await idle.database.open()
    await tick(page)
    await expect(page.locator("#live-switch")).to_have_text("Live")
    await page.close()


async def test_who_is_signed_out_is_sent_to_the_login(idle: Jobs, page: Page) -> None:
    signed_in = True

    def allow(_: object) -> bool | RedirectResponse:
        return signed_in or RedirectResponse("/login")

    def login(_: object) -> HTMLResponse:
        return HTMLResponse("<!doctype html><title>Sign in</title><link rel=icon href=data:,>")

    app = Starlette(routes=[Mount("/jobs", idle.dashboard(allow=allow)), Route("/login", login)])
    async with serve(app) as address:
        await page.goto(address + "/jobs/")
        signed_in = False
        await page.clock.fast_forward(ROUND)

        await expect(page).to_have_title("Sign in")


async def test_an_open_tab_does_not_hold_a_shutdown_up(
    idle: Jobs, shelf: Shelf, chromium: Browser
) -> None:
    page = await chromium.new_page()
    async with asyncio.timeout(5):
        async with serve(mounted(idle.dashboard(allow=anybody))) as address:
            await page.goto(address + "/jobs/")
            await page.wait_for_load_state("networkidle")
    await page.close()
