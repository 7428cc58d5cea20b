"""One short method per statement: values in, values out. What is sent on the link says so."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from asyncjobs.errors import JobNotFound, Unavailable
from asyncjobs.job import (
    Claimed,
    JobState,
    Outcome,
    Request,
    Settled,
    Snapshot,
    Stored,
    read_history,
)
from asyncjobs.postgres import columns
from asyncjobs.postgres.bond import Bond
from asyncjobs.postgres.callers import answer_in_callers
from asyncjobs.postgres.database import Database
from asyncjobs.postgres.failures import InDoubt, Refused
from asyncjobs.postgres.statements import Row, Statements, into_spill

ENQUEUE_ANSWER_WITHIN = 5.0  # seconds; a resend follows, within the caller's patience
RESEND_WITHIN = 8.0  # seconds for a whole resend, within the caller's patience
ARGUMENTS_WITHIN = 5.0  # seconds; asked again within the run's patience

Fetch = Callable[..., Awaitable[Sequence[Row]]]
Mask = Callable[[str, str], str | None]
"""Tells, by the task's name, what may be shown of arguments that do not say it themselves; None: all."""


Stretches = tuple[list[str], list[int], list[str], list[UUID], list[int]]
"""Where a claim looks: queues, and in each from which priority, promise and id up to which priority."""
WHOLE: Stretches = ([], [], [], [], [])
"""No stretches: queues are walked from their beginnings."""


class Poll(NamedTuple):
    """What the safety poll found."""

    ready_in: list[str]
    due_in: float | None  # seconds
    others_run: bool
    we_run: bool
    migration: str | None  # the newest that was applied


class Choice(NamedTuple):
    """How a claim came to what it brought."""

    saw: int  # candidates
    walked: float  # seconds that it took to choose
    rows: Sequence[Row]  # of what it brought, with queue and priority


class Survey(NamedTuple):
    """Where the first job that we could run stands: promise and id, by queue and priority."""

    places: dict[str, dict[int, tuple[str, UUID]]]
    recent: str  # the latest promise that a place may have
    walked: float  # seconds that it took


class Promoted(NamedTuple):
    """What was due and is ready now."""

    number: int
    queues: list[str]
    saw: int  # due, with those that somebody held
    due_in: float | None  # seconds until the next
    reached: str  # the moment before which nothing is left, but what commits late
    walked: float  # seconds that it took


class Recorded(NamedTuple):
    """What became of one outcome: 'recorded', 'locked' or 'lost'."""

    answer: str
    state: str | None = None  # where it is now, if not where it was said to go


class Beat(NamedTuple):
    """One job that Postgres thinks is ours."""

    id: UUID
    fence: int
    cancel_asked: bool


class Silent(NamedTuple):
    """A process whose lock nobody holds; `is_leased`: only proof of its death counts."""

    id: int
    generation: int | None
    machine: str | None
    pid: int | None
    pid_started: int | None
    name: str | None
    runs_jobs: bool
    is_leased: bool
    of_an_earlier_life: bool
    life_age: float  # seconds


class Taken(NamedTuple):
    """A job that was rescued; `state` is where it is now."""

    id: UUID
    task: str
    queue: str
    state: str


class Ending(NamedTuple):
    """Where a job stands, and how it ended if it has."""

    state: JobState
    task: str
    result: str | None
    error: str | None
    traceback: str | None


class Home(NamedTuple):
    """Whether this is the database that its jobs belong to, see home.sql."""

    is_noted: bool
    is_here: bool
    is_upgraded: bool
    has_jobs: bool
    noted_at: datetime | None

    @property
    def is_elsewhere(self) -> bool:
        """Whether this is a copy, with jobs that belong to another database."""
        return self.is_noted and self.has_jobs and not self.is_here and not self.is_upgraded


