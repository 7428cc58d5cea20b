"""Files as they come from phones, cameras and accidents: made with Pillow, nothing is checked in."""

from __future__ import annotations

import io
import random
import zipfile
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFilter

if TYPE_CHECKING:
    from collections.abc import Mapping

RED, GREEN = (200, 40, 40), (40, 160, 60)
ORIENTATION = 0x0112


def picture(width: int = 640, height: int = 480, mode: str = "RGB") -> Image.Image:
    """Red above, green below: enough to see which side is up."""
    image = Image.new("RGB", (width, height), GREEN)
    ImageDraw.Draw(image).rectangle((0, 0, width, height // 2), fill=RED)
    return image.convert(mode)


def landscape(seed: int, width: int = 1600, height: int = 1200) -> Image.Image:
    """A sky, a sun and some hills, each seed its own: for pages that people look at."""
    dice = random.Random(seed)
    sky, low = ([dice.randint(*span) for span in spans] for spans in SKIES[seed % len(SKIES)])
    small = Image.new("RGB", (1, 64))
    for y in range(64):
        small.putpixel((0, y), tuple(a + (b - a) * y // 63 for a, b in zip(sky, low, strict=True)))
    image = small.resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    sun, x, y = width // dice.randint(12, 20), dice.randint(width // 6, width), height // 3
    draw.ellipse((x - sun, y - sun, x + sun, y + sun), fill=(255, 236, 200))
    image = image.filter(ImageFilter.GaussianBlur(width / 500))
    for depth in range(4):
        shade = tuple(part * (3 - depth) // 5 for part in low)
        ImageDraw.Draw(image).polygon(ridge(dice, width, height, depth), fill=shade)
    return image


SKIES = (
    (((40, 90), (100, 150), (170, 220)), ((220, 250), (190, 220), (160, 190))),
    (((60, 100), (40, 70), (100, 140)), ((240, 255), (140, 170), (90, 130))),
    (((120, 160), (180, 210), (220, 240)), ((150, 190), (200, 220), (190, 210))),
    (((20, 40), (30, 50), (60, 90)), ((120, 160), (110, 140), (160, 190))),
)


def ridge(dice: random.Random, width: int, height: int, depth: int) -> list[tuple[int, int]]:
    base = height * (50 + 12 * depth) // 100
    step, wobble = width // 14, height // 14
    tops = [(x, base + dice.randint(-wobble, wobble)) for x in range(0, width + 2 * step, step)]
    return [(0, height), *tops, (width, height)]


def jpeg(image: Image.Image | None = None, orientation: int = 1, quality: int = 85) -> bytes:
    image = image or picture()
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return saved(image, "JPEG", exif=exif, quality=quality)


def png(image: Image.Image | None = None) -> bytes:
    return saved(image or picture(), "PNG", compress_level=1)


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def from_a_phone(megapixels: int = 12, orientation: int = 6) -> bytes:
    """A JPEG 4:3, held upright: stored lying on its side, with some grain so that it weighs something."""
    width = int((megapixels * 1e6 * 4 / 3) ** 0.5)
    scene = landscape(megapixels, 800, 600).resize((width, width * 3 // 4))
    return jpeg(scene, orientation)


def cut_in_half(file: bytes) -> bytes:
    return file[: len(file) // 2]


def zipped(files: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, content in files.items():
            writer.writestr(name, content)
    return archive.getvalue()
