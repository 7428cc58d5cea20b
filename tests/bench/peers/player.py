"""What a player can do, and the sizes that all measures share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

WARM = 20  # jobs that do not count: connections are opened and statements prepared on the way
FEW, MANY = 10, 100  # slots
CALLERS = 50
PATIENCE = 30.0  # seconds for a job that does not come

Body = Callable[[str], Awaitable[None]]
Samples = list[float]


class CannotError(Exception):
    """The player has no way to do this; the words say why."""


class Sender(Protocol):
    """Stores jobs that carry a text, empty or not; each is durable when its call returns."""

    async def one(self, payload: str) -> None:
        """Store one."""

    async def many(self, payloads: Sequence[str]) -> None:
        """Store many, as it is done best."""

    async def later(self, payload: str, at: float) -> None:
        """Store one that is due at this moment of the wall clock."""


class Player(Protocol):
    """A way to run jobs."""

    async def prepare(self) -> None:
        """Make the tables, in a database that has none."""

    def running(self, slots: int, body: Body) -> AbstractAsyncContextManager[None]:
        """Run jobs with that body, so many at a time, until left."""

    def sending(self, connections: int | None) -> AbstractAsyncContextManager[Sender]:
        """Be ready to store jobs, through so many connections; None for as many as is usual."""

    def beside(
        self, connections: int, insert: str
    ) -> AbstractAsyncContextManager[list[Callable[[], Awaitable[None]]]]:
        """Open callers' connections; each function makes one transaction: that insert, and a job."""
