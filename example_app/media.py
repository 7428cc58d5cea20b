"""Where the files lie: on disk, under names that are ours alone."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asyncjobs import embedded

if TYPE_CHECKING:
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Media:
    """
    A directory with the originals and the sizes that were made of them.

    A path is made of a photo's id and nothing else: what a visitor's machine called the file is text to
    show, never a place to write to. All processes that run our jobs must see the same directory.
    """

    root: Path

    def original(self, photo_id: UUID) -> Path:
        return self.root / "originals" / photo_id.hex

    def sizes(self, photo_id: UUID) -> Path:
        return self.root / "sizes" / photo_id.hex

    def size(self, photo_id: UUID, pixels: int) -> Path:
        return self.sizes(photo_id) / f"{pixels}.webp"

    def prepare(self) -> None:
        for name in ("originals", "sizes"):
            (self.root / name).mkdir(parents=True, exist_ok=True)

    def forget_original(self, photo_id: UUID) -> None:
        self.original(photo_id).unlink(missing_ok=True)

    def forget(self, photo_id: UUID) -> None:
        self.forget_original(photo_id)
        shutil.rmtree(self.sizes(photo_id), ignore_errors=True)


def media_from_environment() -> Media:
    """PHOTO_DESK_MEDIA, or a directory beside the embedded Postgres of this project."""
    given = os.environ.get("PHOTO_DESK_MEDIA")
    return Media(Path(given) if given else embedded.default_home() / "photos")
