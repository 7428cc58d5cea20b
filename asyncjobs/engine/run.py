"""
One run: from the stored arguments to an outcome.

A run is over when its body has ended, not when we stopped waiting for it: until then it keeps its slot
and its row, or two runs of one job could overlap. A coroutine is an asyncio task of ours. It is cancelled
with `task.cancel()`, and again only at intervals: anyio's level-triggered scopes would spin on a job that
swallows cancellation, and would cancel the `await` in its `finally`. A plain function runs in a thread
and is never cancelled: its thread would go on unseen. It is told, through `current_job().cancelled`. One that
runs in a process of the pool is told, and then killed: cancelling its run does both, and comes back when it has ended.

Whatever happens in a body ends as a value, an Outcome; no exception of a job leaves this module.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import Any

from asyncjobs.codec import Codec
from asyncjobs.current import CurrentJob, Teller, enter
from asyncjobs.engine.in_process import Places, Written, in_process, told_there
from asyncjobs.engine.story import LINE, Story, one_line, whole
from asyncjobs.engine.thread import in_thread
from asyncjobs.errors import (
    ArgumentsDoNotFit,
    BrokenSeal,
    JobTimedOut,
    NoKey,
    ResultNotStorable,
    Stopped,
)
from asyncjobs.extension import Around, CallNext
from asyncjobs.job import Cancel, Claimed, JobState, Outcome, Snooze
from asyncjobs.postgres.failures import NoAnswer
from asyncjobs.seal import Keys, Place, is_sealed
from asyncjobs.secret import Scrub
from asyncjobs.task import Task

log: logging.Logger = logging.getLogger("asyncjobs.run")

CANCEL_AGAIN_AFTER = 5.0  # seconds
ON_ITS_WAY = 1.0  # seconds that a claim may be, from before we knew that a key is missing
WITHOUT_KEY = timedelta(
    minutes=1
)  # until a job that we cannot open, and get all the same, is tried again

Fetch = Callable[[Claimed], Awaitable[str | None]]


class Stop(Enum):
    """Why a run is being stopped."""

    SHUTDOWN = "the process is shutting down"
    TIMEOUT = "it ran longer than its timeout"
    ASKED = "somebody asked to cancel it"
    CUT_OFF = "this process was cut off from Postgres"
    LOST = "it is not ours any more"
    WAITED = "it was claimed, and there was no slot for it soon"


_GIVES_BACK = (Stop.SHUTDOWN, Stop.CUT_OFF, Stop.WAITED)


class Run:
    """A job that is ours, from the moment it is claimed to the moment its outcome is recorded."""

    __slots__ = (
        "_again", "_body", "_keys", "_scrub", "began", "current", "ended", "ends", "job", "own", "stop", "task", "told_at",
    )  # fmt: skip

    def __init__(self, job: Claimed, task: Task[..., Any], teller: Teller, keys: Keys) -> None:
        self.job: Claimed = job
        self.task: Task[..., Any] = task
        self._keys = keys
        self._scrub = Scrub() if task.codec.secretive else _NOTHING_SECRET
        self.stop: Stop | None = None
        self.told_at: float | None = None  # time.monotonic() when it was first told to stop
        self.began: float = time.monotonic()
        self.ended: bool = False
        timeout = task.timeout
        ends = None if timeout is None else self.began + timeout.total_seconds()
        self.ends: float | None = ends
        self.current: CurrentJob = CurrentJob(
            job.id, job.task, job.queue, job.attempt, job.fence, teller, ends, self._scrub
        )
        self._body: asyncio.Task[Any] | None = None
        self._again: asyncio.TimerHandle | None = None
        self.own: asyncio.Task[Any] | None = None
        """The task that it runs in, which nobody else holds."""

    def ask_to_stop(self, why: Stop) -> None:
        """Stop it as far as it can be stopped; the first reason stays, unless it is lost."""
        if self.stop is None or why is Stop.LOST:
            self.stop = why
        if self.told_at is None:
            self.told_at = time.monotonic()
        self.current.cancelled = True
        if self._body is not None and self._again is None:
            self._cancel()

    def _cancel(self) -> None:
        if self._body is not None and not self.ended:
            self._body.cancel()
            self._again = asyncio.get_running_loop().call_later(CANCEL_AGAIN_AFTER, self._cancel)

    def unrun(self, why: Stop) -> Outcome:
        """Tell how it ends, stopped before it has begun."""
        self.ask_to_stop(why)
        self.ended = True
        return self._stopped(asyncio.CancelledError())

    async def perform(self, arounds: Sequence[Around], places: Places, fetch: Fetch) -> Outcome:
        """Run the body to its end and tell how it ended; to be awaited as a task of its own."""
        if self.stop is not None:
            return self._stopped(asyncio.CancelledError())
        enter(self.current)
        own = self.own
        timer: asyncio.TimerHandle | None = None
        try:
            call = await self._prepare(arounds, places, fetch)
            if isinstance(call, Outcome):
                return call
            timer = self._set_timer()
            return self._returned(self.task.codec, await call())
        except asyncio.CancelledError as error:
            return self._stopped(error)
        except BaseException as error:
            if isinstance(error, GeneratorExit) and _is_being_closed(own):
                raise
            return self._failed(error)
        finally:
            self.ended = True
            for handle in (timer, self._again):
                if handle is not None:
                    handle.cancel()

    async def _prepare(
        self, arounds: Sequence[Around], places: Places, fetch: Fetch
    ) -> CallNext | Outcome:
        """Make it ready to be called, or tell how it ends without."""
        try:
            if self.job.arguments is None:
                await self._complete(fetch)
            return self._call(arounds, places)
        except NoAnswer as error:
            return Outcome(JobState.READY, "released", counts=False, error=one_line(error))
        except NoKey as error:
            return self._without_key(error)
        except (ArgumentsDoNotFit, BrokenSeal) as error:
            return Outcome(JobState.FAILED, "failed", error=self._story.one_line(error))
        except (
            Exception
        ) as error:  # a validator of the user's own, or arguments that cannot be read
            return self._given_up(error)

    async def _complete(self, fetch: Fetch) -> None:
        """Fetch the arguments; whatever stops the run stops this."""
        self._body = self.own
        arguments = await fetch(self.job)
        self._body = None
        if arguments is None:
            self.stop = Stop.LOST
            raise asyncio.CancelledError
        self.job = self.job._replace(arguments=arguments)

    def _call(self, arounds: Sequence[Around], places: Places) -> CallNext:
        """Load the arguments, and wrap the function in its thread and its middleware."""
        assert self.job.arguments is not None, "fetched before"
        stored = self.job.arguments
        if is_sealed(stored):
            stored = self._keys.open(stored, self._place("arguments"))
        call = self._placed(stored, places, is_observed=bool(arounds))
        for around in reversed(arounds):
            call = partial(around.around, self.current, call)
        return call

    def _placed(self, stored: str, places: Places, *, is_observed: bool) -> CallNext:
        """Say where the function is to be called."""
        task, codec = self.task, self.task.codec
        if task.runs_in == "process":
            self._body = self.own
            if codec.secretive:
                # It is called elsewhere; here only its secrets are wanted.
                codec.load(stored, self._scrub)
            return partial(self._in_process, stored, places, is_observed)
        call = _bound(task.function, *codec.load(stored, self._scrub))
        if task.runs_in == "thread":
            return partial(in_thread, call, places.threads)
        self._body = self.own
        return call

    async def _in_process(self, stored: str, places: Places, is_observed: bool) -> object:
        ends_in = None if self.ends is None else self.ends - time.monotonic()
        result = await in_process(self.task, self.current, stored, ends_in, places.processes)
        if is_observed and isinstance(result, Written):
            # Whoever is around the run sees what the function returned; else nobody needs it.
            return self.task.codec.load_result(result.result)
        return result

    @property
    def _story(self) -> Story:
        return Story(self._scrub, sealed=self.task.is_sealed)

    def _place(self, what: str) -> Place:
        return Place(what, self.job.task, self.job.id)

    def _without_key(self, error: NoKey) -> Outcome:
        """
        Leave it to a process that has the key: give it back unharmed.

        From now on the claim leaves what is under that key where it is; not the whole task, or one row
        under a key that was lost would stop all of its jobs. A row that does not name its key, because
        somebody has edited it, would come again at once: it waits for a while.
        """
        if error.key not in self._keys.missing:
            self._keys.missing[error.key] = time.monotonic()
            log.warning("%s; jobs under it are left to others", error)
        is_expected = self.began < self._keys.missing[error.key] + ON_ITS_WAY
        pause = timedelta(0) if is_expected else WITHOUT_KEY
        return _again("released", pause, counts=False, error=one_line(error))

    def _set_timer(self) -> asyncio.TimerHandle | None:
        if self.task.timeout is None:
            return None
        loop = asyncio.get_running_loop()
        return loop.call_later(self.task.timeout.total_seconds(), self.ask_to_stop, Stop.TIMEOUT)

    def _returned(self, codec: Codec, result: object) -> Outcome:
        if isinstance(result, Outcome):  # from a process of the pool
            return result
        if isinstance(result, Snooze):
            return _again("snoozed", result.delay, counts=False)
        if isinstance(result, Cancel):
            reason = self._story.words(result.reason, LINE)
            return Outcome(JobState.CANCELLED, "cancelled", error=reason or None)
        try:
            written = result.result if isinstance(result, Written) else codec.dump_result(result)
            stored = self._to_store(written)
            return (
                _DONE if stored is None else Outcome(JobState.SUCCEEDED, "succeeded", result=stored)
            )
        except ResultNotStorable as error:
            return Outcome(JobState.FAILED, "failed", error=self._story.one_line(error))
        except Exception as error:  # a serializer of the user's own
            return self._given_up(error)

    def _to_store(self, result: str | None) -> str | None:
        if result is None:
            return None
        if self.task.is_sealed:
            return self._keys.seal(result, self._place("result"))
        if is_sealed(result):
            reason = "an object whose only key is $sealed would be taken for a sealed value"
            raise ResultNotStorable(self.job.task, reason)
        return result

    def _stopped(self, error: BaseException) -> Outcome:
        """It ended by cancellation: ours, or one that nobody asked for, which is a failure."""
        if self.stop in _GIVES_BACK:
            return Outcome(JobState.READY, "released", counts=False, error=self.stop.value)
        if self.stop is Stop.TIMEOUT and self.task.timeout is not None:
            return self._tried(JobTimedOut(self.task.timeout), self._story.whole(error))
        if self.stop is not None:
            return Outcome(JobState.CANCELLED, "cancelled", error=self.stop.value)
        return self._tried(error, self._story.whole(error))

    def _failed(self, error: BaseException) -> Outcome:
        if self.stop in _GIVES_BACK or (self.stop is not None and isinstance(error, Stopped)):
            return self._stopped(error)
        return self._tried(error, self._whole(error))

    def _whole(self, error: BaseException) -> str:
        there = told_there(error)
        return there.whole if there else self._story.whole(error)

    def _line(self, error: BaseException) -> str:
        there = told_there(error)
        return there.line if there else self._story.one_line(error)

    def _tried(self, error: BaseException, traceback: str) -> Outcome:
        """It failed: again later, or never."""
        age = timedelta(seconds=self.job.age + time.monotonic() - self.began)
        try:
            pause = self.task.retry.after(error, self.job.attempt, age)
        except Exception as second:  # a policy of the user's own
            return self._given_up(second)
        line = self._line(error)
        if pause is None:
            return Outcome(JobState.FAILED, "failed", error=line, traceback=traceback)
        return _again("failed", pause, error=line, traceback=traceback)

    def _given_up(self, error: BaseException) -> Outcome:
        """Something around the function failed, in a way that another attempt would not change."""
        line, whole = self._story.one_line(error), self._story.whole(error)
        return Outcome(JobState.FAILED, "failed", error=line, traceback=whole)


def _is_being_closed(own: object) -> bool:
    """Whether a GeneratorExit is not the body's own, but the interpreter's, which clears up after a dead loop."""
    try:
        return asyncio.current_task() is not own
    except RuntimeError:
        return True


_NOTHING_SECRET = Scrub()  # shared by all runs of tasks without secrets, and never taught any
_DONE = Outcome(JobState.SUCCEEDED, "succeeded")  # with nothing to keep: as most jobs end


def given_up(error: BaseException) -> Outcome:
    """Something of ours failed around the run."""
    return Outcome(JobState.FAILED, "failed", error=one_line(error), traceback=whole(error))


def _again(story: str, pause: timedelta, **more: Any) -> Outcome:
    seconds = pause.total_seconds()
    return Outcome(
        JobState.SCHEDULED if seconds > 0 else JobState.READY, story, delay=seconds, **more
    )


def _bound(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> CallNext:
    # Not a partial: it would tell the arguments to whoever prints what middleware is to call next.
    def call() -> Any:
        return function(*args, **kwargs)

    return call
