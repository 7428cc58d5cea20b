"""The dashboard in a real Chromium: what one does there, with scripts and without."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.browser import PHONE, WIDE, accessibility_faults
from tests.dashboard.browsing import HISTORY, row, tick
from tests.dashboard.test_blocks import tally

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, ViewportSize

    from tests.dashboard.shelf import Shelf


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_is_accessible(
    home: str, shelf: Shelf, browser_page: Page, viewport: ViewportSize, scheme: str
) -> None:
    process = await shelf.put_process(draining=True)
    await shelf.put_process(
        lock_key=5, blocks={"tasks": {"greet": tally()}, "others": {"app": tally()}}
    )
    await shelf.put_process(
        name="web-1.a-long-name-of-a-machine.example.com:12345", ended_at=shelf.began, ending="died",
        blocks={"tasks": {"greet": tally()}, "others": {}},
    )  # fmt: skip
    await shelf.hold(4711)
    for state in ("held", "scheduled", "ready", "succeeded", "cancelled"):
        await shelf.put(state, crashes=1, priority=3)
    running = await shelf.put(
        "running", claimed_by=process, progress=0.3, cancel_asked_at=shelf.began
    )
    failed = await shelf.put(
        "failed", error="ValueError: x", traceback="long " * 200, history=HISTORY
    )
    await browser_page.set_viewport_size(viewport)
    await browser_page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")

    for path in (
        "/",
        "/?state=failed&task=greet&did=deleted",
        "/?task=greet",
        "/processes",
        "/check",
        f"/job/{running}",
        f"/job/{failed}",
    ):
        await browser_page.goto(home + path)
        assert await accessibility_faults(browser_page) == [], path
        assert await browser_page.evaluate(OVERFLOWS) == [], path

    await browser_page.get_by_role("button", name="Delete…").click()
    assert await accessibility_faults(browser_page) == []


OVERFLOWS = """
() => [...document.querySelectorAll("body, main, main > *, .bar > *")]
  .filter(element => element.getBoundingClientRect().right > innerWidth + 1 && getComputedStyle(element).position !== "absolute")
  .map(element => element.outerHTML.slice(0, 80))
"""


async def test_a_job_is_deleted_after_a_second_thought(
    home: str, shelf: Shelf, browser_page: Page
) -> None:
    id = await shelf.put("failed")
    await browser_page.goto(f"{home}/?state=failed")
    await browser_page.get_by_role("link", name="greet").click()

    await browser_page.get_by_role("button", name="Delete…").click()
    await browser_page.keyboard.press("Escape")
    await expect(browser_page.get_by_role("button", name="Delete the job")).to_be_hidden()
    await browser_page.get_by_role("button", name="Delete…").click()
    await browser_page.get_by_role("button", name="Delete the job").click()

    await expect(browser_page.get_by_role("status")).to_have_text("The job is deleted.")
    await expect(browser_page).to_have_url(f"{home}/?state=failed")
    await expect(browser_page.locator(row(id))).to_have_count(0)


async def test_choosing_a_filter_shows_it_in_the_address(
    home: str, shelf: Shelf, browser_page: Page
) -> None:
    await shelf.put("ready", queue="a b")
    await browser_page.goto(home + "/?state=ready")

    await browser_page.get_by_label("Queue").select_option("a b")

    await expect(browser_page).to_have_url(f"{home}/?state=ready&queue=a+b")
    await browser_page.get_by_role("link", name="Clear").click()
    await expect(browser_page).to_have_url(f"{home}/?state=ready")


async def test_an_id_is_pasted_and_gone_to(home: str, shelf: Shelf, browser_page: Page) -> None:
    id = await shelf.put("failed")
    await browser_page.goto(home + "/")

    await browser_page.get_by_label("Go to job id").fill(f" {id} ")
    await browser_page.keyboard.press("Enter")

    await expect(browser_page).to_have_url(f"{home}/job/{id}")


async def test_what_is_shown_can_be_copied(home: str, shelf: Shelf, browser_page: Page) -> None:
    id = await shelf.put("failed", arguments={"a": ["<b>", 1]})
    await browser_page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await browser_page.goto(f"{home}/job/{id}")

    await browser_page.get_by_role("button", name="Copy the arguments").click()

    await expect(browser_page.get_by_role("button", name="Copy the arguments")).to_have_text(
        "Copied"
    )
    copied = await browser_page.evaluate("navigator.clipboard.readText()")
    assert re.sub(r"\s", "", copied) == '{"a":["<b>",1]}'


async def test_markup_in_jobs_does_nothing(home: str, shelf: Shelf, page: Page) -> None:
    evil = "</script><img src=x onerror=alert(1)><script>alert(2)</script>"
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    id = await shelf.put("failed", task=evil, error=evil, traceback=evil, arguments={evil: evil})

    for path in ("/", "/?state=failed", f"/job/{id}"):
        await page.goto(home + path)
        await tick(page)

    assert dialogs == []
    assert await page.locator("img").count() == 0


async def test_without_scripts_everything_still_works(
    home: str, shelf: Shelf, chromium: Browser
) -> None:
    id = await shelf.put("failed")
    context = await chromium.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(home + "/")

    await page.get_by_label("Task").select_option("greet")
    await page.get_by_role("button", name="Filter").click()
    await page.get_by_role("link", name="greet", exact=True).click()
    await page.get_by_role("button", name="Retry").click()
    await expect(page.get_by_role("status")).to_have_text("It is ready and will run again.")
    await page.get_by_role("button", name="Delete…").click()
    await page.get_by_role("button", name="Delete the job").click()

    await expect(page.get_by_role("status")).to_have_text("The job is deleted.")
    await expect(page.locator(row(id))).to_have_count(0)
    await expect(page.locator("#live-switch")).to_be_hidden()
    await context.close()
