"""Who is measured, by what process it is spoken for, and the bench's own connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg

Kind = Literal["ours", "limit", "peer", "redis"]


@dataclass(frozen=True, slots=True)
class Contestant:
    """
    One that takes part.

    `command` starts a process that speaks for it (`peers/speaking.py`). `table` begins the names of the
    statements that empty its tables and count what nobody has finished; None: it is asked itself. `share`: of the
    jobs that others get, for who takes long.
    """

    name: str
    kind: Kind
    command: tuple[str, ...]
    table: str | None
    share: float = 1.0
    is_copy: bool = False  # its tables are another's, who makes them


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
