"""What is open while `jobs` is connected, from the pool up to the executor, and the order of its life."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

import anyio

from asyncjobs.engine import identity
from asyncjobs.engine.ears import Ears
from asyncjobs.engine.echo import payload
from asyncjobs.engine.enqueue import Enqueuer
from asyncjobs.engine.executor import Executor
from asyncjobs.engine.fit import Fit
from asyncjobs.engine.health import health_of
from asyncjobs.engine.ids import Ids
from asyncjobs.engine.parting import Parting
from asyncjobs.engine.pool import PoolWatch
from asyncjobs.engine.road import OpenRoad
from asyncjobs.engine.service import Troubles, keep
from asyncjobs.engine.signals import noticed
from asyncjobs.engine.terms import Terms
from asyncjobs.engine.wake import Waker
from asyncjobs.errors import Unavailable
from asyncjobs.extension import Around, Extension, Hears, Serves
from asyncjobs.health import Health
from asyncjobs.postgres.bond import Bond, Identity
from asyncjobs.postgres.database import Database
from asyncjobs.postgres.dial import Dial
from asyncjobs.postgres.enqueues import Enqueues
from asyncjobs.postgres.hearsay import heard_after
from asyncjobs.postgres.lease import Lease
from asyncjobs.postgres.ledger import Ledger
from asyncjobs.postgres.link import Link
from asyncjobs.postgres.migrate import migrate_by
from asyncjobs.postgres.statements import Statements
from asyncjobs.task import Task

log: logging.Logger = logging.getLogger("asyncjobs")

FLUSH_WITHIN = 1.0  # seconds that the last NOTIFY may take
LINK_WITHIN = 15.0  # seconds until a starting process must have its first link
ENQUEUE_WITHIN = 10.0  # seconds that an enqueue waits for Postgres to come back


Presence = Literal["lock", "lease"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to open."""

    address: str | None = field(repr=False)
    pool: Any
    dial: Dial
    presence: Presence
    has_link_dsn: bool
    schema: str
    migrate: bool
    kind: str | None  # None: enqueue only
    version: str
    terms: Terms
    tasks: Callable[[], Mapping[str, Task[..., Any]]]
    extensions: tuple[Extension, ...]

    @property
    def may_share(self) -> bool:
        """Whether the pool may lead to a pooler that shares sessions: nothing else needs one there."""
        return self.has_link_dsn or self.presence == "lease" or self.kind is None


