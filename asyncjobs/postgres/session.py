"""
What is at the other end of a connection: whose session, on which server, with which settings.

Settings are made in a transaction that is only committed where the session is known to be ours alone. The
sign of a proxy is that the process which answers is not the one that the greeting named: PgBouncer and its
like make that number up. Then everything is rolled back, and `pooler.py` finds out whether the session is
shared. The statements in here have no names, so that nothing of them stays behind on it either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from asyncjobs.errors import ServerTooOld
from asyncjobs.postgres.failures import told
from asyncjobs.postgres.patience import patience
from asyncjobs.postgres.sockets import GIVE_UP_AFTER, ends_of, is_same_end
from asyncjobs.postgres.statements import Row, Statements

Lent = asyncpg.Connection | PoolConnectionProxy

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
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": f"{GIVE_UP_AFTER}s",
}
"""
What our sessions pin; those that a server does not know (idle_session_timeout before 14) are left out.

The last four let the server give up a peer that is gone without a word: the link, and with it the lock, in
time for the others; the pool's connections, before a network that comes and goes has filled all its slots.
"""

BEGIN = "begin isolation level read committed, not deferrable; set local statement_timeout = 0"
"""How a look at a session begins, whatever a role or a database may have set; it writes nothing."""


class Place(NamedTuple):
    """Where a connection has led: one life of one server, and a database there."""

    server_began: float
    database: str


class Session(NamedTuple):
    """What a server says of the session that answers."""

    pid: int
    server_began: float  # seconds since 1970, on the server's clock
    database: str
    is_standby: bool
    turn: int | None = None  # the number of the transaction that asked, in this session
    door: tuple[str, int] | None = None  # where it came in; None for a unix socket

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.server_began, self.database)

    def is_behind(self, connection: Lent) -> bool:
        """Whether something is between us and it: the connection was greeted by somebody else."""
        return bool(connection.get_server_pid() != self.pid)

    def is_elsewhere(self, connection: Lent) -> bool:
        """Whether the server was reached by another address than the one that we called: something passes it on."""
        ends = ends_of(connection)
        return ends is not None and not is_same_end(ends.far, self.door)

    def is_same_as(self, other: Session) -> bool:
        """Whether it is one and the same session; servers may count their processes alike."""
        return (self.server_began, self.pid) == (other.server_began, other.pid)

    def follows(self, former: Session) -> bool:
        """Whether nobody ran a transaction in it since."""
        return None not in (self.turn, former.turn) and self.turn == (former.turn or 0) + 1


async def settle_in(
    connection: asyncpg.Connection,
    statements: Statements,
    settings: Mapping[str, str],
    *,
    behind_a_proxy: bool = False,
) -> Session:
    """
    Give a new connection our settings, and tell whose session it has.

    Behind a proxy nothing is set, unless it is known (`behind_a_proxy`) that the session is not shared.
    """
    await connection.execute(BEGIN)
    session = session_in(
        await _without_a_name(
            connection, statements["settings"], list(settings), list(settings.values())
        )
    )
    stays = behind_a_proxy or not session.is_behind(connection)
    await connection.execute("commit" if stays else "rollback")
    return session


async def session_of(connection: Lent, statements: Statements) -> Session:
    """Ask whose session it is now; leaves nothing behind."""
    await connection.execute(BEGIN)
    session = await session_here(connection, statements)
    await connection.execute("rollback")
    return session


async def session_here(connection: Lent, statements: Statements) -> Session:
    """Ask it within an open transaction."""
    return session_in(await _without_a_name(connection, statements["session"]))


def session_in(row: Any) -> Session:
    """Read what `session.sql` or `settings.sql` has answered."""
    door = None if row["host"] is None else (row["host"], row["port"])
    return Session(
        row["pid"], row["server_began"], row["database"], row["is_standby"], row.get("turn"), door
    )


async def answer(
    connection: Lent,
    sql: str,
    args: Sequence[object],
    timeout: float,
    *,
    as_script: bool = False,
) -> Sequence[Row]:
    """
    Send one statement and wait for its answer for `timeout` seconds; a script has none.

    asyncpg's own timeout is not used: it sends its cancel request on a new connection and waits for it.
    Raises Refused, NotNow, InDoubt.
    """
    try:
        async with patience(timeout):
            if as_script:
                await connection.execute(sql)
                return []
            return cast("Sequence[Row]", await connection.fetch(sql, *args))
    except Exception as error:
        raise told("get an answer from Postgres", error) from error


def check_version(connection: Lent) -> None:
    """Raise ServerTooOld for a Postgres before 13."""
    version = connection.get_server_version()
    if version < (13, 0):
        raise ServerTooOld(f"{version.major}.{version.minor}")


async def _without_a_name(connection: Lent, sql: str, *args: object) -> Any:
    statement = await connection.prepare(sql, name="")
    return await statement.fetchrow(*args)
