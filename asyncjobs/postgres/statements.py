"""SQL by name: one statement a file, loaded once, in the schema that was asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

Row = Mapping[str, Any]

_IN_SCHEMA = re.compile(r"\basyncjobs(?=\.[%a-z_]|;)")
_INTO_ARCHIVE = re.compile(r"(insert into \S+\.archive)$", re.MULTILINE)


class Statements:
    """
    The statements of a package's `sql` folder: `statements["claim"]` is the text of `claim.sql`.

    The files name the schema `asyncjobs`, so that each runs as it stands in psql; another schema is
    put in its place here, once.
    """

    def __init__(self, package: str, schema: str, folder: str = "sql") -> None:
        found = sorted(
            (
                entry
                for entry in files(package).joinpath(folder).iterdir()
                if entry.name.endswith(".sql")
            ),
            key=lambda entry: entry.name,
        )
        self._texts = {
            entry.name.removesuffix(".sql"): in_schema(entry.read_text(encoding="utf-8"), schema)
            for entry in found
        }

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)


def in_schema(text: str, schema: str) -> str:
    """Put `schema` in the place of the schema asyncjobs, in names and in the channel's name."""
    if schema == "asyncjobs":
        return text
    quoted = '"' + schema.replace('"', '""') + '"'
    literal = "'" + schema.replace("'", "''") + "'"
    return _IN_SCHEMA.sub(lambda _: quoted, text).replace("'asyncjobs'", literal)


def into_spill(text: str) -> str:
    """Make a statement that archives write to the spill, for a row whose day is missing."""
    return _INTO_ARCHIVE.sub(r"\1_spill", text)
