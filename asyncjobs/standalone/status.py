"""How the jobs of a database stand: what a person wants to see first, read in a few short statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncjobs.job import JobState
from asyncjobs.jobs import Jobs
from asyncjobs.postgres.statements import Statements

EXACT = 10_000  # above it a count says only that there are more
HEAD = 1_000  # ready jobs of each queue whose tasks are looked at
ANSWER_WITHIN = 5.0  # seconds for one statement

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Process:
    """An executor that has not ended, as far as anybody knows."""

    id: int
    name: str
    kind: str
    version: str
    slots: int
    queues: frozenset[str] | None
    tasks: frozenset[str]
    running: int
    age: float
    is_draining: bool
    is_alive: bool  # by its lock, or by a lease

    def serves(self, queue: str) -> bool:
        """Whether it takes jobs of this queue."""
        return self.queues is None or queue in self.queues


@dataclass(frozen=True, slots=True)
class Status:
    """What was seen; times in seconds."""

    schema: str
    server: Row
    processes: Sequence[Process]
    running: Sequence[Row]
    counts: Mapping[JobState, int]  # EXACT + 1 for all that is more
    ready: Sequence[Row]
    oldest_wait: float | None
    next_task: str | None
    next_due_in: float | None
    failed_lately: int

    @property
    def alive(self) -> Sequence[Process]:
        """The processes that live."""
        return [process for process in self.processes if process.is_alive]


async def look(dsn: str | None, schema: str) -> Status:
    """
    Look around, once.

    Raises Unavailable, ServerTooOld, and SchemaMismatch where the tables are missing, older or too new.
    """
    statements = Statements("asyncjobs.standalone", schema)
    async with Jobs(dsn, schema=schema, migrate=False).connected() as jobs:

        async def rows(name: str, *args: object) -> Sequence[Row]:
            return await jobs.database.fetch(statements[name], *args, timeout=ANSWER_WITHIN)

        [server] = await rows("server")
        processes = [_process(row) for row in await rows("processes", EXACT)]
        [counts] = await rows("counts", EXACT + 1)
        oldest = await rows("oldest_ready", EXACT)
        scheduled = await rows("next_scheduled")
        [lately] = await rows("failed_lately", EXACT + 1)
        return Status(
            schema=schema,
            server=server,
            processes=processes,
            running=await rows("running", [process.id for process in processes]),
            counts={state: counts[state.value] for state in JobState},
            ready=await rows("ready_tasks", HEAD),
            oldest_wait=oldest[0]["waited"] if oldest else None,
            next_task=scheduled[0]["task"] if scheduled else None,
            next_due_in=scheduled[0]["due_in"] if scheduled else None,
            failed_lately=lately["failed"],
        )


def _process(row: Row) -> Process:
    return Process(
        id=row["id"],
        name=row["name"],
        kind=row["kind"],
        version=row["version"],
        slots=row["slots"],
        queues=None if row["queues"] is None else frozenset(row["queues"]),
        tasks=frozenset(row["tasks"]),
        running=row["running"],
        age=row["age"],
        is_draining=row["draining"],
        is_alive=row["is_alive"] or row["is_leased"],
    )
