"""
The link: the one connection that a process keeps. Its life is the process's life.

LISTEN lives on it, and the session advisory lock by which others see that we are alive. Claims, beats
and looks at others are sent on it, so that a process without its lock cannot claim by construction.

One task owns the link (`Link.run`); nobody cancels it in mid-statement. Callers put a statement into its
inbox and wait on a future: a caller that is cancelled changes nothing on the wire. It runs single
statements, never a transaction, because a transaction that is cut short would stay open here, deaf to
NOTIFY. When there is any doubt (no answer in time, an error that is not Postgres's own word) the
connection is terminated, not cleaned, and a new one begins the next *generation*, with a fresh lock key:
the ghost of the old session, if the server still believes in it, proves nothing and blocks nothing.

The order in which a generation begins is the point (`_greet`): a session that is not shared, on a server
that is no standby and that the pool leads to as well; settings, then the lock, then the process row that
names the lock (a row before its lock would look dead), then LISTEN. Only then is the link up.
Where the row is gone, or has ended, others have buried us and run our jobs: then we come back as a new
process, and whoever asked for the link is told that it was reborn.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import asyncpg

from asyncjobs.errors import PoolerInBetween, Unavailable
from asyncjobs.postgres.bond import Follower, Identity
from asyncjobs.postgres.database import Database
from asyncjobs.postgres.dial import CONNECT_WITHIN, IsStandby
from asyncjobs.postgres.failures import NotNow, Refused, Unreachable, told, told_of_connecting
from asyncjobs.postgres.patience import patience
from asyncjobs.postgres.pooler import Between, settle_in_or_share
from asyncjobs.postgres.session import SETTINGS, answer, check_version
from asyncjobs.postgres.sockets import (
    Ends,
    ForkGuard,
    abandon,
    ends_of,
    keep_alive,
    let_go,
    make_room,
)
from asyncjobs.postgres.statements import Row, Statements

LINK_ANSWER_WITHIN = 4.0  # seconds
GOODBYE_WITHIN = 1.0  # seconds
REDIAL_AFTER = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # seconds, then always the last

log: logging.Logger = logging.getLogger("asyncjobs.link")

_LINK_SETTINGS = {
    **SETTINGS,
    "application_name": "asyncjobs link",
    "statement_timeout": "3500ms",  # the server gives up first, else a backend stays behind that may act later
}


@dataclass(slots=True)
class _Request:
    sql: str
    args: tuple[object, ...]
    answered: asyncio.Future[Sequence[Row]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    def settle(self, rows: Sequence[Row] | Unavailable) -> None:
        if self.answered.done():
            return
        if isinstance(rows, Unavailable):
            self.answered.set_exception(rows)
            self.answered.exception()  # its caller may be gone; that is no news
        else:
            self.answered.set_result(rows)


class Link:
    """One process's kept connection; see the module's text."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        channel: str,
        statements: Statements,
        identity: Identity,
        follower: Follower,
        pool: Database | None = None,
    ) -> None:
        self._connect = connect
        self._pool = pool
        if pool is not None:
            pool.whereabouts.dial_again = self.dial_again
        self._channel = channel
        self._statements = statements
        self._identity = identity
        self._follower = follower
        self._guard = ForkGuard()
        self._is_leaving = False
        self._inbox: asyncio.Queue[_Request | None] = asyncio.Queue(maxsize=1000)
        self._connection: asyncpg.Connection | None = None
        self._kept: socket.socket | None = None
        self.keeps_session: bool = True
        self.between: Between = Between.NOTHING
        self.process_id: int | None = None
        self.generation: int = 0
        self.is_up: bool = False
        self.answered_at: float = (
            0.0  # time.monotonic() when the last answered statement was *sent*
        )

    @property
    def ends(self) -> Ends | None:
        """Between whom it is, as this side sees it; None while it is down."""
        return None if self._connection is None else ends_of(self._connection)

    async def fetch(self, sql: str, *args: object) -> Sequence[Row]:
        """Send one statement; raises Unreachable, Refused, InDoubt."""
        if not self.is_up:
            raise Unreachable("ask Postgres", "the link is down")
        request = _Request(sql, args)
        await self._inbox.put(request)
        return await request.answered

    async def claim(self, sql: str, *args: object) -> Sequence[Row]:
        """Send one statement that makes rows ours: with the link goes the lock, so it is sent like any."""
        return await self.fetch(sql, *args)

    async def run(self) -> None:
        """Keep a link for as long as this is not cancelled; started once, by the executor."""
        tries = 0
        while True:
            try:
                reborn = await self._begin()
            except Unavailable as error:
                log.warning("no link to Postgres: %s", error)
                await self._follower.on_refused(error)
                await asyncio.sleep(REDIAL_AFTER[min(tries, len(REDIAL_AFTER) - 1)])
                tries += 1
                continue
            tries = 0
            try:
                await self._follower.on_up(reborn=reborn)
                lost = await self._serve()
            except asyncio.CancelledError:
                # The executor was cut short. What it could not stop keeps the lock, see sockets.abandon.
                if self._follower.holds_bodies():
                    self.outlive_executor()
                raise
            finally:
                self._drop()
            log.warning("link to Postgres lost: %s", lost)
            await self._follower.on_lost(lost)

    async def leave(self) -> None:
        """End in good order: say that the process has ended, and close."""
        self._is_leaving = True
        try:
            await self._say_goodbye(self._statements["leave"])
        except (Unavailable, TimeoutError) as error:
            # The lock dies with the connection, whatever is said here.
            log.debug("left without a word: %s", error)
        connection, self._connection = self._connection, None
        self.is_up = False
        if connection is None:
            return
        self._guard.forget(connection)
        try:
            async with asyncio.timeout(1):
                await connection.close()
        except Exception as error:
            log.debug("closed without a word: %s", error)
            connection.terminate()

    async def _say_goodbye(self, words: str) -> None:
        try:
            await self.fetch(words, self.process_id)
        except Unavailable:
            if self._pool is None:
                raise
            # Between two links: or others would find a process that is gone and has not said so.
            async with asyncio.timeout(GOODBYE_WITHIN):
                await self._pool.fetch(words, self.process_id)

    def dial_again(self) -> None:
        """End this generation; the next one may begin elsewhere."""
        if self._connection is not None:
            self._connection.terminate()

    def outlive_executor(self) -> None:
        """Leave the socket, and so the lock, open to the end of this operating system process."""
        connection, self._connection = self._connection, None
        self.is_up = False
        if connection is not None:
            kept = abandon(connection)
            if kept is not None:
                self._guard.inherit(connection, kept)
                self._kept = kept

    def let_go(self) -> None:
        """What outlived the executor has ended: so does the lock."""
        kept, self._kept = self._kept, None
        if kept is not None:
            let_go(kept)

    async def _begin(self) -> bool:
        """Connect and greet; tells whether we are another process than before."""
        connection = await self._dial()
        try:
            async with patience(CONNECT_WITHIN):
                reborn = await self._greet(connection)
        except BaseException as error:
            connection.terminate()
            if isinstance(error, Unavailable) or not isinstance(error, Exception):
                raise
            raise told("begin a generation", error) from error
        self._guard.watch(connection)
        self._connection = connection
        self.is_up = True
        connection.add_termination_listener(lambda _: self._inbox_wake(connection))
        return reborn

    async def _dial(self) -> asyncpg.Connection:
        """Connect; where Postgres has no connection to give, take over one that the pool gives up."""
        try:
            return await self._dial_once()
        except Unreachable as error:
            if self._pool is None or not error.lacks_slots:
                raise
            async with self._pool.giving_way() as has_given:
                if not has_given:
                    raise
                return await self._dial_once()

    async def _dial_once(self) -> asyncpg.Connection:
        try:
            async with patience(CONNECT_WITHIN):
                return await self._connect()
        except Exception as error:
            failure = told_of_connecting("link to Postgres", error)
            self.between.qualify(failure)
            raise failure from error

    async def _greet(self, connection: asyncpg.Connection) -> bool:
        check_version(connection)
        began = time.monotonic()
        say = self._statements
        await self._settle_in(connection)
        key = secrets.randbits(62)
        if not await connection.fetchval("select pg_try_advisory_lock($1::bigint)", key):
            raise Unreachable("link to Postgres", "a fresh random lock key was taken")
        await connection.fetch(say["begin_life"])
        before = self.process_id
        rows = [] if before is None else await connection.fetch(say["relink"], before, key)
        if not rows and self._is_leaving:
            raise Unreachable("link to Postgres", "the executor is about to end")
        [row] = rows or await connection.fetch(
            say["register"], key, *self._identity.in_sql_order(), None
        )
        self.process_id, self.generation = row["id"], row["generation"]
        await connection.add_listener(self._channel, self._hear)
        self.answered_at = began
        return before is not None and before != self.process_id

    async def _settle_in(self, connection: asyncpg.Connection) -> None:
        """Find a session of our own, on a server that takes writes, the one that the pool has."""
        keep_alive(connection)
        make_room(connection)
        session, self.between = await settle_in_or_share(
            connection, self._statements, _LINK_SETTINGS, self._connect
        )
        if self.between is Between.SHARED:
            raise PoolerInBetween("link to Postgres", "ours changed hands between two transactions")
        if session.is_standby:
            raise IsStandby("link to Postgres")
        if self._pool is not None:
            await self._pool.whereabouts.link_is_at(session.place)

    async def _serve(self) -> Unavailable:
        """Send what callers ask until the connection fails; give the failure."""
        connection = self._connection
        assert connection is not None
        while True:
            request = await self._inbox.get()
            if connection.is_closed():
                gone = Unreachable(
                    "ask Postgres", "the link was closed by the server or the network"
                )
                if request is not None:
                    request.settle(gone)
                return gone
            if request is None or request.answered.cancelled():
                continue
            sent = time.monotonic()
            try:
                request.settle(
                    await answer(connection, request.sql, request.args, LINK_ANSWER_WITHIN)
                )
                self.answered_at = sent
            except (NotNow, Refused) as error:
                request.settle(error)
            except Unavailable as error:
                request.settle(error)
                return error
            except BaseException:
                request.settle(Unreachable("ask Postgres", "the executor ended"))
                raise

    def _hear(self, connection: object, pid: int, channel: str, payload: object) -> None:
        self._follower.on_message(str(payload))

    def _inbox_wake(self, connection: asyncpg.Connection) -> None:
        if connection is self._connection and not self._inbox.full():
            self._inbox.put_nowait(None)

    def _drop(self) -> None:
        """Terminate the connection, and tell everybody who waits for an answer."""
        self.is_up = False
        connection, self._connection = self._connection, None
        if connection is not None:
            self._guard.forget(connection)
            connection.terminate()
        while not self._inbox.empty():
            request = self._inbox.get_nowait()
            if request is not None:
                request.settle(Unreachable("ask Postgres", "the link was lost before it was sent"))
