"""What is taken from an upload: one file, many, ZIPs, and what is refused."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import TYPE_CHECKING

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from example_app import archives
from example_app.media import Media
from example_app.uploads import Intake, Limits, display_name, files_of
from tests.example_app import cameras

if TYPE_CHECKING:
    from pathlib import Path

PHOTO = cameras.jpeg(cameras.picture(32, 24))


@pytest.fixture
def media(tmp_path: Path) -> Media:
    media = Media(tmp_path)
    media.prepare()
    return media


def taken(intake: Intake, name: str, content: bytes) -> list[str]:
    return [arrival.name for arrival in intake.take(name, io.BytesIO(content))]


def originals(media: Media) -> list[bytes]:
    return [path.read_bytes() for path in (media.root / "originals").iterdir()]


def test_a_photo_is_copied_under_a_name_of_ours(media: Media) -> None:
    [arrival] = Intake(media, Limits()).take("../../etc/Été à la plage.jpg", io.BytesIO(PHOTO))

    assert arrival.name == "Été à la plage.jpg"
    assert media.original(arrival.id).read_bytes() == PHOTO
    assert media.original(arrival.id).name == arrival.id.hex


def test_a_photo_above_the_limit_leaves_nothing_behind(media: Media) -> None:
    intake = Intake(media, Limits(photo_bytes=len(PHOTO) - 1))

    assert taken(intake, "large.jpg", PHOTO) == []
    assert "more than" in intake.refused[0].reason
    assert originals(media) == []


def test_a_zip_gives_its_photos_and_not_its_junk(media: Media) -> None:
    intake = Intake(media, Limits())
    archive = cameras.zipped(
        {
            "Été 2026/": b"",
            "Été 2026/plage.JPG": PHOTO,
            "Été 2026/deep/er/../hill.png": PHOTO,
            "/absolute.jpeg": PHOTO,
            "__MACOSX/Été 2026/._plage.JPG": b"junk",
            ".DS_Store": b"junk",
            "Thumbs.db": b"junk",
            "notes.txt": b"not a photo",
        }
    )

    assert taken(intake, "summer.zip", archive) == ["plage.JPG", "hill.png", "absolute.jpeg"]
    assert [refusal.name for refusal in intake.refused] == ["notes.txt"]
    assert originals(media) == [PHOTO] * 3


def test_a_name_that_a_mac_wrote_into_a_zip_keeps_its_accents(media: Media) -> None:
    archive = cameras.zipped({"plage_.jpg": PHOTO}).replace(b"plage_", "plagé".encode())

    assert taken(Intake(media, Limits()), "mac.zip", archive) == ["plagé.jpg"]


def test_one_bad_file_in_a_zip_does_not_spoil_the_others(media: Media) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as writer:
        writer.writestr("bad.jpg", b"written once")
        writer.writestr("good.jpg", PHOTO)
    intake = Intake(media, Limits())

    names = taken(intake, "mixed.zip", archive.getvalue().replace(b"written once", b"changed late"))

    assert names == ["good.jpg"]
    assert [refusal.name for refusal in intake.refused] == ["bad.jpg"]
    assert originals(media) == [PHOTO]


def test_an_encrypted_file_in_a_zip_is_refused_by_name(media: Media) -> None:
    archive = bytearray(cameras.zipped({"secret.jpg": PHOTO}))
    archive[archive.index(b"PK\1\2") + 8] |= 1
    archive[6] |= 1
    intake = Intake(media, Limits())

    assert taken(intake, "secret.zip", bytes(archive)) == []
    assert "encrypted" in intake.refused[0].reason


def test_a_method_that_unpacks_without_bounds_is_refused(media: Media) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_BZIP2) as writer:
        writer.writestr("bomb.jpg", bytes(1 << 20))
    intake = Intake(media, Limits())

    assert taken(intake, "bomb.zip", archive.getvalue()) == []
    assert "small pieces" in intake.refused[0].reason


@pytest.mark.parametrize(
    ("files", "limits", "reason"),
    [
        ({"a.txt": b"x"}, Limits(), "no photo"),
        ({"a.jpg": b"x", "b.jpg": b"x"}, Limits(photos=1), "2 photos"),
        ({"a.jpg": bytes(3 << 20)}, Limits(upload_bytes=2 << 20), "unpacks to 3 MB"),
        ({"a.jpg": bytes(3 << 20)}, Limits(photo_bytes=2 << 20), "more than 2 MB"),
    ],
    ids=["no photo", "too many", "a bomb", "too large"],
)
def test_a_zip_is_bounded(
    media: Media, files: dict[str, bytes], limits: Limits, reason: str
) -> None:
    intake = Intake(media, limits)

    assert taken(intake, "bounded.zip", cameras.zipped(files)) == []
    assert reason in intake.refused[0].reason
    assert originals(media) == []


def test_a_zip_that_lies_about_a_size_unpacks_no_further_than_it_said(media: Media) -> None:
    honest = cameras.zipped({"a.jpg": bytes(3 << 20)})
    entry = honest.index(b"PK\1\2")
    lie = honest[: entry + 24] + struct.pack("<L", 10) + honest[entry + 28 :]
    intake = Intake(media, Limits())

    assert taken(intake, "liar.zip", lie) == []
    assert "cannot be unpacked" in intake.refused[0].reason
    assert originals(media) == []


def test_an_endless_table_of_contents_is_not_read(
    media: Media, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "LONGEST_READ", 70_000)
    intake = Intake(media, Limits())

    assert taken(intake, "long.zip", cameras.zipped({f"{n}.jpg": b"" for n in range(2000)})) == []
    assert "table of contents" in intake.refused[0].reason


@pytest.mark.parametrize("length", [5, 30, -20, -3])
def test_a_zip_that_was_cut_off_is_refused_with_a_reason(media: Media, length: int) -> None:
    intake = Intake(media, Limits())

    assert taken(intake, "half.zip", cameras.zipped({"a.jpg": PHOTO})[:length]) == []
    assert "cannot be read" in intake.refused[0].reason


def test_a_photo_with_a_zip_at_its_end_is_a_photo(media: Media) -> None:
    polyglot = PHOTO + cameras.zipped({"a.txt": b"x"})

    assert taken(Intake(media, Limits()), "both.jpg", polyglot) == ["both.jpg"]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("my photo (1).jpg", "my photo (1).jpg"),
        ("C:\\Users\\me\\photo.jpg", "photo.jpg"),
        ("../../../etc/passwd", "passwd"),
        ("nul\0 and\nnewline.jpg", "nul and newline.jpg"),
        ("évènement – été 🌞.jpg", "évènement – été 🌞.jpg"),
        ("\ud800.jpg", ".jpg"),
        ("\u202egpj.exe", "gpj.exe"),
        ("", "without a name"),
        ("/", "without a name"),
        ("x" * 500, "x" * 120),
    ],
)
def test_a_name_is_only_ever_text_to_show(given: str, shown: str) -> None:
    assert display_name(given) == shown


def form(*, length: int | None, pieces: int) -> Request:
    """A form whose file has `pieces` times 64 KiB, and that may tell its length."""
    head = b'--x\r\ncontent-disposition: form-data; name="photo"; filename="a.jpg"\r\n\r\n'
    body = iter([head, *[bytes(1 << 16)] * pieces, b"\r\n--x--\r\n"])
    headers = [(b"content-type", b"multipart/form-data; boundary=x")]
    if length is not None:
        headers.append((b"content-length", str(length).encode()))

    async def receive() -> dict[str, object]:
        piece = next(body, None)
        return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

    return Request({"type": "http", "headers": headers, "app": None}, receive)


async def test_the_files_of_a_form_are_given() -> None:
    async with files_of(form(length=None, pieces=3), Limits()) as files:
        assert [(file.filename, file.size) for file in files] == [("a.jpg", 3 << 16)]


@pytest.mark.parametrize("length", [10 << 20, None], ids=["told", "untold"])
async def test_a_body_above_the_limit_is_refused(length: int | None) -> None:
    with pytest.raises(HTTPException, match="Send up to 1 MB at a time") as refusal:
        async with files_of(form(length=length, pieces=160), Limits(upload_bytes=1 << 20)):
            pass

    assert refusal.value.status_code == 413


async def test_more_files_than_the_limit_are_refused() -> None:
    with pytest.raises(HTTPException, match="Too many files"):
        async with files_of(form(length=None, pieces=1), Limits(photos=0)):
            pass
