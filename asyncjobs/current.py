"""The job that is running here: what a task's function may know of it and tell about it."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from asyncjobs.errors import BadOption, NotInAJob, Stopped

_current: ContextVar[CurrentJob] = ContextVar("asyncjobs.current_job")


class Teller(Protocol):
    """Where progress goes."""

    async def progress(self, job: CurrentJob, fraction: float, note: str) -> None:
        """Store it, and come back when it is stored."""

    def report(self, job: CurrentJob, fraction: float, note: str) -> None:
        """Store it soon; callable from any thread."""


class CurrentJob:
    """A run in progress, as its function sees it."""

    __slots__ = (
        "_ends", "_scrub", "_teller", "attempt", "cancelled", "fence", "id", "queue", "task",
    )  # fmt: skip

    def __init__(
        self,
        id: UUID,
        task: str,
        queue: str,
        attempt: int,
        fence: int,
        teller: Teller,
        ends: float | None,
        scrub: Callable[[str], str] = str,
    ) -> None:
        self.id: UUID = id
        self.task: str = task
        self.queue: str = queue
        self.attempt: int = attempt
        self.fence: int = fence
        self.cancelled: bool = False
        """
        Whether the run should stop: a shutdown, the timeout, or somebody cancelled it.

        A coroutine need not look, it is cancelled. A plain function cannot be stopped from outside, so
        a long one looks here now and then, and returns.
        """
        self._teller = teller
        self._ends = ends
        self._scrub = scrub

    def raise_if_cancelled(self) -> None:
        """End a plain function that was asked to stop: raises Stopped, which counts as its cancellation."""
        if self.cancelled:
            raise Stopped

    @property
    def deadline(self) -> datetime | None:
        """When its timeout ends, on this machine's clock; None without a timeout."""
        if self._ends is None:
            return None
        return datetime.now(UTC) + timedelta(seconds=self._ends - time.monotonic())

    async def progress(self, fraction: float, note: str = "") -> None:
        """
        Tell how far the job is, from 0 to 1, with a few words.

        Returns when it is stored; while one is on its way, later ones of the same job replace each
        other. Raises BadOption for a fraction outside 0 to 1 or a note that is no string.
        """
        await self._teller.progress(self, _fraction(fraction), self._scrub(_note(note)))

    def report(self, fraction: float, note: str = "") -> None:
        """Tell the same without waiting, from a plain function's thread too."""
        self._teller.report(self, _fraction(fraction), self._scrub(_note(note)))


def current_job() -> CurrentJob:
    """
    Give the job that is running here.

    Raises NotInAJob elsewhere.
    """
    try:
        return _current.get()
    except LookupError:
        raise NotInAJob from None


def job_of(task: asyncio.Task[Any]) -> CurrentJob | None:
    """Give the job that an asyncio task belongs to, or is of; None too where Python cannot tell, before 3.12."""
    if sys.version_info < (3, 12):
        return None
    return task.get_context().get(_current)


def enter(job: CurrentJob) -> None:
    """Make `job` the current one for the rest of this context."""
    _current.set(job)


def _fraction(fraction: float) -> float:
    if not isinstance(fraction, (int, float)) or not 0 <= fraction <= 1:
        raise BadOption("fraction", "a number from 0 to 1", fraction)
    return float(fraction)


def _note(note: str) -> str:
    if not isinstance(note, str):
        raise BadOption("note", "a string", note)
    return note