class Enqueues:
    """What a process needs that only enqueues, asks and cancels: everything here goes through the pool."""

    def __init__(self, statements: Statements, database: Database) -> None:
        self._say = statements
        self._spill = {
            name: into_spill(statements[name]) for name in ("finish", "rescue", "cancel")
        }
        self._database = database

    async def now(self) -> int:
        """Milliseconds since 1970 on the server's clock."""
        now: int = await self._database.fetchval(self._say["now"])
        return now

    async def enqueue(self, requests: Sequence[Request]) -> list[Stored]:
        """Store jobs in one commit; gives those that are not ready now."""
        name, args = _one_or_many(requests)
        return _stored(
            await self._database.fetch(self._say[name], *args, timeout=ENQUEUE_ANSWER_WITHIN)
        )

    async def enqueue_on(self, connection: Any, requests: Sequence[Request]) -> list[Stored]:
        """Store jobs on a caller's connection, as `enqueue` does; raises what the caller's own statement would."""
        name, args = _one_or_many(requests)
        return _stored(await answer_in_callers(connection, self._say[name], args))

    async def enqueue_and_start(
        self,
        requests: Sequence[Request],
        wishes: Sequence[bool],
        process: tuple[int, int],
        served: Sequence[str],
        unknown: Sequence[str],
    ) -> list[Stored]:
        """As `enqueue`; those that wish it may be born running and ours (`process`: id and generation)."""
        sql = self._say["enqueue_and_start"]
        return _stored(
            await self._database.fetch(
                sql,
                *columns.of_many(requests),
                wishes,
                *process,
                served,
                unknown,
                timeout=ENQUEUE_ANSWER_WITHIN,
            )
        )

    async def enqueue_again(self, requests: Sequence[Request]) -> list[Stored]:
        """Store jobs of which we do not know whether they are stored: afterwards each is, once."""
        async with self._database.transaction(RESEND_WITHIN) as transaction:
            rows = await transaction.say(self._say["enqueue_again"], *columns.of_many(requests))
            await transaction.say(self._say["forget_recorded"], [row["id"] for row in rows])
        return _stored(rows)

    async def home(self) -> Home:
        """Tell whether this database is a copy; raises Refused where the host or the rights do not let us ask."""
        [row] = await self._database.fetch(self._say["home"])
        return Home(*row.values())

    async def adopt(self) -> None:
        """Note that this is the database that its jobs belong to."""
        await self._database.fetch(self._say["adopt"])

    async def notify(self, channel: str, payload: str) -> None:
        """Tell the other processes."""
        await self._database.fetch(self._say["notify"], channel, payload)

    async def snapshot(self, id: UUID, mask: Mask) -> Snapshot:
        """Give one job as it is now, its arguments as they may be shown; raises JobNotFound."""
        row = await self._database.fetchrow(self._say["snapshot"], id)
        if row is None:
            raise JobNotFound(id)
        return _snapshot(row, mask)

    async def ending(self, id: UUID) -> Ending:
        """Tell where a job stands; raises JobNotFound."""
        row = await self._database.fetchrow(self._say["ending"], id)
        if row is None:
            raise JobNotFound(id)
        return Ending(
            JobState(row["state"]), row["task"], row["result"], row["error"], row["traceback"]
        )

    async def cancel(
        self, id: UUID, keep_days: int, reason: str | None
    ) -> tuple[str, int | None] | None:
        """Cancel: ('cancelled', None), ('asked', its process), or None where there is nothing to cancel."""
        rows = await self._archiving(self._database.fetch, "cancel", id, keep_days, reason)
        return (rows[0]["answer"], rows[0]["claimed_by"]) if rows else None

    async def retry(self, id: UUID) -> str | None:
        """Make a failed, cancelled or waiting job ready; gives its queue."""
        queue: str | None = await self._database.fetchval(self._say["retry"], id)
        return queue

    async def delete(self, id: UUID) -> tuple[str, int | None] | None:
        """Forget: ('deleted', None), ('asked', its process), or None for an unknown job."""
        row = await self._database.fetchrow(self._say["delete"], id)
        return (row["answer"], row["claimed_by"]) if row else None

    async def _archiving(self, fetch: Fetch, name: str, *args: object) -> Sequence[Row]:
        """Send a statement that archives; where the archive lacks the day, let it spill."""
        try:
            return await fetch(self._say[name], *args)
        except Refused as error:
            if not error.lacks_a_day:
                raise
            return await fetch(self._spill[name], *args)


