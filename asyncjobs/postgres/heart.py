"""
The heart of a lease: a thread of its own, with an event loop of its own.

A job that blocks the executor's loop must not cost the process its lease, so nothing that the lease needs is
done on that loop. Two services live in this thread, each with a connection of its own. *The beat* renews the
lease. *The errands* are the statements that a link would send, one after the other: they travel in
transactions, and a transaction that waited for a blocked loop to commit it would hold its locks for as long.

Executor and heart share three things, and no lock: the *standing*, a value that is replaced as a whole; the
errands, which go over in a deque and come back as futures; and bells, rung across by
`call_soon_threadsafe`. Everything here is called from one side only, and says from which.

What keeps this thread from running stops it too: a call into C that does not give the interpreter back, a
process that is stopped, a machine that sleeps. In a forked child there is no such thread, so a child is
silent by nature; its copies of the sockets are closed at once.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import anyio

from asyncjobs.errors import Unavailable
from asyncjobs.postgres.bond import Identity
from asyncjobs.postgres.errand import Errand, Standing, now
from asyncjobs.postgres.failures import NotNow, Unreachable
from asyncjobs.postgres.line import Dial, Line
from asyncjobs.postgres.pooler import Between
from asyncjobs.postgres.sockets import ForkGuard
from asyncjobs.postgres.statements import Row, Statements

LEASE = 20.0  # seconds
RENEW_EVERY = 5.0  # seconds
ANSWER_WITHIN = 4.0  # seconds
CANCEL_BY = 14.0  # seconds after the last answered renewal was sent
STOP_WITHIN = 2.0  # seconds
TICK = 1.0  # seconds that one sleep takes at most, so that a machine that wakes is soon up to date
AGAIN_AFTER = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # seconds, then always the last

log: logging.Logger = logging.getLogger("asyncjobs.lease")

Keep = Callable[[str, Callable[[], Awaitable[None]]], Coroutine[Any, Any, None]]
"""Runs a service again whenever it fails, and counts that, by name."""


class Heart:
    """Keeps one process's row leased, and runs errands; see the module's text."""

    def __init__(
        self,
        connect: Dial,
        statements: Statements,
        identity: Identity,
        keep: Keep,
        between: Callable[[], Between],
    ) -> None:
        self.standing: Standing | None = None
        self.refusal: Unavailable | None = None
        self.has_ended: asyncio.Event = asyncio.Event()
        self.has_ended.set()
        self._say = statements
        self._identity = identity
        self._keep = keep
        self._guard = ForkGuard()
        self._pulse, self._line = (
            Line(connect, statements["begin_leased"], self._guard, between) for _ in range(2)
        )
        self._errands: deque[Errand] = deque()
        self._errand_came = asyncio.Event()
        self._stopping = asyncio.Event()
        self._post: Callable[[Callable[[], None]], None] = lambda act: None
        self._news: Callable[[], None] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_alone = False  # the executor has gone: renew, and begin nothing
        self._gives_up = False

    # Called by the executor's side.

    def start(self, news: Callable[[], None]) -> None:
        """Begin to beat; `news` is called, on the loop that called this, whenever there is any."""
        loop = asyncio.get_running_loop()

        def post(act: Callable[[], None]) -> None:
            with suppress(RuntimeError):  # that loop is closed: nobody waits for news
                loop.call_soon_threadsafe(act)

        self._post, self._news = post, news
        self._loop = asyncio.new_event_loop()
        self._stopping, self._errand_came = asyncio.Event(), asyncio.Event()
        self.has_ended.clear()
        self._thread = threading.Thread(target=self._live, name="asyncjobs heart", daemon=True)
        self._thread.start()

    def send(self, errand: Errand) -> None:
        """Hand over an errand."""
        if self.has_ended.is_set():
            errand.settle(Unreachable("ask Postgres", "the heart has stopped"))
            return
        self._errands.append(errand)
        self._call(self._errand_came.set)

    def outlive_executor(self) -> None:
        """Renew the lease to the end of this operating system process, and do nothing else."""
        self._is_alone = True

    def give_up(self) -> None:
        """Let the lease end now, and stop."""
        self._gives_up = True
        self._call(self._stopping.set)

    async def stop(self) -> None:
        """Stop beating, and wait until the thread is gone."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._call(self._stopping.set)
        with anyio.move_on_after(STOP_WITHIN, shield=True) as patience:
            await self.has_ended.wait()
        if patience.cancelled_caught:
            log.warning("the heart did not stop in time")
        else:
            thread.join(1)  # its last act was to say so

    def _call(self, act: Callable[[], object]) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(act)

    def _end(self) -> None:
        self.has_ended.set()
        self._news()
        while self._errands:
            self._errands.popleft().settle(Unreachable("ask Postgres", "the heart has stopped"))

    # Called in the heart's own thread.

    def _live(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._own_loop) as runner:
                runner.run(self._serve())
        except Exception:
            log.exception("the heart has stopped by itself")
        finally:
            self._post(self._end)

    def _own_loop(self) -> asyncio.AbstractEventLoop:
        assert self._loop is not None, "made by start()"
        return self._loop

    async def _serve(self) -> None:
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._keep, "heart", self._beat)
                group.start_soon(self._keep, "errands", self._run_errands)
                await self._stopping.wait()
                group.cancel_scope.cancel()
            if self._gives_up:
                await self._renew(0.0)
        except Unavailable as error:
            log.info("the lease could not be given up: %s", error)
        finally:
            self._pulse.drop()
            self._line.drop()

    async def _beat(self) -> None:
        """Renew the lease for ever."""
        tries = 0
        while True:
            began = now()
            try:
                await self._renew(LEASE)
            except Unavailable as error:
                log.warning("the lease was not renewed: %s", error)
                self.refusal = error
                self._pulse.drop()  # it may lead to a server that has become a standby
                next_try = now() + AGAIN_AFTER[min(tries, len(AGAIN_AFTER) - 1)]
                tries += 1
            else:
                self.refusal = None
                next_try, tries = began + RENEW_EVERY, 0
            self._post(self._news)
            await _until(next_try)

    async def _renew(self, seconds: float) -> None:
        """Let the lease end in so many seconds; where our row has ended, enter as a new process."""
        sent, sent_at = now(), time.monotonic()
        rows: Sequence[Row] = []
        if self.standing is not None:
            args = (self.standing.process, seconds)
            rows = await self._pulse.ask(self._say["renew"], args, ANSWER_WITHIN)
        if not rows and self._is_alone:
            self._stopping.set()  # buried: there is nothing left to speak for
            return
        if not rows:
            sent, sent_at = now(), time.monotonic()
            rows = await self._enter()
        [row] = rows
        self.standing = Standing(row["id"], row["generation"], sent + CANCEL_BY, sent_at)

    async def _enter(self) -> Sequence[Row]:
        key = -1 - secrets.randbits(62)
        values = (key, *self._identity.in_sql_order(), LEASE)
        async with self._pulse.transaction(ANSWER_WITHIN) as transaction:
            await transaction.say(self._say["begin_life"])
            return await transaction.say(self._say["register"], *values)

    async def _run_errands(self) -> None:
        """Send what there is to send, one after the other."""
        self._errand_came.set()  # for what came before this service did
        while True:
            await self._errand_came.wait()
            self._errand_came.clear()
            while self._errands:
                errand = self._errands.popleft()
                if not errand.answered.cancelled():
                    await self._run(errand)

    async def _run(self, errand: Errand) -> None:
        try:
            async with self._line.transaction(ANSWER_WITHIN) as transaction:
                if errand.owner is not None:
                    await self._stand(transaction.say, errand.owner)
                rows = await transaction.say(errand.sql, *errand.args)
        except Unavailable as error:
            if isinstance(error, NotNow):
                self._line.drop()  # as above
            errand.settle(error)
        except BaseException:
            errand.settle(Unreachable("ask Postgres", "the heart has stopped"))
            raise
        else:
            errand.settle(rows)

    async def _stand(
        self, say: Callable[..., Awaitable[Sequence[Row]]], owner: tuple[int, int]
    ) -> None:
        """Hold our row to the end of the transaction; it must be leased for as long as that may take."""
        if not await say(self._say["stands"], *owner, ANSWER_WITHIN):
            raise NotNow("claim jobs", "the lease does not stand any more")


async def _until(moment: float) -> None:
    while (left := moment - now()) > 0:  # noqa: ASYNC110, it is a clock of its own that is waited for
        await asyncio.sleep(min(TICK, left))
