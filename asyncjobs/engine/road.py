"""What a connected process can do with jobs: enqueue them, ask for them, cancel, retry and delete them."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from asyncjobs.engine.enqueue import Enqueuer
from asyncjobs.engine.ids import Ids
from asyncjobs.engine.own_loop import OwnLoop
from asyncjobs.engine.wake import Waker
from asyncjobs.errors import JobCancelled, JobFailed, JobNotFound, NotConnected, ResultTimeout
from asyncjobs.job import JobState, Request, Snapshot
from asyncjobs.postgres.enqueues import Enqueues
from asyncjobs.postgres.failures import NotNow
from asyncjobs.postgres.values import Ending
from asyncjobs.seal import Keys, Place, is_sealed
from asyncjobs.task import Job, Task

ASK_AGAIN_AFTER = (0.05, 1.0)  # seconds: at first, and at most
FREE_WITHIN = 2.0  # seconds
FREE_AGAIN_AFTER = 0.05  # seconds

T = TypeVar("T")


class OpenRoad:
    """The way to Postgres and back, while `jobs` is connected."""

    def __init__(
        self,
        ledger: Enqueues,
        enqueuer: Enqueuer,
        waker: Waker,
        ids: Ids,
        tasks: Callable[[], Mapping[str, Task[..., Any]]],
        keys: Keys,
    ) -> None:
        self._ledger = ledger
        self._enqueuer = enqueuer
        self._waker = waker
        self._ids = ids
        self._tasks = tasks
        self._keys = keys
        self._own = OwnLoop()
        self._ended_here: dict[UUID, list[asyncio.Future[None]]] = {}

    async def enqueue(self, jobs: Sequence[Job[Any]], connection: Any) -> list[UUID]:
        """Store the jobs together; gives their ids, in order."""
        self._check_loop("enqueue")
        return await self._enqueuer.enqueue([self._request(job) for job in jobs], connection)

    async def get(self, id: UUID) -> Snapshot:
        """Give a job as it is now."""
        self._check_loop("get a job")
        return await self._ledger.snapshot(id, self._mask)

    async def state(self, id: UUID) -> JobState:
        """Tell where a job stands."""
        self._check_loop("ask for a job")
        return (await self._ledger.ending(id)).state

    async def result(self, id: UUID, timeout: timedelta | None) -> str | None:
        """Wait for the end of a job and give what is stored of its result."""
        self._check_loop("wait for a result")
        ending = await self._ledger.ending(id)
        if not ending.state.is_final:
            try:
                async with asyncio.timeout(None if timeout is None else timeout.total_seconds()):
                    ending = await self._end_of(id)
            except TimeoutError:
                raise ResultTimeout(id, timeout or timedelta(0)) from None
        if ending.state is JobState.SUCCEEDED:
            if ending.result is None:
                return None
            return self._keys.open(ending.result, Place("result", ending.task, id))
        if ending.state is JobState.CANCELLED:
            raise JobCancelled(id, ending.task, ending.error)
        raise JobFailed(id, ending.task, ending.error or "", ending.traceback)

    async def cancel(self, id: UUID) -> bool:
        """Cancel a job that has not finished."""
        self._check_loop("cancel")
        days = await self._keep_days(id)
        done = await _when_free(lambda: self._ledger.cancel(id, days, "cancelled before it ran"))
        if done is not None and done[1] is not None and done[0] == "asked":
            self._ask_to_stop(id, done[1])
        return done is not None

    async def retry(self, id: UUID) -> bool:
        """Make a failed, cancelled or waiting job ready."""
        self._check_loop("retry")
        queue = await _when_free(lambda: self._ledger.retry(id))
        if queue is not None:
            self._waker.ready({queue: 1})
        return queue is not None

    async def delete(self, id: UUID) -> bool:
        """Forget a job; one that runs is asked to stop."""
        self._check_loop("delete")
        done = await _when_free(lambda: self._ledger.delete(id))
        if done is not None and done[1] is not None:
            self._ask_to_stop(id, done[1])
        return done is not None

    async def adopt(self) -> None:
        """Say that this database is the one that its jobs belong to; who waits for that hears it."""
        self._check_loop("adopt")
        await self._ledger.adopt()
        self._waker.local.adopted()
        self._waker.say(home=True)

    def ended(self, id: UUID) -> None:
        """A job ended here: wake those who wait for it."""
        for waiter in self._ended_here.pop(id, ()):
            if not waiter.done():
                waiter.set_result(None)

    async def _end_of(self, id: UUID) -> Ending:
        """A job that ends in this process is known at once, one elsewhere by asking now and then."""
        pause, most = ASK_AGAIN_AFTER
        while True:
            # In line before asking, so that an end in between is not missed.
            waiter: asyncio.Future[None] = self._own.loop.create_future()
            waiters = self._ended_here.setdefault(id, [])
            waiters.append(waiter)
            try:
                ending = await self._ledger.ending(id)
                if ending.state.is_final:
                    return ending
                await asyncio.wait([waiter], timeout=pause * random.uniform(0.8, 1.2))
            finally:
                waiters.remove(waiter) if waiter in waiters else None
                if not waiters and self._ended_here.get(id) is waiters:
                    del self._ended_here[id]
            pause = min(pause * 1.5, most)

    async def _keep_days(self, id: UUID) -> int:
        """A cancelled job is kept as its task says, at least a day so that somebody can see it."""
        try:
            task = self._tasks().get((await self._ledger.ending(id)).task)
        except JobNotFound:
            return 1
        return max(1, task.keep_days(JobState.CANCELLED)) if task else 7

    def _ask_to_stop(self, id: UUID, process: int) -> None:
        if process == self._waker.me():
            self._waker.local.stop_job(id)
        else:
            self._waker.say(stop=str(id), process=process)

    def _request(self, job: Job[Any]) -> Request:
        task, options = job.task, job.options
        id, arguments = self._ids.next(), job.arguments
        extra = None if job.shown is None else f'{{"shown": {job.shown}}}'
        if task.is_sealed:
            arguments = self._keys.seal(arguments, Place("arguments", task.name, id))
            extra = f'{{"key": "{self._keys.newest}"}}'
        return Request(
            id,
            task.name,
            task.queue if options.queue is None else options.queue,
            task.priority if options.priority is None else options.priority,
            arguments,
            options.run_at,
            0.0 if options.delay is None else options.delay.total_seconds(),
            extra,
        )

    def _mask(self, name: str, arguments: str) -> str | None:
        """Give what may be shown of arguments that were stored without saying it; None: that is all."""
        task = self._tasks().get(name)
        return None if task is None or is_sealed(arguments) else task.codec.mask(arguments)

    def _check_loop(self, wanted: str) -> None:
        if not self._own.runs_here:
            raise NotConnected(
                wanted,
                "jobs is connected in another event loop; from a thread of it, use "
                "anyio.from_thread.run(task.enqueue, …)",
            )


async def _when_free(act: Callable[[], Awaitable[T]]) -> T:
    """
    Act on a job that somebody else may hold: ask again, and leave the pool to others in between.

    Raises NotNow when it is still held.
    """
    give_up_at = time.monotonic() + FREE_WITHIN
    while True:
        try:
            return await act()
        except NotNow:
            if time.monotonic() >= give_up_at:
                raise
        await asyncio.sleep(FREE_AGAIN_AFTER)