class Ledger(Enqueues):
    """All statements; claims, beats, looks and rescues go on the link."""

    def __init__(self, statements: Statements, database: Database, link: Bond) -> None:
        super().__init__(statements, database)
        self._link = link

    async def claim(
        self,
        rooms: dict[str, int],
        demand: int,
        unknown: Sequence[str],
        suspects: tuple[int, int],
        spread: int,
        stretches: Stretches = WHOLE,
    ) -> tuple[list[Claimed], Choice]:
        """
        Make up to `demand` jobs ours, on the link; gives them, and how they were chosen.

        `rooms`: how many of each queue. `suspects`: from so many crashes on, no more than so many.
        `spread`: candidates for each free slot. `stretches`: where to look, if not everywhere.
        """
        rows: Sequence[Any] = await self._link.claim(
            self._say["claim"],
            list(rooms), list(rooms.values()), demand, self._link.process_id, unknown, suspects[1], spread,
            suspects[0], *stretches,
        )  # fmt: skip
        saw, walked = rows[0]["saw"], rows[0]["walked"]
        if rows[0]["id"] is None:
            return [], Choice(saw, walked, [])
        return [Claimed._make(row[3:]) for row in rows], Choice(saw, walked, rows)

    async def survey(self, queues: Sequence[str], unknown: Sequence[str], late: float) -> Survey:
        """Ask, on the link, before which places a claim need not look; `late`: seconds, see survey.sql."""
        rows = await self._link.fetch(self._say["survey"], queues, unknown, late)
        places: dict[str, dict[int, tuple[str, UUID]]] = {}
        for row in rows:
            if row["priority"] is not None:
                place = (row["promise"], row["id"])
                places.setdefault(row["queue"], {})[row["priority"]] = place
        return Survey(places, rows[0]["recent"], rows[0]["walked"])

    async def home(self) -> Home:
        """Ask that of the database at the other end of the link."""
        [row] = await self._link.fetch(self._say["home"])
        return Home(*row.values())

    async def adopt(self) -> None:
        """Note it there."""
        await self._link.fetch(self._say["adopt"])

    async def arguments(self, id: UUID, process: int, fence: int) -> str | None:
        """Give the arguments of a job that is ours, as JSON; None: it is not ours any more."""
        arguments: str | None = await self._database.fetchval(
            self._say["arguments"], id, process, fence, timeout=ARGUMENTS_WITHIN
        )
        return arguments

    async def poll(self) -> Poll:
        """Ask for anything worth waking for, on the link."""
        [row] = await self._link.fetch(self._say["poll"], self._link.process_id)
        return Poll(*(row[name] for name in Poll._fields))

    async def promote(self, at_most: int, since: str | None = None) -> Promoted:
        """Make due jobs ready, on the link; `since`: what an earlier one `reached`."""
        [row] = await self._link.fetch(self._say["promote"], at_most, since)
        return Promoted(*row.values())

    async def beat(self) -> list[Beat]:
        """Ask, on the link, what Postgres thinks we run."""
        rows = await self._link.fetch(self._say["beat"], self._link.process_id)
        return [Beat(row["id"], row["fence"], row["cancel_asked"]) for row in rows]

    async def look(self) -> list[Silent]:
        """Ask, on the link, whose lock is gone."""
        rows = await self._link.fetch(self._say["look"], self._link.process_id)
        return [Silent(*(row[name] for name in Silent._fields)) for row in rows]

    async def rescue(
        self, silent: Silent, max_crashes: int, keep_failed: int, keep_cancelled: int
    ) -> list[Taken]:
        """Bury a process and take its jobs, on the link."""
        rows = await self._archiving(
            self._link.fetch, "rescue",
            silent.id, silent.generation, max_crashes, keep_failed, keep_cancelled, silent.is_leased,
        )  # fmt: skip
        return [Taken(row["id"], row["task"], row["queue"], row["state"]) for row in rows]

    async def finish(
        self, process: int, batch: Sequence[Settled], *, on_link: bool = False
    ) -> dict[tuple[UUID, int], Recorded]:
        """
        Record how runs ended, in one commit; on the link where the pool does not work.

        Gives, by id and fence, what came of those that were not recorded as was said.
        """
        fetch: Fetch = self._link.fetch if on_link else self._database.fetch
        outcomes = [settled.outcome for settled in batch]
        rows = await self._archiving(
            fetch, "finish", process,
            [settled.id for settled in batch],
            columns.alike([settled.fence for settled in batch]),
            columns.alike([outcome.state for outcome in outcomes]),
            [settled.ran for settled in batch],
            columns.if_any([outcome.result for outcome in outcomes]),
            columns.alike([settled.keep_days for settled in batch]),
            columns.if_any([_more(outcome) for outcome in outcomes]),
        )  # fmt: skip
        otherwise = {
            (row["id"], row["fence"]): Recorded("recorded", row["state"])
            for row in rows
            if row["state"]
        }
        if left := [(row["id"], row["fence"]) for row in rows if not row["state"]]:
            otherwise |= await self._unrecorded(fetch, process, left)
        return otherwise

    async def _unrecorded(
        self, fetch: Fetch, process: int, left: Sequence[tuple[UUID, int]]
    ) -> dict[tuple[UUID, int], Recorded]:
        """
        Ask why these ends (id and fence) were not recorded.

        Raises InDoubt where that cannot be told, whatever the reason: the others of their batch are recorded by now, and
        whoever sends it again must not take what went back to wait for lost.
        """
        ids, fences = zip(*left, strict=True)
        try:
            rows = await fetch(self._say["unrecorded"], process, ids, fences)
        except Unavailable as error:
            raise InDoubt(error.wanted, error.reason) from error
        return {(row["id"], row["fence"]): Recorded(row["answer"]) for row in rows}

    async def progress(
        self, process: int, reports: Sequence[tuple[UUID, int, float, str]]
    ) -> set[UUID]:
        """Note how far runs are (id, fence, fraction, note); gives those that were ours."""
        columns = [list(column) for column in zip(*reports, strict=True)]
        rows = await self._database.fetch(self._say["progress"], process, *columns)
        return {row["id"] for row in rows}

    async def lease(self, process: int, seconds: float) -> bool:
        """Let a lease speak for us while the link is down; False: we have been buried."""
        rows = await self._database.fetch(self._say["lease"], process, seconds)
        return bool(rows)

    async def note_blocks(self, process: int, blocks: str) -> None:
        """Note which tasks have blocked the event loop here (JSON)."""
        await self._database.fetch(self._say["blocks"], process, blocks)

    async def drain(self) -> None:
        """Say, on the link, that we are draining."""
        await self._link.fetch(self._say["drain"], self._link.process_id)

    async def tend(self, keeps: Sequence[int], longest: int) -> list[tuple[Any, str]]:
        """See to the archive's days for each length of keeping; gives what was done."""
        rows = await self._database.fetch(self._say["tend_archive"], keeps)
        await self._database.fetch(self._say["tend_spill"], longest + 7)
        return [(row["day"], row["deed"]) for row in rows]


def _one_or_many(requests: Sequence[Request]) -> tuple[str, tuple[Any, ...]]:
    """Say by which statement they are stored, and its arguments."""
    if len(requests) == 1:
        return "enqueue_one", columns.of_one(requests[0])
    return "enqueue", columns.of_many(requests)


def _stored(rows: Sequence[Row]) -> list[Stored]:
    return [Stored(UUID(row["id"]), row["state"], row["due_in"], row["fence"]) for row in rows]


def _more(outcome: Outcome) -> str | None:
    """What only an outcome that is no plain success has."""
    if outcome.state is JobState.SUCCEEDED:
        return None
    names = ("story", "delay", "counts", "error", "traceback")
    return json.dumps({name: getattr(outcome, name) for name in names})


def _snapshot(row: Row, mask: Mask) -> Snapshot:
    values = dict(row)
    values["state"] = JobState(values["state"])
    shown = None if values.pop("is_masked") else mask(row["task"], row["arguments"])
    values["arguments"] = json.loads(row["arguments"] if shown is None else shown)
    values["result"] = None if values["result"] is None else json.loads(values["result"])
    values["history"] = read_history(values["history"])
    return Snapshot(**values)
