"""Reads rows for the pages: every statement within a deadline, what all tabs ask for only once a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anyio import Lock, current_time, fail_after

from asyncjobs.dashboard.query import Filters
from asyncjobs.errors import Unavailable
from asyncjobs.job import JobState
from asyncjobs.postgres.statements import Statements

if TYPE_CHECKING:
    from asyncjobs.jobs import Jobs

DEADLINE = 3.0  # seconds for one statement
REST = 10.0  # seconds of silence after a statement that did not answer
FRESH = 1.0  # seconds for which a glance is shared
REMEMBERED = 64  # glances, one a filter
EXACT = 10_000  # above it a count says only that there are more
WINDOW = 10_000  # rows that a narrow filter looks at before it asks whether to go on
QUEUES = 200
READ = "read the rows of the dashboard"

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Count:
    """How many jobs stand in a state: exactly, or at least."""

    found: int
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class Serving:
    """The tasks that a living process knows, and the queues that it serves; None: all."""

    tasks: frozenset[str]
    queues: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Glance:
    """What every page shows around its rows, as it was at most a second ago."""

    counts: Mapping[JobState, Count]
    serving: tuple[Serving, ...]
    ready_queues: tuple[str, ...]

    def is_known(self, task: str) -> bool:
        return any(task in process.tasks for process in self.serving)

    def is_served(self, task: str, queue: str) -> bool:
        return any(
            task in process.tasks and (process.queues is None or queue in process.queues)
            for process in self.serving
        )


class Reader:
    """
    The dashboard's eyes: statements by name, on the database of `jobs`.

    It shares two connections with the engine, so it asks one thing at a time. A statement that does not
    answer goes on in Postgres after we have left; so that open tabs do not heap up more of them, nothing
    is asked for a while after that.
    """

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self._statements: Statements | None = None
        self._glances: dict[tuple[str | None, str | None], tuple[float, Glance]] = {}
        self._one_at_a_time, self._one_looks = Lock(), Lock()
        self._rests_until = 0.0

    async def rows(self, name: str, *arguments: object) -> Sequence[Row]:
        """Run a statement. Raises NotConnected or Unavailable."""
        database = self.jobs.database
        if self._statements is None:
            self._statements = Statements("asyncjobs.dashboard", database.schema)
        if current_time() < self._rests_until:
            raise Unavailable(
                READ, f"Postgres took more than {DEADLINE:g} s before, the dashboard lets it rest"
            )
        try:
            with fail_after(DEADLINE):
                async with self._one_at_a_time:
                    return await database.fetch(self._statements[name], *arguments)
        except TimeoutError as error:
            self._rests_until = current_time() + REST
            raise Unavailable(READ, f"no answer within {DEADLINE:g} s") from error

    async def glance(self, filters: Filters) -> Glance:
        """Look around, unless somebody did within the last second; those who come meanwhile wait for it."""
        key = (filters.task, filters.queue)
        async with self._one_looks:
            seen, glance = self._glances.get(key, (0.0, None))
            if glance is None or current_time() - seen > FRESH:
                glance = await self._look(filters)
                self._remember(key, glance)
            return glance

    def _remember(self, key: tuple[str | None, str | None], glance: Glance) -> None:
        if len(self._glances) >= REMEMBERED:
            self._glances.clear()
        self._glances[key] = (current_time(), glance)

    async def _look(self, filters: Filters) -> Glance:
        return Glance(
            counts=await (self._matching(filters) if filters.are_narrow else self._counts()),
            serving=tuple(
                Serving(
                    frozenset(row["tasks"]),
                    None if row["queues"] is None else frozenset(row["queues"]),
                )
                for row in await self.rows("serving")
            ),
            ready_queues=tuple(row["name"] for row in await self.rows("ready_queues", QUEUES)),
        )

    async def _counts(self) -> Mapping[JobState, Count]:
        (row,) = await self.rows("counts", EXACT + 1)
        return {
            state: Count(min(row[state.value], EXACT), row[state.value] > EXACT)
            for state in JobState
        }

    async def _matching(self, filters: Filters) -> Mapping[JobState, Count]:
        rows = await self.rows("matching", filters.task, filters.queue, WINDOW)
        found = {row["state"]: Count(row["found"], row["is_partial"]) for row in rows}
        return {state: found.get(state.value, Count(0)) for state in JobState}
