"""
One connection more, beside the pool and the link, for questions that must not wait behind what is asked about.

When somebody has locked a table, whatever we record or enqueue waits, and with it the pool. Its server gives up
early, so that no backend stays behind that waits for somebody who has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

import asyncpg

from asyncjobs.postgres.database import Database
from asyncjobs.postgres.failures import told_of_connecting
from asyncjobs.postgres.pooler import Between
from asyncjobs.postgres.session import SETTINGS, answer, settle_in
from asyncjobs.postgres.sockets import keep_alive
from asyncjobs.postgres.statements import Row

CONNECT_WITHIN = 3.0  # seconds
CLOSE_WITHIN = 1.0  # seconds

_SETTINGS = {
    **SETTINGS,
    "application_name": "asyncjobs check",
    "statement_timeout": "2500ms",
    "lock_timeout": "1s",
}


class Aside:
    """An open one."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def fetch(self, sql: str, *args: object, timeout: float) -> Sequence[Row]:
        """Send one statement; raises Unavailable."""
        return await answer(self._connection, sql, args, timeout)


@asynccontextmanager
async def aside(database: Database) -> AsyncGenerator[Aside]:
    """Open one to where the pool leads, not through a pooler that shares sessions; raises Unreachable."""
    connection: asyncpg.Connection | None = None
    try:
        async with asyncio.timeout(CONNECT_WITHIN):
            connection = await database.dial()
            keep_alive(connection)
            behind = database.between is Between.SESSIONS
            await settle_in(connection, database.statements, _SETTINGS, behind_a_proxy=behind)
    except BaseException as error:
        if connection is not None:
            connection.terminate()
        if not isinstance(error, Exception):
            raise
        raise told_of_connecting("connect to Postgres once more", error) from error
    try:
        yield Aside(connection)
    finally:
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_WITHIN):
                await connection.close()
        connection.terminate()
