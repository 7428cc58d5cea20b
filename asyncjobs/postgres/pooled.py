"""
Statements through a pooler that shares the server's sessions: each in a transaction of its own.

PgBouncer's transaction mode, and what is like it, lends a server's session to a client for one transaction
and then to somebody else. So nothing may outlive a transaction: no setting, no lock, no LISTEN, and no
prepared statement, which the next session would not know, or would know as somebody else's. Here a
statement travels as four messages: a script that begins and sets what is ours for this transaction alone,
its parse, its run, and the commit.

What that costs: four round trips for one, and row locks that are held across three of them. What it keeps:
one core write is still one statement, and one commit.

The answer to the COMMIT may get lost as any other may, then the statement is in doubt. Before that nothing
has happened, but it is told as a doubt too: callers need to know one kind of broken connection only. No
transaction stays open: one that Postgres refused is rolled back, any other that did not end is cut off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import asyncpg

from asyncjobs.postgres.failures import NotNow, Refused
from asyncjobs.postgres.session import Lent, answer
from asyncjobs.postgres.statements import Row

ROLLBACK_WITHIN = 2.0  # seconds


async def answer_pooled(
    connection: Lent, begin: str, sql: str, args: Sequence[object], timeout: float
) -> Sequence[Row]:
    """
    Send one statement in a transaction of its own, and give its rows once it is committed.

    `begin`: the text of `begin_shared.sql`, or of another script that begins. `timeout`: seconds for all
    of it. The connection must be one that `prepare_for_sharing` has seen to.

    Raises Refused and NotNow (nothing happened), InDoubt (it may have; the connection is terminated).
    """
    async with Transaction(connection, begin, timeout) as transaction:
        return await transaction.say(sql, *args)


class Transaction:
    """
    One transaction: begun by a script, committed at its end, never left open.

    Also where no pooler is; then `begin` is just that. An error in its body ends it.
    """

    def __init__(self, connection: Lent, begin: str, timeout: float) -> None:
        self._connection = connection
        self._begin = begin
        self._until = asyncio.get_running_loop().time() + timeout

    async def __aenter__(self) -> Self:
        try:
            await self._send(self._begin, as_script=True)
        except Refused as error:
            await self._roll_back()
            # It is not a statement that was refused here: nobody has seen one yet.
            raise NotNow(error.wanted, error.reason) from error
        except BaseException as error:
            await self._give_up(error)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            await self._give_up(error)
            return
        try:
            await self._send("commit", as_script=True)
        except BaseException as failure:
            await self._give_up(failure)
            raise

    async def say(self, sql: str, *args: object) -> Sequence[Row]:
        """Send one statement of the transaction; raises Refused, NotNow, InDoubt."""
        return await self._send(sql, *args)

    async def _send(self, sql: str, *args: object, as_script: bool = False) -> Sequence[Row]:
        left = self._until - asyncio.get_running_loop().time()
        return await answer(self._connection, sql, args, left, as_script=as_script)

    async def _give_up(self, error: BaseException) -> None:
        """Roll back what Postgres refused; end the connection of anything else, and the server rolls back."""
        if isinstance(error, (NotNow, Refused)):
            await self._roll_back()
        else:
            self._cut_off()

    async def _roll_back(self) -> None:
        try:
            async with asyncio.timeout(ROLLBACK_WITHIN):
                await self._connection.execute("rollback")
        except BaseException as error:
            self._cut_off()
            if not isinstance(error, Exception):
                raise

    def _cut_off(self) -> None:
        # One that died has left its pool, and then there is nothing to terminate.
        with suppress(asyncpg.InterfaceError):
            self._connection.terminate()


def prepare_for_sharing(connection: asyncpg.Connection) -> None:
    """
    Keep asyncpg from leaving anything behind on the sessions that this connection will be lent.

    For a connection made with `statement_cache_size=0`. Whenever asyncpg meets a type that it does not
    know it turns the jit off *for the session*, and there is no option against it.
    """
    held: Any = connection
    held._server_caps = held._server_caps._replace(jit=False)
