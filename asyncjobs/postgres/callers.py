"""A statement of ours on a connection of the caller's, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from asyncjobs.errors import WrongConnection
from asyncjobs.postgres.failures import silence
from asyncjobs.postgres.statements import Row


async def answer_in_callers(connection: Any, sql: str, args: Sequence[object]) -> Sequence[Row]:
    """
    Send one statement on a connection that the caller owns; its errors are the caller's, less our arguments.

    Raises WrongConnection for anything but an open asyncpg connection.
    """
    if not isinstance(connection, (asyncpg.Connection, PoolConnectionProxy)):
        raise WrongConnection(f"this is a {type(connection).__name__}")
    try:
        closed = connection.is_closed()
    except asyncpg.InterfaceError as error:
        raise WrongConnection(str(error)) from None
    if closed:
        raise WrongConnection("it is closed")
    try:
        return cast("Sequence[Row]", await connection.fetch(sql, *args))
    except asyncpg.exceptions.UndefinedTableError as error:
        raise WrongConnection(f"its database has no jobs ({error})") from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        silence(error)
        raise
