"""
One run: from the stored arguments to an outcome.

A run is over when its body has ended, not when we stopped waiting for it: until then it keeps its slot
and its row, or two runs of one job could overlap. A coroutine is an asyncio task of ours. It is cancelled
with `task.cancel()`, and again only at intervals: anyio's level-triggered scopes would spin on a job that
swallows cancellation, and would cancel the `await` in its `finally`. A plain function runs in a thread
and is never cancelled: its thread would go on unseen. It is told, through `current_job().cancelled`.

Whatever happens in a body ends as a value, an Outcome; no exception of a job leaves this module.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import Any

import anyio.to_thread

from asyncjobs.codec import Codec
from asyncjobs.current import CurrentJob, Teller, enter
from asyncjobs.engine.story import LINE, one_line, storable, whole
from asyncjobs.errors import ArgumentsDoNotFit, JobTimedOut, ResultNotStorable, Stopped
from asyncjobs.extension import Around, CallNext
from asyncjobs.job import Cancel, Claimed, JobState, Outcome, Snooze
from asyncjobs.task import Task

CANCEL_AGAIN_AFTER = 5.0  # seconds


class Stop(Enum):
    """Why a run is being stopped."""

    SHUTDOWN = "the process is shutting down"
    TIMEOUT = "it ran longer than its timeout"
    ASKED = "somebody asked to cancel it"
    CUT_OFF = "this process was cut off from Postgres"
    LOST = "it is not ours any more"


_GIVES_BACK = (Stop.SHUTDOWN, Stop.CUT_OFF)


class Run:
    """A job that is ours, from the moment it is claimed to the moment its outcome is recorded."""

    __slots__ = ("_again", "_body", "began", "current", "ended", "job", "stop", "task")

    def __init__(self, job: Claimed, task: Task[..., Any], teller: Teller) -> None:
        self.job: Claimed = job
        self.task: Task[..., Any] = task
        self.stop: Stop | None = None
        self.began: float = time.monotonic()
        self.ended: bool = False
        timeout = task.timeout
        ends = None if timeout is None else self.began + timeout.total_seconds()
        self.current: CurrentJob = CurrentJob(
            job.id, job.task, job.queue, job.attempt, job.fence, teller, ends
        )
        self._body: asyncio.Task[Any] | None = None
        self._again: asyncio.TimerHandle | None = None

    def ask_to_stop(self, why: Stop) -> None:
        """Stop it as far as it can be stopped; the first reason stays, unless it is lost."""
        if self.stop is None or why is Stop.LOST:
            self.stop = why
        self.current.cancelled = True
        if self._body is not None and self._again is None:
            self._cancel()

    def _cancel(self) -> None:
        if self._body is not None and not self.ended:
            self._body.cancel()
            self._again = asyncio.get_running_loop().call_later(CANCEL_AGAIN_AFTER, self._cancel)

    async def perform(self, arounds: Sequence[Around], threads: anyio.CapacityLimiter) -> Outcome:
        """Run the body to its end and tell how it ended; to be awaited as a task of its own."""
        if self.stop is not None:
            return self._stopped(asyncio.CancelledError())
        enter(self.current)
        try:
            call = self._call(arounds, threads)
        except ArgumentsDoNotFit as error:
            return Outcome(JobState.FAILED, "failed", error=one_line(error))
        except Exception as error:  # a validator of the user's own
            return given_up(error)
        timer = self._set_timer()
        try:
            return self._returned(self.task.codec, await call())
        except asyncio.CancelledError as error:
            return self._stopped(error)
        except GeneratorExit:
            raise
        except BaseException as error:
            return self._failed(error)
        finally:
            self.ended = True
            for handle in (timer, self._again):
                if handle is not None:
                    handle.cancel()

    def _call(self, arounds: Sequence[Around], threads: anyio.CapacityLimiter) -> CallNext:
        """Load the arguments, and wrap the function in its thread and its middleware."""
        args, kwargs = self.task.codec.load(self.job.arguments)
        call: CallNext = partial(self.task.function, *args, **kwargs)
        if self.task.is_async:
            self._body = asyncio.current_task()
        else:
            call = partial(_in_thread, call, threads)
        for around in reversed(arounds):
            call = partial(around.around, self.current, call)
        return call

    def _set_timer(self) -> asyncio.TimerHandle | None:
        if self.task.timeout is None:
            return None
        loop = asyncio.get_running_loop()
        return loop.call_later(self.task.timeout.total_seconds(), self.ask_to_stop, Stop.TIMEOUT)

    def _returned(self, codec: Codec, result: object) -> Outcome:
        if isinstance(result, Snooze):
            return _again("snoozed", result.delay, counts=False)
        if isinstance(result, Cancel):
            return Outcome(
                JobState.CANCELLED, "cancelled", error=storable(result.reason, LINE) or None
            )
        try:
            return Outcome(JobState.SUCCEEDED, "succeeded", result=codec.dump_result(result))
        except ResultNotStorable as error:
            return Outcome(JobState.FAILED, "failed", error=one_line(error))
        except Exception as error:  # a serializer of the user's own
            return given_up(error)

    def _stopped(self, error: BaseException) -> Outcome:
        """It ended by cancellation: ours, or one that nobody asked for, which is a failure."""
        if self.stop in _GIVES_BACK:
            return Outcome(JobState.READY, "released", counts=False, error=self.stop.value)
        if self.stop is Stop.TIMEOUT and self.task.timeout is not None:
            return self._tried(JobTimedOut(self.task.timeout), whole(error))
        if self.stop is not None:
            return Outcome(JobState.CANCELLED, "cancelled", error=self.stop.value)
        return self._tried(error, whole(error))

    def _failed(self, error: BaseException) -> Outcome:
        if self.stop in _GIVES_BACK or (self.stop is not None and isinstance(error, Stopped)):
            return self._stopped(error)
        return self._tried(error, whole(error))

    def _tried(self, error: BaseException, traceback: str) -> Outcome:
        """It failed: again later, or never."""
        age = timedelta(seconds=self.job.age + time.monotonic() - self.began)
        try:
            pause = self.task.retry.after(error, self.job.attempt, age)
        except Exception as second:  # a policy of the user's own
            return given_up(second)
        if pause is None:
            return Outcome(JobState.FAILED, "failed", error=one_line(error), traceback=traceback)
        return _again("failed", pause, error=one_line(error), traceback=traceback)


def given_up(error: BaseException) -> Outcome:
    """Something around the function failed, in a way that another attempt would not change."""
    return Outcome(JobState.FAILED, "failed", error=one_line(error), traceback=whole(error))


def _again(story: str, pause: timedelta, **more: Any) -> Outcome:
    seconds = pause.total_seconds()
    return Outcome(
        JobState.SCHEDULED if seconds > 0 else JobState.READY, story, delay=seconds, **more
    )


async def _in_thread(call: Callable[[], Any], threads: anyio.CapacityLimiter) -> Any:
    return await anyio.to_thread.run_sync(call, limiter=threads)
