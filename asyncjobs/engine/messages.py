"""
What a process and those of its pool write to each other: values of these classes, pickled, each behind its length.

Both ends are ours and of one version. Of the user's nothing is pickled but the exceptions that a function
raised: arguments and results travel as the JSON that Postgres holds.
"""

from __future__ import annotations

import pickle
import struct
from dataclasses import dataclass, field
from uuid import UUID

from asyncjobs.job import Cancel, Outcome, Snooze
from asyncjobs.place import Place

LENGTH = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class Call:
    """Run this function with these arguments (JSON), as this job."""

    place: Place
    task: str
    secret: frozenset[str]
    is_sealed: bool
    arguments: str = field(repr=False)
    id: UUID
    queue: str
    attempt: int
    fence: int
    ends_in: float | None  # seconds


@dataclass(frozen=True, slots=True)
class Stop:
    """The job is to stop: who has not answered soon is killed."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The function is about to be called: from now on a death is the job's own."""


@dataclass(frozen=True, slots=True)
class Reported:
    """How far the job is."""

    fraction: float
    note: str


@dataclass(frozen=True, slots=True)
class Returned:
    """The function returned this, as JSON."""

    result: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ended:
    """The function returned an outcome; or another attempt would not change what went wrong."""

    outcome: Outcome | Snooze | Cancel


@dataclass(frozen=True, slots=True)
class Raised:
    """The function raised this: the exception as well as it travels, and how it is told, without secrets."""

    error: bytes | None = field(repr=False)
    kind: str
    line: str
    whole: str


Message = Call | Stop | Begun | Reported | Returned | Ended | Raised


def sealed(message: Message) -> bytes:
    """Make a message ready to be sent."""
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(data)) + data


def opened(data: bytes) -> Message:
    """Read what came after the length."""
    message: Message = pickle.loads(data)  # noqa: S301
    return message
