"""Being told to end: by the first SIGTERM or SIGINT in good order, by the second at once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def told_to_end(
    end: Callable[[], None], at_once: Callable[[], None] | None = None
) -> Generator[None]:
    """
    Call `end` on the event loop at the first signal, and `at_once` at each one after it.

    Without `at_once` the first signal gives both back to the system: the second one ends the process even
    when its event loop, or the interpreter, is stuck.
    """
    loop = asyncio.get_running_loop()
    is_told = False

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal is_told
        act = at_once if is_told and at_once is not None else end
        is_told = True
        if at_once is None:
            for each in SIGNALS:
                signal.signal(each, signal.SIG_DFL)
        loop.call_soon_threadsafe(act)

    former = {each: signal.signal(each, hear) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
