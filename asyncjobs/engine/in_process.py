"""Calling the function of a run in a process of the pool, and what comes back: a result, an outcome, or an exception."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from asyncjobs.current import CurrentJob
from asyncjobs.job import Cancel, Outcome, Snooze
from asyncjobs.task import Task

if TYPE_CHECKING:
    from asyncjobs.engine.process_pool import ProcessPool


class Places:
    """Where functions run that do not run on the loop; the pool is made, and imported, for the first that wants it."""

    def __init__(self, slots: int) -> None:
        self.threads: anyio.CapacityLimiter = anyio.CapacityLimiter(slots)
        self._processes: ProcessPool | None = None

    @property
    def processes(self) -> ProcessPool:
        """The process pool."""
        if self._processes is None:
            from asyncjobs.engine.process_pool import ProcessPool

            self._processes = ProcessPool()
        return self._processes

    def end(self) -> None:
        """End the pool, and what runs in it; called when nothing may run here any more."""
        if self._processes is not None:
            self._processes.end()


class Written(NamedTuple):
    """A result that is JSON already."""

    result: str | None


class RaisedThere(Exception):
    """The cause of what a function raised there: how it is told, in a line and with its traceback there."""

    def __init__(self, line: str, whole: str) -> None:
        super().__init__(whole)
        self.line = line
        self.whole = whole


async def in_process(
    task: Task[..., Any],
    current: CurrentJob,
    arguments: str,
    ends_in: float | None,
    processes: ProcessPool,
) -> Written | Outcome | Snooze | Cancel:
    """Call the function there; raises what it raises, and PoolProcessDied."""
    from asyncjobs.engine import messages
    from asyncjobs.engine.raised import unpacked

    assert task.place is not None, "asked at its declaration"
    call = messages.Call(
        task.place, task.name, task.secret, task.is_sealed, arguments,
        current.id, current.queue, current.attempt, current.fence, ends_in,
    )  # fmt: skip
    message = await processes.do(call, current.report)
    if isinstance(message, messages.Raised):
        error = unpacked(message.error, message.kind, message.line)
        raise error from RaisedThere(message.line, message.whole)
    if isinstance(message, messages.Ended):
        return message.outcome
    assert isinstance(message, messages.Returned), "the last word of a call"
    return Written(message.result)


def told_there(error: BaseException) -> RaisedThere | None:
    """Give how an exception was told where it was raised, if that was in a process of the pool."""
    return error.__cause__ if isinstance(error.__cause__, RaisedThere) else None
