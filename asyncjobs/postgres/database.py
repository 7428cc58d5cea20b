"""
The pool beside the link: enqueues, finishes, and whatever a page wants to know.

Two connections at most, opened when first needed. They are ours: settings are made at connect and never
reset, and a connection in doubt is terminated, not cleaned, because in a black hole asyncpg's own release
waits until the network heals. Where a pooler in between shares its sessions, and nothing here needs one
(the link has its own way, or there is none), each statement travels in a transaction of its own instead.

Each connection is asked where it leads when it is made: a standby is not used, and neither is a server
on which the link is not. The pool has the lesser right to a connection: where Postgres has no more to give,
it gives one of its own up for the link.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from asyncjobs.errors import PoolerInBetween, Unavailable
from asyncjobs.postgres.answers import Answers
from asyncjobs.postgres.dial import CONNECT_WITHIN, Dial, IsStandby, dial
from asyncjobs.postgres.failures import NotNow, Refused, Unreachable, told_of_connecting
from asyncjobs.postgres.foreign import inspect
from asyncjobs.postgres.patience import patience
from asyncjobs.postgres.pooled import Transaction, answer_pooled, prepare_for_sharing
from asyncjobs.postgres.pooler import Between, find_between, settle_in_or_share
from asyncjobs.postgres.session import (
    SETTINGS,
    Session,
    answer,
    check_version,
    session_in,
    session_of,
    settle_in,
)
from asyncjobs.postgres.sockets import keep_alive
from asyncjobs.postgres.statements import Row, Statements
from asyncjobs.postgres.whereabouts import Whereabouts

ANSWER_WITHIN = 30.0  # seconds
AGAIN_AFTER = 0.05  # seconds until a connection in use may be free
GIVE_UP_WITHIN = 2.0  # seconds until a connection that the link needs is free

Pool = asyncpg.Pool
T = TypeVar("T")

log: logging.Logger = logging.getLogger("asyncjobs.pool")


class Database:
    """
    A small pool of connections, our own or one that was handed in.

    `may_share`: a pooler on the way may share its sessions, since nothing here needs one.

    Statements are given as text. Every method raises Unavailable: Unreachable when nothing was sent,
    Refused when Postgres said no, InDoubt when the answer was lost.
    """

    def __init__(
        self,
        address: str | None,
        pool: asyncpg.Pool | None,
        schema: str,
        statements: Statements,
        *,
        may_share: bool = False,
    ) -> None:
        self.schema = schema
        self.statements = statements
        self._may_share = may_share
        self._foreign = pool
        self._pool: asyncpg.Pool | None = pool
        self._address = address
        self._dial = dial(address, pool)
        self._gives_way = False
        self._wanted: asyncio.Event | None = None
        self.application: str = f"asyncjobs {secrets.token_hex(4)}"
        self.answers: Answers = Answers()
        self.between: Between = Between.NOTHING
        self.whereabouts: Whereabouts = Whereabouts(
            self._session, self._expire, lambda: self._foreign is not None or self.is_shared
        )

    @property
    def dial(self) -> Dial:
        """Makes one connection more, to where the pool leads, with nothing set."""
        return self._dial

    @property
    def is_shared(self) -> bool:
        """Whether a pooler lends its sessions to us for one transaction at a time."""
        return self.between is Between.SHARED

    async def open(self) -> None:
        """Make the pool; raises Unreachable, ServerTooOld, UnsafePool, PoolerInBetween."""
        if self._foreign is None:
            self._pool = await asyncpg.create_pool(
                self._address,
                min_size=0,
                max_size=2,
                connect=self._make,
                reset=_leave_as_is,
                max_inactive_connection_lifetime=600,
            )
        async with self.connection() as connection:
            check_version(connection)
            if self._foreign is not None:
                await self._look_at(connection)
        if self._foreign is not None:
            await inspect(self.fetch, self.statements, self._foreign, shared=self.is_shared)

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
        """
        Lend a connection; one that comes back in doubt is terminated.

        Not for statements of one's own where `is_shared`: those go through `fetch` or `transaction`.
        """
        pool = self._pool
        if pool is None:
            raise Unreachable("use Postgres", "the pool is closed")
        connection = await self._acquire(pool)
        try:
            yield connection
            self.answers.came()
        except (NotNow, Refused):
            self.answers.came()
            if connection.is_in_transaction():
                connection.terminate()
            raise
        except BaseException as error:
            if isinstance(error, Unavailable):
                self.answers.failed(error)
            # It may be dead, and have left the pool, already.
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
            raise
        finally:
            if self._wanted is not None:
                await self._give_up(connection, self._wanted)
            await pool.release(connection)

    async def _acquire(self, pool: Pool) -> PoolConnectionProxy:
        """Take a connection; where Postgres has no more, wait for one of those that there are."""
        until = time.monotonic() + CONNECT_WITHIN
        while True:
            try:
                async with patience(CONNECT_WITHIN):
                    return await pool.acquire()
            except Exception as error:  # a DSN that cannot be parsed is a ValueError, for one
                failure = told_of_connecting("connect to Postgres", error)
                self.between.qualify(failure)
                is_full = isinstance(failure, Unreachable) and failure.lacks_slots
                if not is_full or not pool.get_size() or time.monotonic() > until:
                    self.answers.failed(failure)
                    raise failure from error
            await asyncio.sleep(AGAIN_AFTER)

    @asynccontextmanager
    async def transaction(self, within: float) -> AsyncGenerator[Transaction]:
        """Lend a transaction, committed at its end; `within` seconds for all of it."""
        begin = self.statements["begin_shared"] if self.is_shared else "begin"
        async with (
            self.connection() as connection,
            Transaction(connection, begin, within) as transaction,
        ):
            yield transaction

    async def fetch(self, sql: str, *args: object, timeout: float = ANSWER_WITHIN) -> Sequence[Row]:
        """Send one statement and give its rows; `timeout` in seconds."""
        async with self.connection() as connection:
            if self.is_shared:
                begin = self.statements["begin_shared"]
                return await answer_pooled(connection, begin, sql, args, timeout)
            return await answer(connection, sql, args, timeout)

    async def fetchrow(self, sql: str, *args: object, timeout: float = ANSWER_WITHIN) -> Row | None:
        """Give the first row, or None."""
        rows = await self.fetch(sql, *args, timeout=timeout)
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *args: object, timeout: float = ANSWER_WITHIN) -> Any:
        """Give the first value of the first row, or None."""
        row = await self.fetchrow(sql, *args, timeout=timeout)
        return None if row is None else next(iter(row.values()))

    @asynccontextmanager
    async def giving_way(self) -> AsyncGenerator[bool]:
        """Give a connection up, and make none meanwhile; False: there is none to give."""
        self._gives_way = True
        try:
            yield await self._give_one_up()
        finally:
            self._gives_way = False

    async def _give_one_up(self) -> bool:
        pool = self._pool
        if pool is None or self._foreign is not None or not pool.get_size():
            return False
        self._wanted = given = asyncio.Event()
        try:
            if pool.get_idle_size():
                async with self.connection():
                    log.info("the link needs a connection, and takes one of the pool's")
            async with asyncio.timeout(GIVE_UP_WITHIN):
                await given.wait()
        except (TimeoutError, Unavailable):
            return False
        finally:
            self._wanted = None
        return True

    async def _give_up(self, connection: PoolConnectionProxy, wanted: asyncio.Event) -> None:
        """Close it, and wait until the server has let it go."""
        self._wanted = None
        with suppress(Exception):
            async with asyncio.timeout(1):
                await connection.close()
        wanted.set()

    async def _make(self, *_: object, **__: object) -> asyncpg.Connection:
        """Make a connection of the pool's own."""
        if self._gives_way:
            raise Unreachable("connect to Postgres", "the link needs it first", lacks_slots=True)
        if not self.is_shared:
            connection = await self._dial()
            session = await _or_terminated(connection, self._settle_in(connection))
            if session is not None:
                return connection
        connection = await dial(self._address, None, for_sharing=True)()
        await _or_terminated(connection, self._come_to_share(connection))
        return connection

    async def _settle_in(self, connection: asyncpg.Connection) -> Session | None:
        """Make the session ours; None: it is shared, and another kind of connection is needed."""
        keep_alive(connection)
        settings = {**SETTINGS, "application_name": self.application}
        if self.between is Between.SESSIONS and self._pool is not None and self._pool.get_size():
            session = await settle_in(connection, self.statements, settings, behind_a_proxy=True)
        else:
            session, self.between = await settle_in_or_share(
                connection, self.statements, settings, self._dial
            )
        if self.is_shared:
            self._check_sharing()
            connection.terminate()
            return None
        self._check(session)
        return session

    async def _come_to_share(self, connection: asyncpg.Connection) -> None:
        keep_alive(connection)
        prepare_for_sharing(connection)
        self._check(await session_of(connection, self.statements))

    async def _look_at(self, connection: PoolConnectionProxy) -> None:
        """Find out where a pool leads that was handed in."""
        session, self.between = await find_between(connection, self.statements, self._dial)
        if self.is_shared:
            self._check_sharing()
        self._check(session)

    def _check_sharing(self) -> None:
        if not self._may_share:
            self.between = Between.NOTHING
            raise PoolerInBetween(
                "connect to Postgres", "ours changed hands between two transactions"
            )

    def _check(self, session: Session) -> None:
        if session.is_standby:
            raise IsStandby("connect to Postgres")
        self.whereabouts.pool_is_at(session.place)

    async def _session(self) -> Session:
        row = await self.fetchrow(self.statements["session"])
        assert row is not None
        return session_in(row)

    async def _expire(self) -> None:
        if self._pool is not None:
            await self._pool.expire_connections()


async def _or_terminated(connection: asyncpg.Connection, step: Awaitable[T]) -> T:
    """Take a step with a new connection; where it fails, end the connection too."""
    try:
        async with patience(CONNECT_WITHIN):
            return await step
    except BaseException:
        connection.terminate()
        raise


async def _leave_as_is(connection: asyncpg.Connection) -> None:
    """Keep our settings; asyncpg has seen to an open transaction before it calls this."""
