"""
Parting: a process that was told to end does end, whatever its jobs do.

A coroutine that swallows cancellation keeps `asyncio.run()` from coming back, and a function stuck in its thread
keeps the interpreter, so that Ctrl-C would leave a process that serves nobody, runs nothing new, and keeps the
rows of those jobs for ever. When it is gone, and its lock with it, others start them.

So when jobs are overdue at the end of a drain, and the process was told to end by a signal, a thread waits for
the moment in which nothing else holds the process up: its loop is being torn down, or its main thread has
ended. A little later it ends the process. Without a signal nobody said that the process is to end, so that a test
or a script waits, as Python does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence

log: logging.Logger = logging.getLogger("asyncjobs.parting")

WITHIN = 3.0  # seconds; a worker of ours sees to its own end sooner
EVERY = 0.1  # seconds between two looks
TELL_WITHIN = 1.0  # seconds; whoever is stuck may hold the lock of a log's handler
EXIT_CODE = 1  # as the supervisor's, where something had to be killed


class Parting:
    """Watches over the end of a process that still runs jobs; `overdue` names them, any thread may ask."""

    def __init__(
        self, overdue: Callable[[], Sequence[str]], end: Callable[[int], None] = os._exit
    ) -> None:
        self._overdue = overdue
        self._end = end
        self._is_torn_down = threading.Event()
        self._torn_down: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Watch from now on; called on the loop when the drain has ended."""
        me = asyncio.current_task()
        if me is not None and me.cancelling():
            self._is_torn_down.set()  # it is already, or else we would not be cut short
        else:
            self._torn_down = asyncio.get_running_loop().create_task(self._until_torn_down())
        threading.Thread(target=self._watch, name="asyncjobs parting", daemon=True).start()

    async def _until_torn_down(self) -> None:
        """Nobody cancels this but whoever cancels everything that is left in the loop."""
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._is_torn_down.set()

    def _watch(self) -> None:
        stuck = 0.0
        while self._overdue() and stuck < WITHIN:
            time.sleep(EVERY)
            stuck = stuck + EVERY if self._holds_up_the_end() else 0.0
        overdue = self._overdue()
        if overdue:
            telling = threading.Thread(target=_tell, args=[overdue], daemon=True)
            telling.start()
            telling.join(TELL_WITHIN)
            self._end(EXIT_CODE)

    def _holds_up_the_end(self) -> bool:
        return self._is_torn_down.is_set() or not threading.main_thread().is_alive()


def _tell(overdue: Sequence[str]) -> None:
    log.critical(
        "%s will not end; the process does, and others start what it leaves", ", ".join(overdue)
    )
    logging.shutdown()
