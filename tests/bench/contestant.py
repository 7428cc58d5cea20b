"""What a contestant must be able to do, and the connections that they use for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import asyncpg

WARM = (
    20  # jobs whose delays do not count: connections are opened and statements prepared on the way
)


class Contestant(Protocol):
    """
    A way to run jobs on Postgres.

    Each method begins with empty tables. Rates are jobs a second; delays are seconds, one a job.
    """

    name: str
    dsn: str

    async def prepare(self) -> None:
        """Make the tables, in a database that has none."""

    async def clear(self) -> None:
        """Empty them."""

    async def left(self) -> int:
        """Count the stored jobs that nobody has finished."""

    async def drain(self, count: int, slots: int) -> float:
        """Run so many stored no-op jobs, with so many slots, until the last end is recorded."""

    async def enqueue_alone(self, count: int) -> float:
        """Store jobs one after the other, each durable before the next; nobody runs them."""

    async def enqueue_together(self, count: int, callers: int) -> float:
        """Store jobs from so many concurrent callers, each durable when its call returns."""

    async def delays_here(self, count: int) -> list[float]:
        """Enqueue one job at a time where it runs: from the call until its function starts."""

    async def send(self, count: int, pause: float) -> None:
        """Enqueue jobs that carry the moment of their sending, `pause` seconds apart."""

    async def work(self, up: Callable[[], None], tell: Callable[[float], None]) -> None:
        """Run what another process sends, until cancelled; tell how long each took to start."""


@asynccontextmanager
async def connections(dsn: str, count: int) -> AsyncIterator[list[asyncpg.Connection]]:
    """Open so many connections."""
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(count):
            connection = await asyncpg.connect(dsn)
            stack.push_async_callback(connection.close)
            opened.append(connection)
        yield opened


async def ask(dsn: str, sql: str, *args: object) -> Any:
    """Send one statement on a connection of its own; gives the first value."""
    async with connections(dsn, 1) as [connection]:
        return await connection.fetchval(sql, *args)
