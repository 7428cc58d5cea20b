"""asyncjobs as a guest, through its public face."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from asyncjobs import Jobs
from asyncjobs.events import Event, Finished
from tests.bench.guest import work
from tests.bench.ours import Ours as Contestant

AT_ONCE = 5_000  # jobs in one statement


class Ours:
    """asyncjobs, as the documentation says."""

    name = "ours"
    gives_way: bool | None = None
    slots = 10  # as it comes

    def __init__(self, dsn: str) -> None:
        self.ended = 0
        self._contestant = Contestant(dsn)
        self._jobs = Jobs(dsn, slots=self.slots, extensions=[self], gives_way=self.gives_way)
        self._tasks = {kind: self._jobs.task(name=kind)(getattr(work, kind)) for kind in work.KINDS}

    def hears(self, event: Event) -> None:
        """Count what has ended."""
        if isinstance(event, Finished):
            self.ended += 1

    async def prepare(self) -> None:
        await self._contestant.prepare()

    async def clear(self) -> None:
        await self._contestant.clear()

    async def fill(self, kinds: list[str]) -> None:
        async with self._jobs.connected():
            for first in range(0, len(kinds), AT_ONCE):
                batch = kinds[first : first + AT_ONCE]
                await self._jobs.enqueue_many([self._tasks[kind].job() for kind in batch])

    def running(self) -> AbstractAsyncContextManager[Any]:
        return self._jobs.running(kind="web")

    def wrap(self, app: Any) -> Any:
        return self._jobs.requests_of(app)

    def figures(self) -> dict[str, Any]:
        manners = self._jobs.health().manners
        if manners is None:
            return {}
        return {
            "slots": manners.slots,
            "late": manners.late.total_seconds(),
            "worked": manners.worked.total_seconds(),
            "rested": manners.rested.total_seconds(),
            "why": manners.why,
        }


class Roomy(Ours):
    """The same with a hundred slots, for jobs that mostly wait."""

    name = "ours, 100 slots"
    slots = 100


class Uncounted(Ours):
    """The same in an app whose requests nobody counts, as where `jobs.running()` is entered by hand."""

    name = "ours, uncounted"

    def wrap(self, app: Any) -> Any:
        return app


class Unmannered(Uncounted):
    """The same without giving way: what `Jobs(gives_way=False)` would be like."""

    name = "ours, unmannered"
    gives_way = False
