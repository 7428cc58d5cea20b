"""
A stand-in for a captioning service somewhere on the internet.

Nothing leaves this machine and no model is asked: it looks at the colours, and it is made to fail, for
that is what there is to see here: every first question about a picture, and a third of the others.
"""

from __future__ import annotations

import colorsys
import random
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

HUES = ("red", "orange", "yellow", "green", "teal", "blue", "violet", "pink")


class ServiceDown(Exception):
    def __init__(self) -> None:
        super().__init__("503 from the pretended caption service: try again later.")


async def ask_for_caption(thumbnail: Path, *, attempt: int) -> str:
    """Describe a picture in a few words; raises ServiceDown on every first attempt, and some others."""
    await anyio.sleep(random.uniform(0.1, 0.4))
    if attempt == 1 or random.random() < 0.3:
        raise ServiceDown
    return await to_thread.run_sync(describe, thumbnail)


def describe(thumbnail: Path) -> str:
    with Image.open(thumbnail) as picture:
        shape = shape_of(*picture.size)
        red, green, blue = picture.convert("RGB").resize((1, 1)).tobytes()
    hue, lightness, saturation = colorsys.rgb_to_hls(red / 255, green / 255, blue / 255)
    light = "dark" if lightness < 0.35 else "bright" if lightness > 0.65 else "soft"
    colour = "grey" if saturation < 0.12 else HUES[round(hue * len(HUES)) % len(HUES)]
    return f"A {shape} picture, {light}, mostly {colour}"


def shape_of(width: int, height: int) -> str:
    if width > 1.1 * height:
        return "wide"
    return "tall" if height > 1.1 * width else "square"
