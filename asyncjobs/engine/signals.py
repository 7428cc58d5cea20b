"""
Noticing SIGTERM and SIGINT when they come.

uvicorn runs the lifespan's end only after open responses have ended; until then we would go on claiming,
and the platform's grace would run out. So the handlers that are there are chained, not replaced: ours
notes that the process is draining, then theirs does what it always did. asyncio's own handlers go through
a wakeup descriptor that the interpreter writes whoever handles the signal, so they chain as well.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def noticed(act: Callable[[], None]) -> Generator[None]:
    """Call `act` on the event loop when the process is told to end, for as long as this is open."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    chained: list[tuple[signal.Signals, Any, Any]] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        former = signal.getsignal(number)
        # With the default handler the process ends at once: nobody would come to drain.
        if callable(former) and former is not signal.default_int_handler:
            ours = _chain(loop, act, former)
            signal.signal(number, ours)
            chained.append((number, ours, former))
    try:
        yield
    finally:
        for number, ours, former in chained:
            if signal.getsignal(number) is ours:
                signal.signal(number, former)


def _chain(
    loop: asyncio.AbstractEventLoop, act: Callable[[], None], former: Callable[[int, Any], Any]
) -> Callable[[int, FrameType | None], None]:
    def handler(number: int, frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(act)
        former(number, frame)

    return handler
