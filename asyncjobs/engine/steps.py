"""
The steps of a job: what its coroutine does between two waits.

A coroutine that is a task gets the event loop as soon as what it waited for is there, and ten of them may be due in the
same turn. Here each step asks the pace first, and tells it afterwards how long it has held the loop. It runs in the same
task and the same context as before: what it awaits is handed to the task as it is, and a cancellation to the coroutine.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from asyncjobs.engine.pace import Pace

T = TypeVar("T")


class Steps(Generic[T]):
    """Awaits a coroutine, step by step."""

    __slots__ = ("_coroutine", "_pace")

    def __init__(self, coroutine: Coroutine[Any, Any, T], pace: Pace) -> None:
        self._coroutine = coroutine
        self._pace = pace

    def __await__(self) -> Generator[Any, Any, T]:
        coroutine, pace = self._coroutine, self._pace
        error: BaseException | None = None
        while True:
            if pace.holds and error is None:
                try:
                    yield from pace.turn()
                except BaseException as thrown:
                    error = thrown  # cancelled meanwhile: that is the coroutine's to see
            began = perf_counter()
            try:
                awaited = coroutine.send(None) if error is None else coroutine.throw(error)
            except StopIteration as end:
                result: T = end.value
                return result
            finally:
                pace.spent(began, perf_counter())
            error = None
            try:
                yield awaited
            except BaseException as thrown:
                error = thrown
