"""Pixels: what cameras, phones and accidents leave in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from PIL import Image

from example_app import pictures
from tests.example_app import cameras

if TYPE_CHECKING:
    from pathlib import Path


def sized(tmp_path: Path, file: bytes) -> pictures.Dimensions:
    original = tmp_path / "original"
    original.write_bytes(file)
    return pictures.make_sizes(original, tmp_path, report=lambda fraction, note: None)


def opened(tmp_path: Path, size: int) -> Image.Image:
    with Image.open(tmp_path / f"{size}.webp") as image:
        image.load()
        return image


def is_about(pixel: object, colour: tuple[int, int, int]) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(a - b) < 30 for a, b in zip(pixel[:3], colour, strict=True))


def test_a_photo_gets_three_sizes_and_keeps_its_shape(tmp_path: Path) -> None:
    dimensions = sized(tmp_path, cameras.jpeg(cameras.picture(4000, 3000)))

    assert dimensions == (4000, 3000)
    assert [opened(tmp_path, size).size for size in pictures.SIZES] == [
        (1600, 1200),
        (800, 600),
        (320, 240),
    ]


def test_a_small_photo_is_not_enlarged(tmp_path: Path) -> None:
    sized(tmp_path, cameras.jpeg(cameras.picture(500, 400)))

    assert opened(tmp_path, 1600).size == (500, 400)
    assert opened(tmp_path, 320).size == (320, 256)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_stands_upright_however_the_phone_was_held(
    tmp_path: Path, orientation: int
) -> None:
    wanted = cameras.picture(400, 600)
    as_the_sensor_saw_it = wanted.transpose(UNDONE[orientation]) if orientation > 1 else wanted

    dimensions = sized(tmp_path, cameras.jpeg(as_the_sensor_saw_it, orientation))

    upright = opened(tmp_path, 320)
    assert dimensions == (400, 600)
    assert upright.height > upright.width
    assert is_about(upright.getpixel((upright.width // 2, 10)), cameras.RED)
    assert is_about(upright.getpixel((upright.width // 2, upright.height - 10)), cameras.GREEN)


UNDONE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def test_a_twelve_megapixel_photo_of_a_phone_loses_its_exif_but_not_its_side(
    tmp_path: Path,
) -> None:
    dimensions = sized(tmp_path, cameras.from_a_phone(megapixels=12, orientation=6))

    large = opened(tmp_path, 1600)
    assert dimensions == (3000, 4000)
    assert large.size == (1200, 1600)
    assert not large.getexif()


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_hundred_and_eight_megapixels_fit(tmp_path: Path) -> None:
    assert sized(tmp_path, cameras.jpeg(cameras.picture(12000, 9000))) == (12000, 9000)


def test_what_shows_through_still_does(tmp_path: Path) -> None:
    glass = Image.new("RGBA", (640, 480), (0, 0, 255, 0))

    sized(tmp_path, cameras.png(glass))

    assert opened(tmp_path, 320).getpixel((5, 5))[3] == 0  # type: ignore[index]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_kind_of_png_is_read(tmp_path: Path, mode: str) -> None:
    grey = Image.new("L", (64, 64), 128)
    image = grey.convert("I").point(lambda v: v * 256).convert("I;16") if mode == "I;16" else grey

    sized(tmp_path, cameras.png(image if mode == "I;16" else image.convert(mode)))

    pixel = opened(tmp_path, 320).getpixel((3, 3))
    assert mode == "1" or is_about(pixel, (128, 128, 128))


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "GIF", "TIFF", "PNG"])
def test_every_promised_format_is_read(tmp_path: Path, format: str) -> None:
    assert sized(tmp_path, cameras.saved(cameras.picture(), format)) == (640, 480)


def test_a_jpeg_for_print_is_read(tmp_path: Path) -> None:
    sized(tmp_path, cameras.saved(cameras.picture(mode="CMYK"), "JPEG"))

    assert is_about(opened(tmp_path, 320).getpixel((5, 5)), cameras.RED)


def test_a_picture_is_not_refused_for_a_broken_exif(tmp_path: Path) -> None:
    broken = cameras.saved(cameras.picture(), "JPEG", exif=b"Exif\0\0no such thing")

    assert sized(tmp_path, broken) == (640, 480)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", pictures.EmptyFile),
        (b"Dear diary, today I was renamed to .jpg", pictures.NotAPicture),
        (b"\0\0\0\x18ftypheic\0\0\0\0", pictures.ApplePicture),
        (cameras.cut_in_half(cameras.jpeg(cameras.landscape(1))), pictures.Damaged),
        (cameras.cut_in_half(cameras.png(cameras.landscape(1))), pictures.Damaged),
        (cameras.jpeg()[:200], pictures.UnreadablePicture),
        (cameras.png()[:60], pictures.Damaged),
    ],
    ids=["empty", "text", "heic", "half a jpeg", "half a png", "a jpeg's head", "a png's head"],
)
def test_a_bad_file_is_refused_with_its_reason(
    tmp_path: Path, file: bytes, reason: type[pictures.UnreadablePicture]
) -> None:
    with pytest.raises(reason):
        sized(tmp_path, file)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [11_500, 16_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    bomb = cameras.saved(Image.new("1", (side, side)), "PNG")

    with pytest.raises(pictures.TooManyPixels, match="megapixels"):
        sized(tmp_path, bomb)


def test_a_failing_disk_is_not_blamed_on_the_picture(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        pictures.make_sizes(tmp_path / "gone", tmp_path, report=lambda fraction, note: None)


def test_doing_it_twice_leaves_the_same_three_files(tmp_path: Path) -> None:
    sized(tmp_path, cameras.jpeg())
    sized(tmp_path, cameras.jpeg())

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "1600.webp",
        "320.webp",
        "800.webp",
        "original",
    ]


def test_progress_only_grows_and_ends_at_one(tmp_path: Path) -> None:
    told: list[float] = []
    original = tmp_path / "original"
    original.write_bytes(cameras.jpeg())

    pictures.make_sizes(original, tmp_path, report=lambda fraction, note: told.append(fraction))

    assert told == sorted(told)
    assert told[-1] == 1.0
