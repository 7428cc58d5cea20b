"""What comes in: a form with files, some of them ZIPs, all of it bounded."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, NamedTuple
from uuid import UUID, uuid4

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from example_app import archives

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from starlette.types import Message, Receive

    from example_app.media import Media

PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    photo_bytes: int = 60 << 20
    upload_bytes: int = 2 << 30  # of a request, and of what a ZIP unpacks to
    photos: int = 1000  # in a request, and in a ZIP


class Arrival(NamedTuple):
    """A file that lies on our disk as original `id`; nobody knows of it yet."""

    id: UUID
    name: str
    size: int


class Refusal(NamedTuple):
    name: str
    reason: str


@asynccontextmanager
async def files_of(request: Request, limits: Limits) -> AsyncIterator[list[UploadFile]]:
    """
    Give the files of a form, spooled to the disk.

    Raises HTTPException 413 for a body that is too large, if it says so before the first byte is read;
    400 for one that is no form or has too many files.
    """
    check_length(int(request.headers.get("content-length", 0)), limits)
    body = Request(request.scope, bounded(request.receive, limits))
    async with body.form(max_files=limits.photos, max_fields=10) as form:
        files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
        yield [file for file in files if file.filename]


def bounded(receive: Receive, limits: Limits) -> Receive:
    """Read a body that does not tell its length only as far as we would have let it."""
    received = 0

    async def receive_bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        check_length(received, limits)
        return message

    return receive_bounded


def check_length(length: int, limits: Limits) -> None:
    if length > limits.upload_bytes:
        raise HTTPException(413, f"Send up to {megabytes(limits.upload_bytes)} at a time.")


class Intake:
    """One upload: puts its photos on the disk, and remembers what it did not take and why."""

    def __init__(self, media: Media, limits: Limits) -> None:
        self.media = media
        self.limits = limits
        self.refused: list[Refusal] = []

    def take(self, name: str | None, file: IO[bytes]) -> list[Arrival]:
        """Copy a photo, or the photos in a ZIP. It blocks: call it in a thread."""
        try:
            if archives.is_zip(file):
                return list(self._unpack(file))
            return [self._copy(name, file)]
        except (archives.BadArchive, TooLarge) as error:
            self.refused.append(Refusal(display_name(name), str(error)))
            return []

    def _unpack(self, file: IO[bytes]) -> Iterator[Arrival]:
        with archives.opened(file, self.limits.photos, self.limits.upload_bytes) as archive:
            for member in archive.photos:
                try:
                    with archive.open(member) as content:
                        yield self._copy(member.name, content)
                except (archives.BadMember, TooLarge) as error:
                    self.refused.append(Refusal(display_name(member.name), str(error)))
            for name in archive.others:
                self.refused.append(Refusal(display_name(name), "Not a photo, by its name."))

    def _copy(self, name: str | None, file: IO[bytes]) -> Arrival:
        photo_id = uuid4()
        size = copy(file, self.media.original(photo_id), self.limits.photo_bytes)
        return Arrival(photo_id, display_name(name), size)


class TooLarge(Exception):
    def __init__(self, limit: int) -> None:
        super().__init__(f"The photo has more than {megabytes(limit)}.")


def copy(source: IO[bytes], target: Path, limit: int) -> int:
    """Copy to a new file and count. Raises TooLarge at the limit; then there is no file."""
    try:
        with target.open("xb") as original:
            return sum(map(original.write, pieces(source, limit)))
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def pieces(source: IO[bytes], limit: int) -> Iterator[bytes]:
    size = 0
    while piece := source.read(PIECE):
        size += len(piece)
        if size > limit:
            raise TooLarge(limit)
        yield piece


def display_name(name: str | None) -> str:
    """What to call it on the page: no directories, nothing that does not print, not endless."""
    last = (name or "").replace("\\", "/").rpartition("/")[2]
    printable = "".join(letter if letter.isprintable() else " " for letter in last)
    return " ".join(printable.split())[:120] or "without a name"


def megabytes(size: int) -> str:
    return f"{size >> 20:,} MB"
