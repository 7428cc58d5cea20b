"""
What ties a process to Postgres, and tells others that it lives.

There are two kinds. A *link* (`link.py`) is a kept session: the process lives for as long as Postgres holds
the session's lock. A *lease* (`lease.py`) is a promise with an end, renewed in time: for those who can have
no session of their own. The engine takes either, and asks of them what is written here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from asyncjobs.errors import Unavailable
from asyncjobs.postgres.statements import Row


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process says it is."""

    name: str
    kind: str
    machine: str | None
    pid: int
    pid_started: int | None
    slots: int
    queues: list[str] | None
    tasks: list[str]
    version: str

    def in_sql_order(self) -> list[object]:
        """Give it in the order that register.sql takes it."""
        return [
            self.name, self.kind, self.machine, self.pid, self.pid_started,
            self.slots, self.queues, self.tasks, self.version,
        ]  # fmt: skip


class Follower(Protocol):
    """Who lives by the bond."""

    async def on_up(self, *, reborn: bool) -> None:
        """The bond stands, or stands again; `reborn`: as another process than before."""

    async def on_lost(self, error: Unavailable) -> None:
        """It is gone; a new one is being made."""

    async def on_refused(self, error: Unavailable) -> None:
        """It could not be made again, this time."""

    def on_message(self, payload: str) -> None:
        """Another process said something."""

    def holds_bodies(self) -> bool:
        """Whether something runs for which the bond must speak."""
        ...


class Bond(Protocol):
    """One process's tie to Postgres: a link or a lease. Its statements never overlap."""

    @property
    def process_id(self) -> int | None:
        """Our row in `process`; None before the bond stood for the first time."""
        ...

    @property
    def generation(self) -> int:
        """Which life of the bond this is, as our row counts them."""
        ...

    @property
    def is_up(self) -> bool:
        """Whether it stands, so that we may claim."""
        ...

    @property
    def answered_at(self) -> float:
        """`time.monotonic()` when the last answered statement was *sent*."""
        ...

    @property
    def keeps_session(self) -> bool:
        """Whether a session is behind it: without one no NOTIFY arrives, and nothing is born running here."""
        ...

    async def fetch(self, sql: str, *args: object) -> Sequence[Row]:
        """Send one statement; raises Unreachable, Refused, NotNow, InDoubt."""
        ...

    async def claim(self, sql: str, *args: object) -> Sequence[Row]:
        """Send one statement that makes rows ours: only while the bond stands. Raises as `fetch`."""
        ...

    async def run(self) -> None:
        """Keep it for as long as this is not cancelled; started by the executor."""

    async def leave(self) -> None:
        """End in good order: say that the process has ended."""

    def outlive_executor(self) -> None:
        """Speak for what cannot be stopped, to the end of this operating system process."""

    def let_go(self) -> None:
        """What outlived the executor has ended: so does the bond."""
