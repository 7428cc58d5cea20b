"""
The watch: a thread that ends the process when its event loop will not come back.

The lock speaks for a process whose loop is blocked, and rightly: a slow handler is no death, and nothing may
run twice for it. But a loop that never turns again (a deadlock, an endless loop without an `await`) would
keep its jobs for as long as the process stays. So after the limit that it was given the thread says where the
loop stands, and ends the process. With it go its sockets and its threads, so that nothing overlaps, and others
start its jobs.

The silence is counted in looks, not read from a clock: a process that was stopped (SIGSTOP, a container on
pause) finds minutes on its clock when it goes on, and is well. What never lets go of the interpreter's lock,
as C code can, stops this thread too; then somebody outside has to ask.

Workers are watched unless told otherwise. A web process is not: its requests would end as well.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from asyncjobs.engine.lag import EVERY, Lag

log: logging.Logger = logging.getLogger("asyncjobs.watch")

LEAST = timedelta(seconds=5)
TELL_WITHIN = 2.0  # seconds; whoever blocks the loop may hold the lock of a log's handler
EXIT_CODE = 70  # an error of the program, in the words of sysexits.h


@contextmanager
def watched(
    limit: timedelta | None, lag: Lag, running: Callable[[], Sequence[str]]
) -> Generator[None]:
    """End the process when this loop is blocked for so long; None: never. `running` names what runs."""
    if limit is None:
        yield
        return
    watch = Watch(limit.total_seconds(), lag, running)
    watch.start()
    try:
        yield
    finally:
        watch.stop()


class Watch:
    """Looks once for each time that the loop should have turned."""

    def __init__(self, limit: float, lag: Lag, running: Callable[[], Sequence[str]]) -> None:
        self._limit = limit
        self._lag = lag
        self._running = running
        self._loop_thread = threading.get_ident()
        self._over = threading.Event()

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._look, name="asyncjobs watch", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()

    def _look(self) -> None:
        silent, seen = 0.0, self._lag.woke_at
        while not self._over.wait(EVERY):
            turned = self._lag.woke_at
            silent, seen = (0.0 if turned != seen else silent + EVERY), turned
            if silent >= self._limit:
                self._end()

    def _end(self) -> None:
        telling = threading.Thread(target=self._tell, daemon=True)
        telling.start()
        telling.join(TELL_WITHIN)
        os._exit(EXIT_CODE)

    def _tell(self) -> None:
        # Documented, whatever its name says.
        frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]
        frame = frames.get(self._loop_thread)
        stands = "nowhere" if frame is None else "".join(traceback.format_stack(frame))
        log.critical(
            "the event loop has not turned for %g s; this process ends, and what runs here (%s) starts "
            "elsewhere. It stands at:\n%s",
            self._limit,
            ", ".join(self._running()) or "nothing",
            stands,
        )
        logging.shutdown()
