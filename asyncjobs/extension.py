"""
The sockets that an extension may fill. All are optional; the core imports no extension.

`around` wraps every run, as ASGI middleware wraps a request; `hears` is told events; `serve` is a
coroutine that lives in the executor, restarted with a growing pause when it fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, cast, runtime_checkable

from asyncjobs.current import CurrentJob
from asyncjobs.errors import BadOption
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


def checked(given: object) -> tuple[Extension, ...]:
    """Give them as a tuple; raises BadOption for what fills no socket."""
    what = "objects with around(), hears() or serve()"
    if not isinstance(given, Iterable):
        raise BadOption("extensions", what, given)
    extensions: list[Extension] = []
    for each in cast("Iterable[object]", given):
        if isinstance(each, type) or not isinstance(each, (Around, Hears, Serves)):
            raise BadOption("extensions", what, each)
        extensions.append(each)
    return tuple(extensions)
