"""
Running a plain function in a thread, to its end.

anyio lets the thread go when the task that waits for it is cancelled from outside its scopes, as `asyncio.run()`
cancels whatever is left at its end. The function goes on, though, and as long as it does its run is not over: else its
lock would be let go under it, and others would start the job beside it.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio.to_thread


async def in_thread(call: Callable[[], Any], threads: anyio.CapacityLimiter) -> Any:
    """Call it in a thread and give what it returned; cancelled, wait for its end all the same."""
    inside = Inside(call)
    try:
        return await anyio.to_thread.run_sync(inside, limiter=threads)
    except asyncio.CancelledError:
        while inside.goes_on():
            with suppress(asyncio.CancelledError):
                await inside.over.wait()
        raise


class Inside:
    """Knows whether the function is being called; once nobody wants it any more, it will not be."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self.over: asyncio.Event = asyncio.Event()
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._began = False
        self._is_unwanted = False

    def __call__(self) -> Any:
        """Call the function; in the thread."""
        with self._lock:
            if self._is_unwanted:
                return None
            self._began = True
        try:
            return self._call()
        finally:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits
                self._loop.call_soon_threadsafe(self.over.set)

    def goes_on(self) -> bool:
        """Tell whether it has begun and not ended; one that has not begun will not begin; on the loop."""
        with self._lock:
            self._is_unwanted = not self._began
        return self._began and not self.over.is_set()
