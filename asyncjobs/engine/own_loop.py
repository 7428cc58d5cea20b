"""The event loop that something was made in, and whether that is the one which runs here."""

from __future__ import annotations

import asyncio
import os
import threading
from weakref import WeakSet


class OwnLoop:
    """
    One loop, asked for once.

    On Python 3.11 each `asyncio.get_running_loop()` is a system call (`getpid`), a tenth of what an enqueue takes.
    A thread runs one loop at a time, so whether this one runs here is mostly known without. In a forked child it does
    not, whatever its copy says.
    """

    __slots__ = ("__weakref__", "_thread", "loop")

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._thread: int | None = threading.get_ident()
        _look_after(self)

    @property
    def runs_here(self) -> bool:
        """Whether it is the loop that runs in this thread; raises RuntimeError where none does."""
        if threading.get_ident() == self._thread and self.loop.is_running():
            return True
        return asyncio.get_running_loop() is self.loop

    def leave(self) -> None:
        """This is a forked child: the loop runs in the parent."""
        self._thread = None


_all: WeakSet[OwnLoop] | None = None


def _look_after(own: OwnLoop) -> None:
    global _all  # noqa: PLW0603 - a hook of the interpreter's is for ever, so there is one
    if _all is None:
        _all = WeakSet()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_leave_all)
    _all.add(own)


def _leave_all() -> None:
    for own in list(_all or ()):
        own.leave()
