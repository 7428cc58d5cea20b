"""The photo desk over HTTP, as curl uses it: whatever one sends, each file ends well or says why."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import asyncpg
from PIL import Image

from tests.example_app import cameras
from tests.example_app.desk import until

if TYPE_CHECKING:
    from tests.example_app.desk import Desk


async def test_two_hundred_files_in_one_go_all_get_their_sizes(desk: Desk) -> None:
    files = {f"IMG_{n:04}.jpg": cameras.jpeg(cameras.landscape(n, 240, 180)) for n in range(200)}

    answer = await desk.post(files)

    settled = await desk.settled(within=120)
    assert answer.status_code == 201
    assert len(answer.json()["accepted"]) == 200
    assert settled["counts"] == {"ready": 200, "working": 0, "waiting": 0, "failed": 0}
    assert len(settled["photos"]) == 200


async def test_a_zip_becomes_its_photos(desk: Desk) -> None:
    photo = cameras.jpeg()
    archive = cameras.zipped(
        {
            "Ferien/": b"",
            "Ferien/Düne.jpg": photo,
            "Ferien/Meer.png": cameras.png(),
            "__MACOSX/Ferien/._Düne.jpg": b"junk",
            "Ferien/readme.txt": b"hello",
        }
    )

    answer = (await desk.post({"Ferien.zip": archive})).json()

    settled = await desk.settled()
    assert [photo["name"] for photo in answer["accepted"]] == ["Düne.jpg", "Meer.png"]
    assert [refusal["name"] for refusal in answer["refused"]] == ["readme.txt"]
    assert settled["counts"]["ready"] == 2


async def test_what_phones_and_accidents_produce_is_sized_or_fails_with_its_reason(
    desk: Desk,
) -> None:
    await desk.post(
        {
            "upright.jpg": cameras.from_a_phone(12, orientation=6),
            "forty-eight megapixels.jpg": cameras.from_a_phone(48, orientation=1),
            "see through.png": cameras.png(Image.new("RGBA", (900, 600), (9, 9, 9, 60))),
            "un été à la plage (2).jpg": cameras.jpeg(),
            "half.jpg": cameras.cut_in_half(cameras.jpeg(cameras.landscape(2))),
            "letter.jpg": b"Dear all, I am no picture.",
            "empty.jpg": b"",
        }
    )

    settled = await desk.settled()
    shapes = {photo["name"]: (photo["width"], photo["height"]) for photo in settled["photos"]}
    reasons = {failure["name"]: failure["reason"] for failure in settled["failures"]}
    assert shapes == {
        "upright.jpg": (3000, 4000),
        "forty-eight megapixels.jpg": (8000, 6000),
        "see through.png": (900, 600),
        "un été à la plage (2).jpg": (640, 480),
    }
    assert reasons.keys() == {"half.jpg", "letter.jpg", "empty.jpg"}
    assert "damaged" in reasons["half.jpg"]
    assert "not a picture" in reasons["letter.jpg"]
    assert "empty" in reasons["empty.jpg"]


async def test_the_sizes_are_served_as_they_were_made(desk: Desk) -> None:
    [accepted] = (await desk.post({"a.jpg": cameras.from_a_phone(12)})).json()["accepted"]
    await desk.settled()

    answer = await desk.get(f"/photos/{accepted['id']}/800.webp")

    assert answer.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(answer.content)).size == (600, 800)
    assert (await desk.get(f"/photos/{accepted['id']}/801.webp")).status_code == 422


async def test_the_page_answers_while_the_sizes_are_made(desk: Desk) -> None:
    photo = cameras.from_a_phone(12)
    await desk.post({f"{n}.jpg": photo for n in range(12)})
    answers = []

    async def look() -> bool:
        answers.append((await desk.get("/desk")).elapsed.total_seconds())
        counts = (await desk.photos())["counts"]
        return bool(counts["ready"] == 12)

    await until(look, within=60)
    assert sorted(answers)[len(answers) // 2] < 0.5


async def test_a_caption_comes_although_the_service_fails_at_first(desk: Desk) -> None:
    await desk.post({"a.jpg": cameras.jpeg(cameras.landscape(1))})

    async def caption() -> str:
        return (await desk.photos())["photos"][0]["caption"] or ""

    assert "wide picture" in await until(caption, within=60)
    attempts = "select max(attempt) from asyncjobs.finished where task like '%caption'"
    assert await asked(desk, attempts) > 1


async def test_a_removed_photo_is_gone_from_the_desk(desk: Desk) -> None:
    [accepted] = (await desk.post({"letter.jpg": b"no picture"})).json()["accepted"]
    await desk.settled()

    removal = await desk.send(f"/photos/{accepted['id']}/remove")

    assert removal.status_code == 303
    assert (await desk.photos())["counts"]["failed"] == 0


async def test_an_upload_without_files_says_what_to_send(desk: Desk) -> None:
    answer = await desk.send("/photos")

    assert answer.status_code == 422
    assert "curl" in answer.text


async def test_another_site_cannot_send_photos(desk: Desk) -> None:
    answer = await desk.post({"a.jpg": cameras.jpeg()}, **{"sec-fetch-site": "cross-site"})

    assert answer.status_code == 403


async def test_a_form_without_scripts_is_answered_with_the_page(desk: Desk) -> None:
    good = await desk.post({"a.jpg": cameras.jpeg()}, accept="text/html")
    bad = await desk.post({"a.zip": cameras.zipped({"a.txt": b"x"})}, accept="text/html")

    assert good.status_code == 303
    assert bad.status_code == 422
    assert "There is no photo in this ZIP." in bad.text


async def test_a_photo_that_was_accepted_survives_the_end_of_the_process(desk: Desk) -> None:
    await put_to_work(desk)

    desk.kill()
    running = await asked(desk, "select count(*) from asyncjobs.job where state = 'running'")
    await desk.start()

    settled = await desk.settled()
    assert running > 0
    assert settled["counts"] == {"ready": 30, "working": 0, "waiting": 0, "failed": 0}
    assert await asked(desk, "select sum(crashes) from asyncjobs.finished") == running


async def test_a_polite_end_in_the_middle_costs_no_attempt(desk: Desk) -> None:
    await put_to_work(desk)

    await desk.terminate(within=10)
    await desk.start()

    settled = await desk.settled()
    twice = "select count(*) from asyncjobs.finished where task like '%make_sizes' and attempt > 1"
    assert settled["counts"] == {"ready": 30, "working": 0, "waiting": 0, "failed": 0}
    assert await asked(desk, "select sum(crashes) from asyncjobs.finished") == 0
    assert await asked(desk, twice) == 0


async def put_to_work(desk: Desk) -> None:
    """Send thirty photos, and come back when some are worked on and some wait."""
    photo = cameras.from_a_phone(12)
    await desk.post({f"{n}.jpg": photo for n in range(30)})

    async def is_in_the_middle() -> bool:
        counts = (await desk.photos())["counts"]
        return bool(counts["working"] and counts["waiting"])

    await until(is_in_the_middle, within=30)


async def asked(desk: Desk, question: str) -> int:
    """Ask Postgres itself, which outlives the process."""
    connection = await asyncpg.connect(desk.dsn)
    answer = await connection.fetchval(question)
    await connection.close()
    return int(answer)
