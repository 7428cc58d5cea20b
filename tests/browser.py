"""Pages in a real Chromium: $CHROME, or the one in the path. Without it these tests are skipped."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import ViewportSize, async_playwright

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from playwright.async_api import Browser, ConsoleMessage, Error, Page

WIDE = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=390, height=844)
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.fixture(scope="session")
def chromium_path() -> str:
    path = os.environ.get("CHROME") or shutil.which("chromium") or shutil.which("google-chrome")
    if path:
        return path
    pytest.skip("no Chromium: set $CHROME, or install the package chromium")


@pytest.fixture(scope="session")
async def chromium(anyio_backend: str, chromium_path: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path)
        yield browser
        await browser.close()


@pytest.fixture
async def browser_page(chromium: Browser) -> AsyncIterator[Page]:
    """A page that has seen nothing yet; the test fails if the page complains."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    def fail(error: Error) -> None:
        complaints.append(str(error))

    page = await chromium.new_page(viewport=WIDE)
    page.on("console", hear)
    page.on("pageerror", fail)
    yield page
    await page.close()
    assert complaints == []


async def accessibility_faults(page: Page) -> list[str]:
    """Return where the page falls short of WCAG 2.2 AA: the rule and the element, a line each."""
    found = await Axe().run(page, options={"runOnly": WCAG})
    return [
        f"{violation['id']}: {' '.join(map(str, node['target']))}"
        for violation in found.response["violations"]
        for node in violation["nodes"]
    ]
