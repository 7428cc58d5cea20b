"""The last check-up: shared by all who ask within a few seconds, and remembered for the navigation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import Lock, current_time

from asyncjobs.checkup import Checkup, check_up
from asyncjobs.health import wrong

if TYPE_CHECKING:
    from asyncjobs.jobs import Jobs

FRESH = 5.0  # seconds for which a check-up is shared
REMEMBERED = 600.0  # seconds for which the navigation shows what it found


class Lately:
    """Checks up when somebody asks, one at a time; nothing is asked by itself."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._one_at_a_time = Lock()
        self._last: tuple[float, Checkup] | None = None

    async def checkup(self) -> Checkup:
        """Check up, unless somebody did within the last seconds. Raises NotConnected."""
        async with self._one_at_a_time:
            if self._last is None or current_time() - self._last[0] > FRESH:
                checkup = await check_up(self._jobs)
                self._last = (current_time(), checkup)
            return self._last[1]

    @property
    def alarms(self) -> int:
        """How many things are wrong, as far as is known without asking."""
        here = sum(1 for _ in wrong(self._jobs.health().checks))
        if self._last is None or current_time() - self._last[0] > REMEMBERED:
            return here
        return here + len(self._last[1].wrong)