class Connection:
    """Opened once, closed once, in the loop that opened it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._statements = Statements("asyncjobs.postgres", plan.schema)
        self.database: Database = Database(
            plan.address, plan.pool, plan.schema, self._statements, may_share=plan.may_share
        )
        self.fit: Fit = Fit(self.database, plan.version)
        self.executor: Executor | None = None
        self.troubles: Troubles = Troubles()
        self.ended: dict[str, str] = {}
        """What should live as long as we do and has ended, and how; only a new process brings it back."""
        self._is_closing = False
        self._was_told_to_end = False  # by a signal
        self._ears = Ears([each.hears for each in plan.extensions if isinstance(each, Hears)])
        self._tasks: list[asyncio.Task[None]] = []
        self._signals = noticed(self._begin_draining)

    async def __aenter__(self) -> Self:
        await self.database.open()
        try:
            await self._see_to_schema()
            await self._open_road()
            if self._plan.kind is not None:
                await self._start_executor(self._plan.kind)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    @property
    def waker(self) -> Waker:
        """What tells the other processes."""
        return self._waker

    async def echo(self, within: float) -> float | None:
        """
        Tell in how many seconds a NOTIFY of ours is heard: on our link, else on a connection of its own.

        None: not `within` so many seconds. Raises Unavailable.
        """
        executor, notify = self.executor, self._waker.notify
        if executor is not None and executor.link.keeps_session:
            return await executor.echoes.come_back(notify, within)
        token = payload(secrets.token_hex(8))
        return await heard_after(self._plan.dial, self._plan.schema, token, notify, within)

    def health(self) -> Health:
        """Tell how this process is; see `asyncjobs.engine.health`."""
        return health_of(self)

    async def drain(self) -> None:
        """End the executor in good order; enqueues still work until it has ended."""
        if self.executor is not None and self._tasks:
            self.executor.stop()
            try:
                with anyio.CancelScope(shield=True):
                    await asyncio.wait([self._tasks[-1]])
            finally:
                if self._was_told_to_end and self.executor.runs.live:
                    Parting(self.executor.runs.names).begin()
        self.enqueuer.close()
        # A process that only enqueues is gone a moment later: what it stored should not wait for a poll.
        with anyio.move_on_after(FLUSH_WITHIN, shield=True):
            await self._waker.flush()

    async def _see_to_schema(self) -> None:
        plan = self._plan
        if plan.migrate:
            for name in await migrate_by(plan.dial, plan.schema):
                log.info("schema %s: applied %s", plan.schema, name)
        await self.fit.look()

    async def _open_road(self) -> None:
        ledger = Enqueues(self._statements, self.database)
        ids = Ids(await ledger.now())
        self._waker = Waker(ledger, channel=self._plan.schema)
        self.enqueuer: Enqueuer = Enqueuer(ledger, self._waker, self._ears, ENQUEUE_WITHIN)
        self.road: OpenRoad = OpenRoad(
            ledger, self.enqueuer, self._waker, ids, self._plan.tasks, self._plan.terms.keys
        )
        self._spawn("wake", self._waker.serve)
        self._spawn("enqueue", self.enqueuer.serve)
        self._spawn("pool", PoolWatch(self.database, ledger).serve)
        self._spawn("schema", self.fit.serve)

    async def _start_executor(self, kind: str) -> None:
        plan = self._plan
        executor = Executor(
            plan.terms,
            lambda follower: self._link(follower, kind),
            self._waker,
            plan.tasks,
            [each for each in plan.extensions if isinstance(each, Around)],
            [each for each in plan.extensions if isinstance(each, Serves)],
            self._ears,
            self.road.ended,
            self.fit.seen,
        )
        self.executor = executor
        self._waker.local = executor
        self._waker.me = lambda: executor.process_id
        await executor.prepare()
        lives = self._spawn("executor", executor.live)
        await _first_of(lives, executor.is_up, executor.is_refused_for_good)
        if not executor.is_up.is_set():
            raise executor.refusal or Unavailable(
                "link to Postgres", f"there was none after {LINK_WITHIN:g} s"
            )
        self.enqueuer.starter = executor.direct_starts
        self._signals.__enter__()

    def _link(self, follower: Executor, kind: str) -> tuple[Bond, Ledger]:
        plan, pid = self._plan, os.getpid()
        who = Identity(
            name=identity.name(),
            kind=kind,
            machine=identity.machine(),
            pid=pid,
            pid_started=identity.started(pid),
            slots=plan.terms.slots,
            queues=None if plan.terms.queues is None else list(plan.terms.queues),
            tasks=sorted(plan.tasks()),
            version=plan.version,
        )
        link = self._bond(who, follower)
        return link, Ledger(self._statements, self.database, link)

    def _bond(self, who: Identity, follower: Executor) -> Bond:
        plan = self._plan
        if plan.presence == "lock":
            return Link(plan.dial, plan.schema, self._statements, who, follower, self.database)

        async def keep_counted(name: str, serve: Callable[[], Awaitable[None]]) -> None:
            await keep(name, serve, follower.troubles)

        return Lease(
            plan.dial,
            self._statements,
            who,
            follower,
            keep_counted,
            lambda: self.database.between,
        )

    def _spawn(self, name: str, serve: Callable[[], Any]) -> asyncio.Task[None]:
        # The executor and the way in are tasks of their own, so that no failure in them can end the
        # lifespan that opened them, and no cancel scope around it can reach into them.
        task = asyncio.get_running_loop().create_task(
            keep(name, serve, self.troubles), name=f"asyncjobs {name}"
        )
        self._tasks.append(task)
        task.add_done_callback(lambda done: self._note_end(name, done))
        return task

    def _note_end(self, name: str, task: asyncio.Task[None]) -> None:
        stopped = self.executor is not None and self.executor.is_stopping
        if self._is_closing or (name == "executor" and stopped):
            return
        error = None if task.cancelled() else task.exception()
        self.ended[name] = "it was cancelled from outside" if error is None else repr(error)
        # When a loop is closed under us all are cancelled; one line tells that.
        level = logging.ERROR if error is not None or name == "executor" else logging.INFO
        log.log(level, "%s has ended for good: %s", name, self.ended[name], exc_info=error)

    async def _close(self) -> None:
        self._is_closing = True
        if self.executor is not None and self.enqueuer.starter is not None:
            self._signals.__exit__(None, None, None)
        for task in reversed(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.database.close()

    def _begin_draining(self) -> None:
        self._was_told_to_end = True
        if self.executor is not None:
            self.executor.begin_draining()


async def _first_of(ends: asyncio.Task[None], *moments: asyncio.Event) -> None:
    """Wait for the first of these, but not longer than a link may take."""
    waits = [asyncio.ensure_future(moment.wait()) for moment in moments]
    try:
        await asyncio.wait([ends, *waits], timeout=LINK_WITHIN, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()
