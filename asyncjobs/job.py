"""What a job is: its states, its outcomes, and what Postgres tells of it. Frozen values, no IO."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, cast
from uuid import UUID

from asyncjobs.errors import BadOption

_MOST = 1e15  # a number in a history that is no nonsense
_FIRST, _LAST = datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


class JobState(StrEnum):
    """Where a job stands. The first four are in the hot table, the last three in the archive."""

    HELD = "held"
    SCHEDULED = "scheduled"
    READY = "ready"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Whether the job has left the hot table for good."""
        return self in _FINAL


_FINAL = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


class Request(NamedTuple):
    """One job to be stored, with everything that the statement needs."""

    id: UUID
    task: str
    queue: str
    priority: int
    arguments: str
    run_at: datetime | None
    delay: float  # seconds, used when there is no run_at
    extra: str | None = (
        None  # JSON: what is kept beside the arguments, as what of them may be shown
    )

    def __repr__(self) -> str:
        return f"Request({self.id}, {self.task!r})"


class Stored(NamedTuple):
    """What became of a request: the row as it was born."""

    id: UUID
    state: str
    due_in: float  # seconds until it is due; not positive: it is
    fence: int


class Claimed(NamedTuple):
    """A job that is ours to run, under this fence."""

    id: UUID
    task: str
    queue: str
    attempt: int
    crashes: int
    fence: int
    arguments: str | None  # None: too large for the claim, to be fetched by the run
    age: float  # seconds since it was enqueued, on the server's clock

    def __repr__(self) -> str:
        return f"Claimed({self.id}, {self.task!r}, attempt={self.attempt}, fence={self.fence})"


@dataclass(frozen=True, slots=True)
class Snooze:
    """Return this from a task to be run again after `delay`; it costs no attempt."""

    delay: timedelta

    def __post_init__(self) -> None:
        if not isinstance(self.delay, timedelta) or self.delay < timedelta(0):
            raise BadOption("Snooze(delay)", "a timedelta that is not negative", self.delay)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Return this from a task to end its job as cancelled, with a reason to read."""

    reason: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.reason, str):
            raise BadOption("Cancel(reason)", "a string", self.reason)


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    How a run ended, ready to be recorded.

    `state` is where the row goes: an end (succeeded, failed, cancelled), or back to ready or scheduled
    after `delay` seconds. `counts` says whether the attempt was the job's own and stays counted.
    `story` is the word under which an attempt that was not the last is remembered.
    """

    state: JobState
    story: str
    delay: float = 0.0
    counts: bool = True
    result: str | None = field(default=None, repr=False)
    error: str | None = None
    traceback: str | None = None


class Settled(NamedTuple):
    """An outcome on its way to Postgres."""

    id: UUID
    fence: int
    outcome: Outcome
    ran: float | None  # seconds
    keep_days: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a job, as remembered."""

    attempt: int
    outcome: str
    process: int | None
    started_at: datetime | None
    waited: float | None
    ran: float | None
    error: str | None = None
    traceback: str | None = None


def read_history(stored: str | None) -> tuple[Attempt, ...]:
    """Read the attempts that a row remembers, as far as they make sense: anybody may have edited it."""
    entries: object = json.loads(stored or "[]")
    if not isinstance(entries, list):
        return ()
    found = cast("list[object]", entries)
    return tuple(_attempt(cast("dict[str, Any]", each)) for each in found if isinstance(each, dict))


def _attempt(entry: Mapping[str, Any]) -> Attempt:
    process = _number(entry.get("process"))
    return Attempt(
        attempt=int(_number(entry.get("attempt")) or 0),
        outcome=str(entry.get("outcome")),
        process=None if process is None else int(process),
        started_at=_moment(entry.get("started_at")),
        waited=_number(entry.get("waited")),
        ran=_number(entry.get("ran")),
        error=_text(entry.get("error")),
        traceback=_text(entry.get("traceback")),
    )


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) < _MOST else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo and _FIRST < moment < _LAST else None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    A job as Postgres knew it at one moment.

    Times are aware datetimes of the server's clock; `ran` is in seconds. `history` holds every attempt
    that is remembered (the last twenty before the current one), oldest first.

    Arguments that are secret have a mask in their place, and what is sealed stays so: a snapshot is for
    looking. Its `repr` shows no values at all.
    """

    id: UUID
    task: str
    queue: str
    priority: int
    state: JobState
    run_at: datetime
    created_at: datetime
    attempt: int
    crashes: int
    claimed_by: int | None
    claimed_at: datetime | None
    cancel_asked_at: datetime | None
    arguments: Mapping[str, Any] = field(repr=False)
    progress: float | None
    progress_note: str | None
    history: tuple[Attempt, ...]
    finished_at: datetime | None
    ran: float | None
    result: Any = field(repr=False)
    error: str | None
    traceback: str | None
