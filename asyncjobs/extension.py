"""
The sockets that an extension may fill. All are optional; the core imports no extension.

`around` wraps every run, as ASGI middleware wraps a request; `hears` is told events; `serve` is a
coroutine that lives in the executor, restarted with a growing pause when it fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from asyncjobs.current import CurrentJob
from asyncjobs.events import Event

CallNext = Callable[[], Awaitable[object]]


@runtime_checkable
class Around(Protocol):
    """Middleware: does something before and after each run, or instead of it."""

    async def around(self, job: CurrentJob, call_next: CallNext) -> object:
        """Return what `call_next()` returned, or an outcome of your own (Snooze, Cancel)."""


@runtime_checkable
class Hears(Protocol):
    """A listener. It is called on the event loop and must not block it."""

    def hears(self, event: Event) -> None:
        """Take note."""


@runtime_checkable
class Serves(Protocol):
    """A service that shares the executor's life."""

    async def serve(self) -> None:
        """Work until cancelled."""


Extension = Around | Hears | Serves
