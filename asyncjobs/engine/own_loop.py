"""The event loop that something was made in, and whether that is the one which runs here."""

from __future__ import annotations

import asyncio
import threading


class OwnLoop:
    """
    One loop, asked for once.

    On Python 3.11 each `asyncio.get_running_loop()` is a system call (`getpid`), a seventh of what an enqueue takes.
    A thread runs one loop at a time, so whether this one runs here is mostly known without.
    """

    __slots__ = ("_thread", "loop")

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    @property
    def runs_here(self) -> bool:
        """Whether it is the loop that runs in this thread; raises RuntimeError where none does."""
        if threading.get_ident() == self._thread and self.loop.is_running():
            return True
        return asyncio.get_running_loop() is self.loop
