"""
The pool beside the link: enqueues, finishes, and whatever a page wants to know.

Two connections at most, opened when first needed. They are ours: settings are made at connect and never
reset, and a connection in doubt is terminated, not cleaned, because in a black hole asyncpg's own release
waits until the network heals.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, cast
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from asyncjobs.errors import ServerTooOld, UnsafePool, WrongConnection
from asyncjobs.postgres.failures import NotNow, Refused, Unreachable, told, told_of_connecting
from asyncjobs.postgres.sockets import keep_alive
from asyncjobs.postgres.statements import Statements

ANSWER_WITHIN = 30.0  # seconds
CONNECT_WITHIN = 10.0  # seconds

Row = Mapping[str, Any]
Pool = asyncpg.Pool

SETTINGS: Mapping[str, str] = {
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "synchronous_commit": "on",
    "statement_timeout": "30s",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "60s",
    "idle_session_timeout": "0",
    "search_path": "pg_catalog",
    "timezone": "UTC",
    "jit": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""What our sessions pin; those that a server does not know (idle_session_timeout before 14) are left out."""

_PLAIN = {"uuid": UUID, "jsonb": str, "timestamptz": datetime, "text": str}

_HASTY = ("statement_timeout", "idle_in_transaction_session_timeout")
LEAST_TIMEOUT = 5_000  # milliseconds

_BREAKS_A_PROMISE = {
    "default_transaction_isolation": ("read committed",),
    "default_transaction_read_only": ("off",),
    "synchronous_commit": ("on", "local", "remote_write", "remote_apply"),
    "lock_timeout": ("0",),
}


class Database:
    """
    A small pool of connections, our own or one that was handed in.

    Statements are given as text. Every method raises Unavailable: Unreachable when nothing was sent,
    Refused when Postgres said no, InDoubt when the answer was lost.
    """

    def __init__(
        self, address: str | None, pool: asyncpg.Pool | None, schema: str, statements: Statements
    ) -> None:
        self.schema = schema
        self.statements = statements
        self._address = address
        self._foreign = pool
        self._pool: asyncpg.Pool | None = pool
        self.application: str = f"asyncjobs {secrets.token_hex(4)}"

    async def open(self) -> None:
        """Make the pool; raises Unreachable, ServerTooOld, UnsafePool."""
        if self._foreign is None:
            self._pool = await asyncpg.create_pool(
                self._address,
                min_size=0,
                max_size=2,
                init=self._make_ours,
                reset=_leave_as_is,
                timeout=CONNECT_WITHIN,
                max_inactive_connection_lifetime=600,
            )
        async with self.connection() as connection:
            check_version(connection)
        if self._foreign is not None:
            await self._inspect()

    async def close(self) -> None:
        """Close our own pool; one that was handed in stays open."""
        if self._foreign is None and self._pool is not None:
            try:
                async with asyncio.timeout(2):
                    await self._pool.close()
            except TimeoutError:
                self._pool.terminate()
        self._pool = None

    @asynccontextmanager
    async def connection(self) -> AsyncGenerator[PoolConnectionProxy]:
        """Lend a connection; one that comes back in doubt is terminated."""
        pool = self._pool
        if pool is None:
            raise Unreachable("use Postgres", "the pool is closed")
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                connection = await pool.acquire()
        except Exception as error:  # a DSN that cannot be parsed is a ValueError, for one
            raise told_of_connecting("connect to Postgres", error) from error
        try:
            yield connection
        except (NotNow, Refused):
            if connection.is_in_transaction():
                connection.terminate()
            raise
        except BaseException:
            # It may be dead, and have left the pool, already.
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
            raise
        finally:
            await pool.release(connection)

    async def fetch(self, sql: str, *args: object, timeout: float = ANSWER_WITHIN) -> Sequence[Row]:
        """Send one statement and give its rows; `timeout` in seconds."""
        async with self.connection() as connection:
            return await answer(connection, sql, args, timeout)

    async def fetchrow(self, sql: str, *args: object, timeout: float = ANSWER_WITHIN) -> Row | None:
        """Give the first row, or None."""
        rows = await self.fetch(sql, *args, timeout=timeout)
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *args: object, timeout: float = ANSWER_WITHIN) -> Any:
        """Give the first value of the first row, or None."""
        row = await self.fetchrow(sql, *args, timeout=timeout)
        return None if row is None else next(iter(row.values()))

    async def _make_ours(self, connection: asyncpg.Connection) -> None:
        settings = {**SETTINGS, "application_name": self.application}
        await make_ours(connection, self.statements, settings)

    async def _inspect(self) -> None:
        rows = await self.fetch(self.statements["find_settings"], list(_BREAKS_A_PROMISE))
        findings = [
            f"{row['name']} is {row['value']!r}, and must be {' or '.join(_BREAKS_A_PROMISE[row['name']])}"
            for row in rows
            if row["value"] not in _BREAKS_A_PROMISE[row["name"]]
        ]
        findings += [
            f"{row['name']} is {row['value']!r}, and must be 0 or at least {LEAST_TIMEOUT // 1000} s"
            for row in await self.fetch(self.statements["find_settings"], list(_HASTY))
            if 0 < int(row["raw"]) < LEAST_TIMEOUT
        ]
        findings += [
            f"its connections have a codec of their own for {name}; pass a dsn and let jobs have two of its own"
            for name, value in (await self.fetch(self.statements["find_codecs"]))[0].items()
            if not isinstance(value, _PLAIN[name])
        ]
        if findings:
            raise UnsafePool(findings)


async def make_ours(
    connection: asyncpg.Connection, statements: Statements, settings: Mapping[str, str]
) -> None:
    """Give a new connection our settings; the shortest statement first, against a hasty timeout."""
    keep_alive(connection)
    await connection.execute("set statement_timeout = 0")
    await connection.fetch(statements["settings"], list(settings), list(settings.values()))


async def answer(
    connection: asyncpg.Connection | PoolConnectionProxy,
    sql: str,
    args: Sequence[object],
    timeout: float,
) -> Sequence[Row]:
    """
    Send one statement and wait for its answer for `timeout` seconds.

    asyncpg's own timeout is not used: it sends its cancel request on a new connection and waits for it.
    """
    try:
        async with asyncio.timeout(timeout):
            return cast("Sequence[Row]", await connection.fetch(sql, *args))
    except Exception as error:
        raise told("get an answer from Postgres", error) from error


async def answer_in_callers(connection: Any, sql: str, args: Sequence[object]) -> Sequence[Row]:
    """
    Send one statement on a connection that the caller owns; its errors are the caller's.

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


def check_version(connection: asyncpg.Connection | PoolConnectionProxy) -> None:
    """Raise ServerTooOld for a Postgres before 13."""
    version = connection.get_server_version()
    if version < (13, 0):
        raise ServerTooOld(f"{version.major}.{version.minor}")


async def _leave_as_is(connection: asyncpg.Connection) -> None:
    """Keep our settings; asyncpg has seen to an open transaction before it calls this."""
