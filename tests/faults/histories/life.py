"""What is known of a job, from outside: what was asked, who ran it and when, and the row in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf
from typing import Any


@dataclass
class Numbness:
    """A time in which a process was frozen without its link, so that others could bury it."""

    since: float
    until: float = inf


@dataclass(eq=False)
class Process:
    """One life of an operating system process; times on the machine's monotonic clock."""

    name: str
    place: str  # which of the history's processes it is: A, B or C
    machine: str | None
    pid: int = 0
    application: str = ""  # under which its pool's sessions are seen
    up_at: float | None = None
    died_at: float | None = None
    code: int | None = None
    is_told_to_end: bool = False
    is_frozen: bool = False
    cut_off: list[float] = field(default_factory=list)  # when, for so long that others may bury it
    numb: list[Numbness] = field(default_factory=list)  # when it was so, and could not even notice
    silence: asyncio.Event = field(default_factory=asyncio.Event)  # all that it said has been heard

    @property
    def is_over(self) -> bool:
        return self.code is not None or self.died_at is not None

    @property
    def may_be_taken_for_dead(self) -> bool:
        """Whether others had a reason, ever, to take its jobs."""
        was_killed = self.code is not None and self.code < 0
        return was_killed or self.is_told_to_end or bool(self.cut_off or self.numb)


@dataclass(eq=False)
class Run:
    """One run of a job, as its function told of it."""

    id: str
    number: int
    job: str
    process: Process
    fence: int
    attempt: int
    act: str
    began: float
    ended: float | None = None
    how: str = "runs"

    @property
    def obeys(self) -> bool:
        """Whether it ends when it is cancelled."""
        return self.act not in ("ignore", "linger")

    def __str__(self) -> str:
        until = "…" if self.ended is None else f"{self.ended:.3f}"
        return (
            f"run {self.id} ({self.act}, attempt {self.attempt}, fence {self.fence}) of job {self.number}: "
            f"{self.began:.3f} to {until}, {self.how}"
        )


@dataclass(eq=False)
class Deed:
    """What somebody asked for, and what they learnt; `error`: they do not know whether it was done."""

    what: str
    by: str
    sent: float
    answered: float | None = None
    learnt: Any = None
    error: str | None = None
    is_unheard_of: bool = False

    @property
    def is_done(self) -> bool:
        return self.answered is not None and self.error is None and bool(self.learnt)

    @property
    def is_in_doubt(self) -> bool:
        return self.answered is None or self.error is not None

    @property
    def should_not_be_seen(self) -> bool:
        """Whether it ended in a way that no harm explains: nothing that is asked here is at fault itself."""
        return self.is_unheard_of or (self.error or "").startswith("Refused")

    def __str__(self) -> str:
        return f"{self.what} by {self.by}: {self.error or self.learnt}"


@dataclass(frozen=True)
class Claim:
    """One time that the job was somebody's, as its row remembers it."""

    attempt: int
    outcome: str
    process: int | None
    error: str | None


@dataclass(frozen=True)
class Row:
    """A row of the hot table, or of the archive."""

    id: str
    number: int
    state: str
    attempt: int
    crashes: int
    fence: int
    claimed_by: int | None
    claimed_at: datetime | None
    cancel_asked_at: datetime | None
    result: str | None
    error: str | None
    history: Sequence[Claim]

    @property
    def is_finished(self) -> bool:
        return self.state in ("succeeded", "failed", "cancelled")

    @property
    def claims(self) -> list[Claim]:
        """Every time that it was somebody's; the last of them in the row's own fields."""
        last = Claim(self.attempt, self.state, self.claimed_by, self.error)
        return [each for each in (*self.history, last) if each.process is not None]


@dataclass(eq=False)
class Life:
    """One job of the history, by the number in its arguments."""

    number: int
    task: str
    acts: Sequence[str]
    stored: Deed
    never: bool = False  # its transaction was rolled back
    id: str | None = None
    deeds: list[Deed] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    gates: set[str] = field(default_factory=set)  # runs that wait to be let go

    @property
    def act(self) -> str:
        """What its next run shall do."""
        return self.acts[len(self.runs)] if len(self.runs) < len(self.acts) else "return"

    def asked(self, what: str) -> Iterator[Deed]:
        return (deed for deed in self.deeds if deed.what == what)

    def was_asked(self, what: str) -> bool:
        return any(True for _ in self.asked(what))
