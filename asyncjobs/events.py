"""
What happens to jobs, told to whoever listens.

Events are emitted after Postgres has confirmed what they say, in the process that did it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from asyncjobs.job import JobState, Outcome


@dataclass(frozen=True, slots=True)
class Stored:
    """A job was enqueued by this process and is durable (in a caller's transaction: once it commits)."""

    id: UUID
    task: str
    queue: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job became ours."""

    id: UUID
    task: str
    queue: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Started:
    """Its function is about to be called."""

    id: UUID
    task: str
    queue: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Finished:
    """A run's outcome was recorded; `state` is where the job is now. `ran` is in seconds."""

    id: UUID
    task: str
    queue: str
    attempt: int
    state: JobState
    outcome: Outcome
    ran: float | None


@dataclass(frozen=True, slots=True)
class Released:
    """A job was given back unharmed, its attempt too."""

    id: UUID
    task: str
    queue: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rescued:
    """A dead process's job was taken from it; `state` is where it is now."""

    id: UUID
    task: str
    queue: str
    process: int
    state: JobState


@dataclass(frozen=True, slots=True)
class Lost:
    """A run of ours was no longer ours: its outcome was refused, or the run was cancelled for it."""

    id: UUID
    task: str
    queue: str
    attempt: int


Event = Stored | Claimed | Started | Finished | Released | Rescued | Lost
Hear = Callable[[Event], None]
