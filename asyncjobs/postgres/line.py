"""One connection through a pooler, for transactions; made anew whenever it was in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg

from asyncjobs.postgres.failures import told_of_connecting
from asyncjobs.postgres.pooled import Transaction, prepare_for_sharing
from asyncjobs.postgres.pooler import Between
from asyncjobs.postgres.session import check_version
from asyncjobs.postgres.sockets import ForkGuard, keep_alive
from asyncjobs.postgres.statements import Row

Dial = Callable[[], Awaitable[asyncpg.Connection]]


class Line:
    """A connection that comes when it is needed, and goes when it is in doubt."""

    def __init__(
        self, connect: Dial, begin: str, guard: ForkGuard, between: Callable[[], Between]
    ) -> None:
        self._connect = connect
        self._begin = begin
        self._guard = guard
        self._between = between
        self._connection: asyncpg.Connection | None = None

    async def ask(self, sql: str, args: Sequence[object], within: float) -> Sequence[Row]:
        """Send one statement in a transaction of its own, `within` seconds; raises as `transaction`."""
        async with self.transaction(within) as transaction:
            return await transaction.say(sql, *args)

    @asynccontextmanager
    async def transaction(self, within: float) -> AsyncGenerator[Transaction]:
        """Begin a transaction, and commit it; raises Unreachable, Refused, NotNow, InDoubt, ServerTooOld."""
        async with Transaction(await self._open(within), self._begin, within) as transaction:
            yield transaction

    def drop(self) -> None:
        """Terminate it; the next transaction has a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._guard.forget(connection)
            connection.terminate()

    async def _open(self, within: float) -> asyncpg.Connection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        self.drop()
        try:
            async with asyncio.timeout(within):
                connection = await self._connect()
        except Exception as error:
            failure = told_of_connecting("connect to Postgres", error)
            self._between().qualify(failure)
            raise failure from error
        keep_alive(connection)
        prepare_for_sharing(connection)
        self._guard.watch(connection)
        self._connection = connection
        check_version(connection)
        return connection
