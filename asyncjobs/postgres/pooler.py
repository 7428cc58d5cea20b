"""
The probe: is something between us and Postgres, and does it share the server's sessions between clients?

The first sign is free: a proxy of its own mind greets with a process number of its own making, so the
process that answers has another. A direct connection is never looked at further. Then one more connection
is made, and the two are watched. Ours asks which session it has. The other begins a transaction, holds it,
and asks the same. Ours asks again. Sure signs that sessions are shared:

    the other was given the session that ours had, while ours is still connected
    ours has another than before

With nobody else about, PgBouncer lends what was given back last, so the first round shows it. With other
traffic either sign may stay away for a round: somebody took our session in between, and gave it back in time.
But then its transactions do not follow each other, which proves nothing (a proxy may have something of its
own to ask), but is reason to look again and again.

In session mode neither sign can ever be. And where the pooler has no second session to give, the other
waits while ours is served: behind it in a queue of shared sessions ours would wait too, so the session is
ours. When both wait nothing is known, and the caller is told to try again.

What is asked is read in a transaction that is rolled back, by statements without names: no lock and no
setting is left on a session that may be somebody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from enum import Enum

import asyncpg

from asyncjobs.errors import PoolerInBetween, Unavailable
from asyncjobs.postgres.failures import Unreachable, told_of_connecting
from asyncjobs.postgres.patience import patience
from asyncjobs.postgres.session import (
    BEGIN,
    Lent,
    Session,
    session_here,
    session_of,
    settle_in,
)
from asyncjobs.postgres.statements import Statements

ROUNDS = 3  # in which nothing was odd
ODD_ROUNDS = 50
ANSWER_WITHIN = 2.0  # seconds for each question
GO_WITHIN = 1.0  # seconds

_WATCH = "tell whether a pooler shares its sessions"


class Between(Enum):
    """What is between us and Postgres."""

    NOTHING = "nothing"
    RELAY = "something that passes connections on"
    SESSIONS = "a proxy that keeps a session for each client"
    SHARED = "a pooler that shares sessions between its clients"

    def qualify(self, failure: Unavailable) -> None:
        """A refusal by what is in between says nothing of Postgres, where others may rescue meanwhile."""
        if self is not Between.NOTHING and isinstance(failure, Unreachable):
            failure.is_stopping = False


async def settle_in_or_share(
    connection: asyncpg.Connection,
    statements: Statements,
    settings: Mapping[str, str],
    dial: Callable[[], Awaitable[asyncpg.Connection]],
) -> tuple[Session, Between]:
    """
    Give a new connection our settings, or none where the session is shared; tell which it is.

    `dial` makes the second connection, where there is a sign of a proxy. Raises Unreachable where nothing
    can be told, and what asyncpg raises.
    """
    session = await _asked(settle_in(connection, statements, settings))
    if not session.is_behind(connection):
        return session, _passed_on(session, connection)
    if await shares_sessions(connection, statements, dial):
        return session, Between.SHARED
    return await settle_in(connection, statements, settings, behind_a_proxy=True), Between.SESSIONS


async def find_between(
    connection: Lent, statements: Statements, dial: Callable[[], Awaitable[asyncpg.Connection]]
) -> tuple[Session, Between]:
    """Tell the same of a connection that is somebody else's, and set nothing."""
    session = await _asked(session_of(connection, statements))
    if not session.is_behind(connection):
        return session, _passed_on(session, connection)
    shared = await shares_sessions(connection, statements, dial)
    return session, Between.SHARED if shared else Between.SESSIONS


def _passed_on(session: Session, connection: Lent) -> Between:
    """
    Tell whether the session, which is ours alone, is at the address that we called.

    A load balancer, a port of a container, a tunnel: who refuses there need not be Postgres.
    """
    return Between.RELAY if session.is_elsewhere(connection) else Between.NOTHING


async def shares_sessions(
    connection: Lent, statements: Statements, dial: Callable[[], Awaitable[asyncpg.Connection]]
) -> bool:
    """Watch a connection behind a proxy, and another beside it; raises Unreachable where nothing can be told."""
    try:
        async with patience(ANSWER_WITHIN):
            before = await session_of(connection, statements)
            other = await dial()
    except Exception as error:
        raise _unknown(error) from error
    try:
        return await _watch(connection, before, other, statements)
    except Exception as error:
        raise _unknown(error) from error
    finally:
        await _let_go(other)


async def _watch(
    connection: Lent, before: Session, other: asyncpg.Connection, statements: Statements
) -> bool:
    last, quiet = before, 0
    for _ in range(ODD_ROUNDS):
        held = asyncio.ensure_future(_hold(other, statements))
        try:
            await _patiently(held)
            async with patience(ANSWER_WITHIN):
                now = await _now(connection, statements, held, last)
            # It stood in the line before we were served, and we were: there is no line for us.
            await _patiently(held)
            if not held.done():
                return False
            given = held.result()
        finally:
            await _end(held)
        if given.is_same_as(last) or not now.is_same_as(last):
            return True
        await other.execute("rollback")
        quiet += now.follows(last)
        last = now
        if quiet >= ROUNDS:
            return False
    return False


async def _now(
    connection: Lent, statements: Statements, held: asyncio.Future[Session], last: Session
) -> Session:
    """Ask again which session is ours; where the other holds it, ours might have to wait for it."""
    if held.done() and held.result().is_same_as(last):
        return last
    return await session_of(connection, statements)


async def _patiently(held: asyncio.Future[Session]) -> None:
    with suppress(TimeoutError):
        async with patience(ANSWER_WITHIN):
            await asyncio.wait([held])


def _unknown(error: Exception) -> Unavailable:
    if isinstance(error, TimeoutError):
        return Unreachable(_WATCH, "it had no session to lend")
    failure = told_of_connecting(_WATCH, error)
    return failure if failure.wanted == _WATCH else Unreachable(_WATCH, failure.reason)


async def _end(held: asyncio.Future[Session]) -> None:
    held.cancel()
    await asyncio.wait([held])
    if not held.cancelled():
        held.exception()  # told already, if it matters


async def _hold(other: asyncpg.Connection, statements: Statements) -> Session:
    """Begin a transaction and stay in it."""
    await other.execute(BEGIN)
    return await session_here(other, statements)


async def _asked(question: Awaitable[Session]) -> Session:
    try:
        return await question
    except asyncpg.PostgresError as error:
        # PgBouncer's third mode ends the connection at the word `begin`.
        if "statement pooling" in str(error):
            raise PoolerInBetween("use Postgres", f"it refuses transactions: {error}") from error
        raise


async def _let_go(other: asyncpg.Connection) -> None:
    with suppress(Exception):
        async with asyncio.timeout(GO_WITHIN):
            await other.close()
    other.terminate()
