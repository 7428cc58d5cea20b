"""
What happens to the pixels: one picture in, three sizes out.

No jobs, no database and no web in here, so that it can be read, tested and replaced by itself.
"""

from __future__ import annotations

import os
import struct
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Report = Callable[[float, str], None]

SIZES = (1600, 800, 320)  # the longest side; largest first, each is made from the one before
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF")
MOST_PIXELS = 120_000_000  # decoded, that is 360 MB; a phone's 108 megapixels fit
APPLE_BRANDS = (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1")


class UnreadablePicture(Exception):
    """No number of attempts will make a picture of this file; the words say why."""


class EmptyFile(UnreadablePicture):
    def __init__(self) -> None:
        super().__init__("The file is empty.")


class NotAPicture(UnreadablePicture):
    def __init__(self) -> None:
        super().__init__(
            "This is not a picture, whatever its name says. JPEG, PNG, WebP, GIF and TIFF work."
        )


class ApplePicture(UnreadablePicture):
    def __init__(self) -> None:
        super().__init__("This is a HEIC picture. Export it as JPEG and send it again.")


class Damaged(UnreadablePicture):
    def __init__(self, complaint: str) -> None:
        self.complaint = complaint
        super().__init__(f"The picture is damaged, or was cut off on its way: {complaint}.")


class TooManyPixels(UnreadablePicture):
    def __init__(self) -> None:
        super().__init__(f"The picture has more than {MOST_PIXELS // 1_000_000} megapixels.")


class Dimensions(NamedTuple):
    width: int
    height: int


def make_sizes(original: Path, directory: Path, report: Report) -> Dimensions:
    """
    Write the picture into `directory` as 1600.webp, 800.webp and 320.webp, upright, never enlarged.

    Doing it again replaces each file in one step, so nobody ever sees half of one. Returns the
    dimensions of the upright original. Raises UnreadablePicture.
    """
    report(0.0, "decoding")
    picture, dimensions = read(original)
    directory.mkdir(parents=True, exist_ok=True)
    for done, size in enumerate(SIZES):
        report(0.4 + 0.2 * done, f"{size} px")
        picture.thumbnail((size, size), Image.Resampling.LANCZOS)
        save(picture, directory / f"{size}.webp")
    report(1.0, "done")
    return dimensions


def read(original: Path) -> tuple[Image.Image, Dimensions]:
    """Decode a picture, upright and in colour, at least as large as we need it."""
    with complaints_of(original), Image.open(original, formats=FORMATS) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise TooManyPixels
        width, height = picture.size
        shrink_while_decoding(picture)
        if held_sideways(picture):
            width, height = height, width
        return in_colour(ImageOps.exif_transpose(picture)), Dimensions(width, height)


@contextmanager
def complaints_of(original: Path) -> Iterator[None]:
    """Say in our own words what Pillow finds wrong with a file."""
    with original.open("rb") as file:
        header = file.read(16)
    if not header:
        raise EmptyFile
    try:
        yield
    except UnidentifiedImageError:
        raise ApplePicture if header[4:12] in APPLE_BRANDS else NotAPicture from None
    except Image.DecompressionBombError:
        raise TooManyPixels from None
    except OSError as error:
        if error.errno is not None:  # the disk's fault, not the picture's: worth another attempt
            raise
        raise Damaged(str(error)) from error
    except (SyntaxError, ValueError, EOFError, struct.error) as error:
        raise Damaged(str(error)) from error


def shrink_while_decoding(picture: Image.Image) -> None:
    """
    Decode of a JPEG only as much as we need: a half, a quarter or an eighth of each block.

    Other formats take no notice.
    """
    scale = max(picture.size) / SIZES[0]
    if scale > 1:
        picture.draft(None, (int(picture.width / scale), int(picture.height / scale)))


def held_sideways(picture: Image.Image) -> bool:
    """Cameras store what the sensor saw, and a note on how they were held: 5 to 8 is on the side."""
    try:
        return picture.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
    except (SyntaxError, ValueError, struct.error):
        picture.load()  # the note is broken; are the pixels?
        return False


def in_colour(picture: Image.Image) -> Image.Image:
    """RGB, or RGBA where something shows through: WebP knows no other."""
    if picture.mode not in ("RGB", "RGBA", "P"):
        picture.info.pop("icc_profile", None)  # it tells what grey or ink means, not our RGB
    if picture.mode.startswith("I;16"):  # converting would cut 16 bits of grey off, not scale them
        picture = picture.point(lambda grey: grey / 256).convert("L")
    return picture.convert("RGBA" if picture.has_transparency_data else "RGB")


def save(picture: Image.Image, path: Path) -> None:
    """
    Write it as a whole or not at all.

    The meaning of its colours goes along; where it was taken and with what (EXIF) stays behind.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(descriptor, "wb") as part:
        profile = picture.info.get("icc_profile")
        picture.save(part, "WEBP", quality=80, method=3, icc_profile=profile)
    Path(name).replace(path)
