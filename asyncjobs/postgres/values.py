"""What statements answer, as values; and where a claim is told to look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from asyncjobs.job import JobState
from asyncjobs.postgres.statements import Row

Stretches = tuple[list[str], list[int], list[str], list[UUID], list[int]]
"""Where a claim looks: queues, and in each from which priority, promise and id up to which priority."""
WHOLE: Stretches = ([], [], [], [], [])
"""No stretches: queues are walked from their beginnings."""


class Poll(NamedTuple):
    """What the safety poll found."""

    ready_in: list[str]
    due_in: float | None  # seconds
    others_run: bool
    we_run: bool
    migration: str | None  # the newest that was applied


class Choice(NamedTuple):
    """How a claim came to what it brought."""

    saw: int  # candidates
    walked: float  # seconds that it took to choose
    rows: Sequence[Row]  # of what it brought, with queue and priority


class Survey(NamedTuple):
    """Where the first job that we could run stands: promise and id, by queue and priority."""

    places: dict[str, dict[int, tuple[str, UUID]]]
    recent: str  # the latest promise that a place may have
    walked: float  # seconds that it took


class Promoted(NamedTuple):
    """What was due and is ready now."""

    number: int
    queues: list[str]
    saw: int  # due, with those that somebody held
    due_in: float | None  # seconds until the next
    reached: str  # the moment before which nothing is left, but what commits late
    walked: float  # seconds that it took


class Recorded(NamedTuple):
    """What became of one outcome: 'recorded', 'locked' or 'lost'."""

    answer: str
    state: str | None = None  # where it is now, if not where it was said to go


class Beat(NamedTuple):
    """One job that Postgres thinks is ours."""

    id: UUID
    fence: int
    cancel_asked: bool


class Silent(NamedTuple):
    """A process whose lock nobody holds; `is_leased`: only proof of its death counts."""

    id: int
    generation: int | None
    machine: str | None
    pid: int | None
    pid_started: int | None
    name: str | None
    runs_jobs: bool
    is_leased: bool
    of_an_earlier_life: bool
    life_age: float  # seconds


class Taken(NamedTuple):
    """A job that was rescued; `state` is where it is now."""

    id: UUID
    task: str
    queue: str
    state: str


class Ending(NamedTuple):
    """Where a job stands, and how it ended if it has."""

    state: JobState
    task: str
    result: str | None
    error: str | None
    traceback: str | None


class Home(NamedTuple):
    """Whether this is the database that its jobs belong to, see home.sql."""

    is_noted: bool
    is_here: bool
    is_upgraded: bool
    has_jobs: bool
    noted_at: datetime | None

    @property
    def is_elsewhere(self) -> bool:
        """Whether this is a copy, with jobs that belong to another database."""
        return self.is_noted and self.has_jobs and not self.is_here and not self.is_upgraded
