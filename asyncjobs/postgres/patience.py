"""
Time limits that a blocked event loop does not use up.

A limit is there because somebody may never answer. While our loop is blocked (by a job, by a request
handler, by a signal that stops the process) it is we who do not listen: the answer may have come long ago,
and at the loop's next turn both are due, the answer and the timer that says there was none. To believe the
timer would be to end a good link, and with it the lock, because of a job that computes for five seconds.
Where jobs do that again and again, no new link would come about in between, and others would take jobs
that are running.

So a timer that fires late proves nothing. It is set again, shorter, and given up is only when the loop has
listened all the time since.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

LATE = 0.1  # seconds by which a timer is late when the loop was blocked
LISTEN_FOR = 1.0  # seconds in which an answer that has come is surely read; may be several turns


class patience:  # noqa: N801  # it is used as asyncio.timeout is
    """
    As `asyncio.timeout(seconds)`, and raises TimeoutError as that does, but never because we did not listen.

        async with patience(4):
            rows = await connection.fetch(…)

    `listen`: for how long again, in seconds, when we did not.
    """

    __slots__ = ("_due", "_limit", "_listen", "_loop", "_seconds", "_timer")

    def __init__(self, seconds: float, listen: float = LISTEN_FOR) -> None:
        self._seconds = seconds
        self._listen = listen

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._limit = asyncio.timeout(None)
        await self._limit.__aenter__()
        self._wait(self._seconds)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, traceback)

    def _wait(self, seconds: float) -> None:
        self._due = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        if now - self._due > LATE:
            self._wait(min(self._listen, self._seconds))
        else:
            # It ends at the next turn: an answer that was read in this one still wakes its task before.
            self._limit.reschedule(now)
