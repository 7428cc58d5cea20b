"""The photo desk in a real Chromium: what a visitor does, and what they see."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect

from tests.browser import PHONE, WIDE, accessibility_faults
from tests.example_app import cameras

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.async_api import Browser, Page, ViewportSize

    from tests.example_app.desk import Desk

SOON = 30_000  # milliseconds

DROP = """
([name, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt());
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name));
  document.body.dispatchEvent(new DragEvent("dragover", { dataTransfer, bubbles: true, cancelable: true }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
}
"""


def on_disk(directory: Path, files: dict[str, bytes]) -> list[Path]:
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return [directory / name for name in files]


async def drop(page: Page, name: str, content: bytes) -> None:
    await page.evaluate(DROP, [name, b64encode(content).decode()])


async def test_chosen_photos_appear_without_a_reload(
    desk: Desk, browser_page: Page, tmp_path: Path
) -> None:
    files = {
        "un été à la plage.jpg": cameras.jpeg(cameras.landscape(1)),
        "phone.jpg": cameras.from_a_phone(12),
        "glass.png": cameras.png(cameras.picture(mode="RGBA")),
    }
    await browser_page.goto(desk.url)

    await browser_page.set_input_files("#files", on_disk(tmp_path, files))

    pictures = browser_page.locator("#photos .ready img")
    await expect(pictures).to_have_count(3, timeout=SOON)
    await expect(browser_page.get_by_text("un été à la plage.jpg")).to_be_visible()
    await expect(browser_page.locator("#sending")).to_be_hidden()
    for picture in await pictures.all():
        await expect(picture).to_have_js_property("complete", value=True, timeout=SOON)
        assert await picture.evaluate("image => image.naturalWidth") > 0


async def test_a_dropped_zip_becomes_its_photos(desk: Desk, browser_page: Page) -> None:
    await browser_page.goto(desk.url)

    photos = {f"{n}.jpg": cameras.jpeg(cameras.landscape(n, 400, 300)) for n in range(5)}
    await drop(browser_page, "holidays.zip", cameras.zipped({**photos, "notes.txt": b"x"}))

    await expect(browser_page.locator("#photos .ready")).to_have_count(5, timeout=SOON)
    await expect(browser_page.locator("#refused")).to_contain_text("notes.txt")


async def test_a_file_above_the_limit_is_not_even_sent(desk: Desk, browser_page: Page) -> None:
    await browser_page.goto(desk.url)
    await browser_page.locator("#drop").evaluate("form => form.dataset.photoBytes = 1000")

    await drop(browser_page, "huge.jpg", bytes(1001))

    await expect(browser_page.locator("#refused")).to_contain_text("huge.jpg")
    assert (await desk.photos())["photos"] == []


async def test_a_file_that_is_no_picture_fails_visibly_and_is_retried_from_the_dashboard(
    desk: Desk, browser_page: Page
) -> None:
    await browser_page.goto(desk.url)

    await drop(browser_page, "letter.jpg", b"Dear all, I am no picture.")

    failed = browser_page.locator("#failed li")
    await expect(failed).to_contain_text("This is not a picture", timeout=SOON)
    await failed.get_by_role("link", name="See its job").click()
    await expect(browser_page.get_by_text("NotAPicture: This is not").first).to_be_visible()
    await browser_page.get_by_role("button", name="Retry").click()
    failures = browser_page.get_by_role("row").filter(has_text="failed")
    await expect(failures).to_have_count(2, timeout=SOON)
    await browser_page.goto(desk.url)
    await expect(failed).to_contain_text("This is not a picture")


async def test_a_failed_photo_is_removed_from_the_page(desk: Desk, browser_page: Page) -> None:
    await browser_page.goto(desk.url)
    await drop(browser_page, "empty.jpg", b"")

    await browser_page.get_by_role("button", name="Remove empty.jpg").click(timeout=SOON)

    await expect(browser_page.locator("#failed")).to_be_hidden()


async def test_sigterm_ends_it_within_seconds_with_tabs_open(desk: Desk, chromium: Browser) -> None:
    page, dashboard = await chromium.new_page(), await chromium.new_page()
    await page.goto(desk.url)
    await dashboard.goto(f"{desk.url}/jobs/")
    await drop(page, "phone.jpg", cameras.from_a_phone(12))
    await expect(page.locator("#photos li")).to_have_count(1, timeout=SOON)

    await desk.terminate(within=8)

    await expect(page.get_by_text("The server does not answer.")).to_be_visible(timeout=SOON)
    await page.close()
    await dashboard.close()


async def test_the_page_goes_on_when_the_server_is_back(desk: Desk, chromium: Browser) -> None:
    page = await chromium.new_page()
    await page.goto(desk.url)
    photo = cameras.from_a_phone(12)
    await drop(page, "many.zip", cameras.zipped({f"{n}.jpg": photo for n in range(16)}))
    await expect(page.locator("#photos .working").first).to_be_visible(timeout=SOON)
    # All of them have arrived, which takes a while.
    await expect(page.locator("#photos li")).to_have_count(16, timeout=SOON)

    desk.kill()
    await expect(page.get_by_text("The server does not answer.")).to_be_visible(timeout=SOON)
    await desk.start()

    await expect(page.locator("#photos .ready")).to_have_count(16, timeout=SOON)
    await expect(page.get_by_text("The server does not answer.")).to_be_hidden()
    await page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
async def test_the_page_is_readable_by_everybody(
    desk: Desk, browser_page: Page, size: ViewportSize, scheme: str
) -> None:
    await desk.post(
        {
            "un été à la plage, le soir, avec un nom qui n'en finit pas.jpg": cameras.jpeg(),
            "letter.jpg": b"no picture",
        }
    )
    await desk.settled()
    await browser_page.set_viewport_size(size)
    await browser_page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]

    await browser_page.goto(desk.url)
    await expect(browser_page.locator("#photos .ready")).to_have_count(1)

    assert await accessibility_faults(browser_page) == []
    width = await browser_page.evaluate("document.documentElement.scrollWidth")
    assert width == size["width"]
