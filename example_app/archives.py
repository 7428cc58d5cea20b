"""ZIPs of photos, as phones, Macs and strangers make them."""

from __future__ import annotations

import struct
import zlib
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIXES = {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".gif", ".tif", ".tiff", ".heic", ".heif"}
LONGEST_READ = 2 << 20  # a table of contents has some 150 bytes a file
NAME_IS_UTF8 = 0x800


class BadArchive(Exception):
    """A ZIP of which we take nothing; the words say why."""


class BadMember(Exception):
    """A file in a ZIP that cannot be unpacked; the words say why."""


class Member(NamedTuple):
    name: str
    info: ZipInfo


class Archive:
    """An opened ZIP: the photos in it, by their names, and what else there is."""

    def __init__(self, file: ZipFile) -> None:
        self._file = file
        members = [Member(name_of(info), info) for info in file.infolist() if not info.is_dir()]
        worth_a_word = [member for member in members if not is_junk(member.name)]
        self.photos = [member for member in worth_a_word if is_photo(member.name)]
        self.others = [member.name for member in worth_a_word if not is_photo(member.name)]

    @contextmanager
    def open(self, member: Member) -> Iterator[IO[bytes]]:
        """Read a file in pieces; raises BadMember, here or while it is read."""
        if member.info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise BadMember("It is packed in a way that cannot be unpacked in small pieces.")
        try:
            with self._file.open(member.info) as content:
                yield content
        except (BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error) as error:
            raise BadMember(
                f"It cannot be unpacked: {str(error) or 'it ends too early'}."
            ) from error


@contextmanager
def opened(file: IO[bytes], most_photos: int, most_bytes: int) -> Iterator[Archive]:
    """
    Open a ZIP that unpacks to a bounded number of photos and bytes; raises BadArchive.

    The sizes that a ZIP tells of itself can be trusted as bounds: zipfile never unpacks more.
    """
    try:
        unchecked = ZipFile(SmallReads(file))
    except (BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise BadArchive(f"This ZIP cannot be read: {error}.") from error
    with unchecked:
        archive = Archive(unchecked)
        check(archive, most_photos, most_bytes)
        yield archive


def check(archive: Archive, most_photos: int, most_bytes: int) -> None:
    if not archive.photos:
        raise BadArchive("There is no photo in this ZIP.")
    if len(archive.photos) > most_photos:
        raise BadArchive(
            f"There are {len(archive.photos):,} photos in this ZIP, we take {most_photos:,}."
        )
    unpacked = sum(member.info.file_size for member in archive.photos)
    if unpacked > most_bytes:
        raise BadArchive(
            f"This ZIP unpacks to {unpacked >> 20:,} MB, we take {most_bytes >> 20:,} MB."
        )


class SmallReads:
    """
    A file that refuses to be read in large pieces.

    zipfile reads the table of contents in one piece, however long, and makes an object for each line of
    it: a table of a gigabyte would be the end of the process.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(min(size, LONGEST_READ + 1) if size >= 0 else LONGEST_READ + 1)
        if len(piece) > LONGEST_READ:
            raise BadArchive("The table of contents of this ZIP is too long.")
        return piece


def is_zip(file: IO[bytes]) -> bool:
    """Look at the first bytes: a photo with a ZIP at its end is a photo."""
    head = file.read(4)
    file.seek(0)
    return head in (b"PK\x03\x04", b"PK\x05\x06")


def is_photo(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def is_junk(name: str) -> bool:
    """What a Mac or Windows puts beside each photo."""
    path = PurePosixPath(name)
    return "__MACOSX" in path.parts or path.name.startswith(".") or path.name == "Thumbs.db"


def name_of(info: ZipInfo) -> str:
    """Macs write UTF-8 and do not say so; then zipfile reads it as the IBM PC would have."""
    if info.flag_bits & NAME_IS_UTF8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode()
    except UnicodeError:
        return info.filename
