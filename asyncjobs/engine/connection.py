"""What is open while `jobs` is connected, from the pool up to the executor, and the order of its life."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import anyio

from asyncjobs.engine import identity
from asyncjobs.engine.ears import Ears
from asyncjobs.engine.enqueue import Enqueuer
from asyncjobs.engine.executor import Executor, Terms
from asyncjobs.engine.ids import Ids
from asyncjobs.engine.road import OpenRoad
from asyncjobs.engine.service import Troubles, keep
from asyncjobs.engine.signals import noticed
from asyncjobs.engine.wake import Waker
from asyncjobs.errors import Unavailable
from asyncjobs.extension import Around, Extension, Hears, Serves
from asyncjobs.postgres.database import Database
from asyncjobs.postgres.dial import Dial
from asyncjobs.postgres.failures import told_of_connecting
from asyncjobs.postgres.ledger import Enqueues, Ledger
from asyncjobs.postgres.link import Identity, Link
from asyncjobs.postgres.migrate import check_schema, migrate
from asyncjobs.postgres.statements import Statements
from asyncjobs.task import Task

log: logging.Logger = logging.getLogger("asyncjobs")

FLUSH_WITHIN = 1.0  # seconds that the last NOTIFY may take
LINK_WITHIN = 15.0  # seconds until a starting process must have its first link
ENQUEUE_WITHIN = 10.0  # seconds that an enqueue waits for Postgres to come back


@dataclass(frozen=True, slots=True)
class Plan:
    """What to open."""

    address: str | None
    pool: Any
    dial: Dial
    schema: str
    migrate: bool
    kind: str | None  # None: enqueue only
    version: str
    terms: Terms
    tasks: Callable[[], Mapping[str, Task[..., Any]]]
    extensions: tuple[Extension, ...]


class Connection:
    """Opened once, closed once, in the loop that opened it."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._statements = Statements("asyncjobs.postgres", plan.schema)
        self.database: Database = Database(plan.address, plan.pool, plan.schema, self._statements)
        self.executor: Executor | None = None
        self.troubles: Troubles = Troubles()
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

    async def drain(self) -> None:
        """End the executor in good order; enqueues still work until it has ended."""
        if self.executor is not None and self._tasks:
            self.executor.stop()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([self._tasks[-1]])
        self.enqueuer.close()
        # A process that only enqueues is gone a moment later: what it stored should not wait for a poll.
        with anyio.move_on_after(FLUSH_WITHIN, shield=True):
            await self._waker.flush()

    async def _see_to_schema(self) -> None:
        plan = self._plan
        if plan.migrate:
            try:
                connection = await plan.dial()
            except Exception as error:
                raise told_of_connecting("connect to Postgres", error) from error
            try:
                done = await migrate(connection, plan.schema)
            finally:
                await connection.close()
            for name in done:
                log.info("schema %s: applied %s", plan.schema, name)
        async with self.database.connection() as lent:
            await check_schema(lent, plan.schema, plan.version)

    async def _open_road(self) -> None:
        ledger = Enqueues(self._statements, self.database)
        ids = Ids(await ledger.now() - time.time_ns() // 1_000_000)
        self._waker = Waker(ledger, channel=self._plan.schema)
        self.enqueuer: Enqueuer = Enqueuer(ledger, self._waker, self._ears, ENQUEUE_WITHIN)
        self.road: OpenRoad = OpenRoad(ledger, self.enqueuer, self._waker, ids, self._plan.tasks)
        self._spawn("wake", self._waker.serve)
        self._spawn("enqueue", self.enqueuer.serve)

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
        )
        self.executor = executor
        self._waker.local = executor
        self._waker.me = lambda: executor.process_id
        await executor.prepare()
        lives = self._spawn("executor", executor.live)
        up = asyncio.ensure_future(executor.is_up.wait())
        await asyncio.wait([up, lives], timeout=LINK_WITHIN, return_when=asyncio.FIRST_COMPLETED)
        if not up.done():
            up.cancel()
            raise Unavailable("link to Postgres", f"there was none after {LINK_WITHIN:g} s")
        self.enqueuer.starter = executor
        self._signals.__enter__()

    def _link(self, follower: Executor, kind: str) -> tuple[Link, Ledger]:
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
        link = Link(plan.dial, plan.schema, self._statements, who, follower)
        return link, Ledger(self._statements, self.database, link)

    def _spawn(self, name: str, serve: Callable[[], Any]) -> asyncio.Task[None]:
        # The executor and the way in are tasks of their own, so that no failure in them can end the
        # lifespan that opened them, and no cancel scope around it can reach into them.
        task = asyncio.get_running_loop().create_task(
            keep(name, serve, self.troubles), name=f"asyncjobs {name}"
        )
        self._tasks.append(task)
        return task

    async def _close(self) -> None:
        if self.executor is not None and self.enqueuer.starter is not None:
            self._signals.__exit__(None, None, None)
        for task in reversed(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.database.close()

    def _begin_draining(self) -> None:
        if self.executor is not None:
            self.executor.begin_draining()
