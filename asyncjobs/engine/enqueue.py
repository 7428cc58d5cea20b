"""
Storing jobs: alone, together, or in a caller's transaction.

Outside a transaction, enqueue is a group commit without a timer: while one statement is on its way the
next batch gathers. Nobody returns before their job is durable. The statement belongs to our task, not to
the first caller: a caller that is cancelled before it is sent withdraws its job, after that the job is
stored. When Postgres refuses a batch it is halved until the culprit stands alone, and only its caller
gets the error.

A job of the batch may *start directly*: when this process has a slot for it, the slot is reserved, and
the INSERT itself decides (`enqueue_and_start.sql`). We know the id before we send it, so the run is
expected before its row exists.

When the connection breaks after the statement was sent, nobody knows what happened. The batch is then
sent again, as insert-then-check (`enqueue_again.sql`), until it is certain that each job is stored once;
a direct start is off by then: if the first try did store a running row, the beat finds it and gives it
back.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from uuid import UUID

from asyncjobs import events
from asyncjobs.engine.bell import Bell
from asyncjobs.engine.commits import Commits
from asyncjobs.engine.ears import Ears
from asyncjobs.engine.waiting import Caller, Callers, fail
from asyncjobs.engine.wake import Waker
from asyncjobs.errors import NotConnected, Unavailable
from asyncjobs.job import Claimed, Request, Stored
from asyncjobs.postgres.enqueues import Enqueues
from asyncjobs.postgres.failures import InDoubt, Refused

log: logging.Logger = logging.getLogger("asyncjobs.enqueue")

BATCH = 500  # jobs
BATCH_BYTES = 4_000_000
REDIAL_AFTER = 0.2  # seconds


class Starter(Protocol):
    """What an executor offers for direct starts."""

    def expect(self, request: Request) -> bool:
        """Reserve a slot for it, if it could start here and now."""
        ...

    def unexpect(self, request: Request) -> None:
        """It was not born running."""

    def start_expected(self, job: Claimed) -> None:
        """It was."""

    @property
    def doubt(self) -> Callable[[], None]:
        """Say that something may be ours that we do not know of."""
        ...

    async def enqueue(self, requests: Sequence[Request], wishes: Sequence[bool]) -> list[Stored]:
        """Send the statement that lets them be born running."""
        ...


class Enqueuer:
    """The way in."""

    def __init__(
        self,
        ledger: Enqueues,
        waker: Waker,
        ears: Ears,
        patience: float,
    ) -> None:
        self.starter: Starter | None = None
        self._ledger = ledger
        self._waker = waker
        self._ears = ears
        self._callers = Callers(patience)
        self._waiting = self._callers.waiting
        self._commits = Commits()
        self._bell = Bell()
        self._bulks: set[asyncio.Future[None]] = set()
        self._closed = False

    async def enqueue(self, requests: Sequence[Request], connection: Any = None) -> list[UUID]:
        """
        Store jobs: one joins the shared commit, several share one of their own.

        Raises Unavailable, NotConnected, and on a caller's connection what its own statement would.
        """
        if connection is not None:
            return await self._on(connection, requests)
        if len(requests) == 1:
            await self._join(requests[0])
            return [requests[0].id]
        callers = self._callers.enter(requests)
        # Its statement is its own, but it is no more the caller's than the shared one.
        bulk = asyncio.ensure_future(self._commit(callers, whole=True))
        self._bulks.add(bulk)
        bulk.add_done_callback(self._bulks.discard)
        stored = callers[0].stored if callers else bulk
        await asyncio.wait([bulk, stored], return_when=asyncio.FIRST_COMPLETED)
        if bulk.done():
            bulk.result()
        await stored
        return [request.id for request in requests]

    @property
    def acts_since(self) -> float | None:
        """When it last came along (`time.monotonic()`); None while it listens for callers."""
        return self._bell.left_at

    async def serve(self) -> None:
        """Commit batches for as long as there are callers."""
        self._bell.ring()
        while True:
            await self._bell.heard()
            while self._waiting:
                await self._commit(self._next_batch())

    def close(self) -> None:
        """Tell those who still wait that nobody will store their jobs any more."""
        self._closed = True
        while self._waiting:
            fail([self._waiting.popleft()], NotConnected("enqueue", "jobs was closed meanwhile"))

    async def _join(self, request: Request) -> None:
        if self._closed:
            raise NotConnected("enqueue", "jobs is closing")
        [caller] = self._callers.enter([request])
        self._waiting.append(caller)
        self._bell.ring()
        await caller.stored

    def _next_batch(self) -> list[Caller]:
        batch: list[Caller] = []
        size = 0
        while self._waiting and len(batch) < BATCH and size < BATCH_BYTES:
            caller = self._waiting.popleft()
            if not caller.stored.done():
                batch.append(caller)
                size += len(caller.request.arguments)
        return batch

    async def _commit(self, batch: Sequence[Caller], *, whole: bool = False) -> None:
        """See one batch stored, or its callers told why not; a `whole` one is never halved."""
        try:
            with self._callers.on_the_way(batch):
                await self._see_stored(batch, whole=whole)
        except BaseException:
            closed = "jobs was closed meanwhile; the job may be stored"
            fail(batch, NotConnected("enqueue", closed))
            raise

    async def _see_stored(self, batch: Sequence[Caller], *, whole: bool) -> None:
        if not batch:
            return
        self._bell.still_acts()
        wishes = [self._wishes(caller.request) for caller in batch]
        try:
            stored = await self._send([caller.request for caller in batch], wishes)
        except BaseException as error:
            self._unexpect(batch, wishes)
            failure = error
        else:
            self._settle(batch, wishes, stored)
            return
        # Outside of the clause, so that a cancellation in here is told to the callers as well.
        if isinstance(failure, Refused):
            await self._refused(batch, failure, whole=whole)
        elif isinstance(failure, Unavailable):
            await self._again(batch, failure, whole=whole)
        else:
            raise failure

    def _wishes(self, request: Request) -> bool:
        return self.starter is not None and self.starter.expect(request)

    async def _send(self, requests: list[Request], wishes: list[bool]) -> list[Stored]:
        if self.starter is not None and any(wishes):
            return await self.starter.enqueue(requests, wishes)
        return await self._ledger.enqueue(requests)

    async def _refused(self, batch: Sequence[Caller], error: Refused, *, whole: bool) -> None:
        """Postgres said no: to one of a shared batch, to be found by halving; or to a whole one."""
        if len(batch) == 1 or whole:
            fail(batch, error)
            return
        middle = len(batch) // 2
        await self._commit(batch[:middle])
        await self._commit(batch[middle:])

    async def _again(self, batch: Sequence[Caller], error: Unavailable, *, whole: bool) -> None:
        """Postgres did not answer: try until it does, or until a caller's patience is over."""
        in_doubt = False
        while batch:
            self._callers.failed(error)
            if isinstance(error, InDoubt):
                in_doubt = True
                if self.starter is not None:
                    self.starter.doubt()
            now = time.monotonic()
            fail([caller for caller in batch if caller.deadline <= now], error)
            batch = [caller for caller in batch if caller.deadline > now]
            if not batch:
                return
            await asyncio.sleep(REDIAL_AFTER)
            requests = [caller.request for caller in batch]
            try:
                send = self._ledger.enqueue_again if in_doubt else self._ledger.enqueue
                stored = await send(requests)
            except Refused as refused:
                await self._refused(batch, refused, whole=whole)
                return
            except Unavailable as next_error:
                if str(next_error) != str(error):  # asked again each moment, and told once
                    log.warning("%d jobs wait to be stored: %s", len(batch), next_error)
                self._bell.still_acts()
                error = next_error
            else:
                if in_doubt and self.starter is not None:
                    self.starter.doubt()  # the first try is settled by now: one more look at what it left
                self._settle(batch, [False] * len(batch), stored)
                return

    def _settle(
        self, batch: Sequence[Caller], wishes: Sequence[bool], stored: Sequence[Stored]
    ) -> None:
        self._callers.answered()
        by_id = {row.id: row for row in stored}
        ready: Counter[str] = Counter()
        for caller, wish in zip(batch, wishes, strict=True):
            request = caller.request
            # Those that are ready are not told of, nor those that were there already, from a first try
            # without an answer, which are as good as ready.
            row = by_id.get(request.id)
            if row is None or row.state == "ready":
                ready[request.queue] += 1
                if request.delay > 0 or request.run_at is not None:
                    # Or it waits for its time: who promotes now learns when that is.
                    self._waker.due(0.0)
            elif row.state == "scheduled":
                self._waker.due(row.due_in)
            if wish and self.starter is not None:
                if row is not None and row.state == "running":
                    self.starter.start_expected(_born_running(request, row))
                else:
                    self.starter.unexpect(request)
            if self._ears:
                self._ears(events.Stored(request.id, request.task, request.queue))
            if not caller.stored.done():
                caller.stored.set_result(None)
        if ready:
            self._waker.ready(ready)

    def _unexpect(self, batch: Sequence[Caller], wishes: Sequence[bool]) -> None:
        for caller, wish in zip(batch, wishes, strict=True):
            if wish and self.starter is not None:
                self.starter.unexpect(caller.request)

    async def _on(self, connection: Any, requests: Sequence[Request]) -> list[UUID]:
        """Store on a caller's connection; the wake follows its commit."""
        waits = {row.id: row for row in await self._ledger.enqueue_on(connection, requests)}

        def committed() -> None:
            self._waker.ready(Counter(r.queue for r in requests if r.id not in waits))
            for row in waits.values():
                self._waker.due(row.due_in)
            for request in requests:
                self._ears(events.Stored(request.id, request.task, request.queue))

        self._commits.after(connection, committed)
        return [request.id for request in requests]


def _born_running(request: Request, row: Stored) -> Claimed:
    return Claimed(request.id, request.task, request.queue, 1, 0, row.fence, request.arguments, 0.0)
