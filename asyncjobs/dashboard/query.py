"""What a page's address says: filters and the place in the list. Read from anybody, so believed in nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import urlencode
from uuid import UUID

from asyncjobs.job import JobState

LONGEST = 300  # characters of a task's or queue's name that a filter takes
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)

Kind = Literal["id", "moment", "number"]
Position = tuple[UUID | datetime | int, ...]
FORMS: Mapping[Kind, re.Pattern[str]] = {
    "id": re.compile(r"[0-9a-f]{32}"),
    "moment": re.compile(r"-?[0-9]{1,18}"),
    "number": re.compile(r"-?[0-9]{1,5}"),
}
JOB_ID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which jobs a list shows; it travels through every link and form of the dashboard."""

    state: JobState | None = None
    task: str | None = None
    queue: str | None = None

    @property
    def are_narrow(self) -> bool:
        """Whether rows have to be looked at to know if they belong."""
        return self.task is not None or self.queue is not None

    @property
    def none(self) -> Filters:
        return Filters()

    @property
    def wide(self) -> Filters:
        return Filters(self.state)

    def of_task(self, task: str) -> Filters:
        return Filters(task=task)

    def of_queue(self, queue: str) -> Filters:
        return replace(self, queue=queue)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        named = (
            ("state", self.state and self.state.value),
            ("task", self.task),
            ("queue", self.queue),
        )
        return [(name, value) for name, value in named if value is not None]


class UnknownState(LookupError):
    """The address names a state that no job can have."""


def read_filters(query: Mapping[str, str]) -> Filters:
    """Read the filters; a name that cannot be one is left out. Raises UnknownState."""
    state = query.get("state") or None
    if state is not None and state not in set(JobState):
        raise UnknownState(state)
    return Filters(
        JobState(state) if state else None, read_name(query, "task"), read_name(query, "queue")
    )


def read_name(query: Mapping[str, str], key: str) -> str | None:
    name = query.get(key, "")
    return name if is_storable(name) and 0 < len(name) <= LONGEST else None


def is_storable(text: str) -> bool:
    """Tell whether Postgres could hold `text` at all: no NUL, no lone surrogates."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def write_query(pairs: list[tuple[str, str]]) -> str:
    return "?" + urlencode(pairs) if pairs else ""


def find_id(text: str) -> UUID | None:
    """Find a job's id in whatever was pasted: an id, a line of a log, an address."""
    found = JOB_ID.search(text)
    return UUID(found[0]) if found else None


def read_position(text: str | None, key: tuple[Kind, ...]) -> Position | None:
    """Read a place in a list; None when it is not one of ours."""
    parts = text.split(".") if text else []
    if len(parts) != len(key) or not all(
        FORMS[kind].fullmatch(part) for kind, part in zip(key, parts, strict=True)
    ):
        return None
    try:
        return tuple(read_part(kind, part) for kind, part in zip(key, parts, strict=True))
    except (OverflowError, ValueError):
        return None


def read_part(kind: Kind, part: str) -> UUID | datetime | int:
    if kind == "id":
        return UUID(part)
    number = int(part)
    if kind == "moment":
        return EPOCH + timedelta(microseconds=number)
    if not -(2**15) <= number < 2**15:
        raise ValueError(part)
    return number


def write_position(position: Position) -> str:
    return ".".join(write_part(part) for part in position)


def write_part(part: UUID | datetime | int) -> str:
    if isinstance(part, UUID):
        return part.hex
    if isinstance(part, datetime):
        return str((part - EPOCH) // timedelta(microseconds=1))
    return str(part)
