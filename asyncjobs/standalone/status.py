"""How the jobs of a database stand: what a person wants to see first, read in a few short statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asyncjobs.checkup import Checkup, check_up
from asyncjobs.checkup.look import Look
from asyncjobs.checkup.processes import Process, processes_of
from asyncjobs.errors import Unavailable
from asyncjobs.job import JobState
from asyncjobs.jobs import Jobs
from asyncjobs.postgres.statements import Statements

EXACT = 10_000  # above it a count says only that there are more
ANSWER_WITHIN = 5.0  # seconds for one statement

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """How the jobs stand; times in seconds."""

    schema: str
    server: Row
    processes: Sequence[Process]
    running: Sequence[Row]
    counts: Mapping[JobState, int]  # EXACT + 1 for all that is more
    oldest_wait: float | None
    next_task: str | None
    next_due_in: float | None
    failed_lately: int

    @property
    def alive(self) -> Sequence[Process]:
        """The processes that live."""
        return [process for process in self.processes if process.is_alive]


@dataclass(frozen=True, slots=True)
class Status:
    """What was seen; `standing` is what Postgres said instead of telling, where it did not."""

    standing: Standing | Unavailable
    checkup: Checkup


async def look(dsn: str | None, schema: str) -> Status:
    """
    Look around, once.

    Raises Unavailable, ServerTooOld, and SchemaMismatch where the tables are missing, older or too new.
    """
    async with Jobs(dsn, schema=schema, migrate=False).connected() as jobs:
        # First, because it waits for nobody: it names who holds up what is asked next.
        checkup = await check_up(jobs)
        try:
            return Status(await _standing(jobs), checkup)
        except Unavailable as error:
            return Status(error, checkup)


async def _standing(jobs: Jobs) -> Standing:
    statements = Statements("asyncjobs.standalone", jobs.schema)

    async def rows(name: str, *args: object) -> Sequence[Row]:
        return await jobs.database.fetch(statements[name], *args, timeout=ANSWER_WITHIN)

    [server] = await rows("server")
    processes = await processes_of(Look(jobs))
    [counts] = await rows("counts", EXACT + 1)
    oldest = await rows("oldest_ready", EXACT)
    scheduled = await Look(jobs).rows("next_scheduled")
    [lately] = await rows("failed_lately", EXACT + 1)
    return Standing(
        schema=jobs.schema,
        server=server,
        processes=processes,
        running=await rows("running", [process.id for process in processes]),
        counts={state: counts[state.value] for state in JobState},
        oldest_wait=oldest[0]["waited"] if oldest else None,
        next_task=scheduled[0]["task"] if scheduled else None,
        next_due_in=scheduled[0]["due_in"] if scheduled else None,
        failed_lately=lately["failed"],
    )
