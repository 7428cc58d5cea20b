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


@dataclass(frozen=True, slots=True)
class Blocked:
    """
    The event loop stood still for longer than `Jobs(blocked_after=…)`, and turns again.

    `by`: "job" (then the first four say which), "app" (a request handler, mostly), "asyncjobs", "collector"
    (Python's garbage collector), "threads" (the loop had nothing to do and no turn: other threads computed, or
    the machine had no time for this process), "many" (short things, and none of them for long), "unseen" (it was
    over before anybody could look, as C code kept the interpreter's lock).

    `line`: file, line and function, of the user's code where there was any; `inside`: what that had called.
    `seconds`: how long it lasted, to within a quarter of `blocked_after`; `computed`: for how many of these seconds the loop's
    thread computed. The rest it waited, as for a socket or a lock.
    """

    id: UUID | None
    task: str | None
    queue: str | None
    attempt: int | None
    by: str
    line: str | None
    inside: str | None
    seconds: float
    computed: float

    @property
    def who(self) -> str:
        """Who it was, in words."""
        where = f" at {self.line}" if self.line else ""
        through = f" (in {self.inside})" if self.inside else ""
        if self.id is not None:
            return f"job {self.id} of task {self.task}{where}{through}"
        return f"{_WHO.get(self.by, self.by)}{where}{through}"


_WHO = {
    "app": "the app's own code",
    "asyncjobs": "asyncjobs itself",
    "collector": "Python's garbage collector",
    "threads": "whatever computes in other threads, or a machine without time for this process",
    "many": "many short things together",
    "unseen": "C code that kept the interpreter's lock",
}

Event = Stored | Claimed | Started | Finished | Released | Rescued | Lost | Blocked
Hear = Callable[[Event], None]
