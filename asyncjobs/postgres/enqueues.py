"""What any process may say that is connected, whether it runs jobs or not: one short method per statement."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from asyncjobs.errors import JobNotFound
from asyncjobs.job import (
    JobState,
    Request,
    Snapshot,
    Stored,
    read_history,
)
from asyncjobs.postgres import columns
from asyncjobs.postgres.callers import answer_in_callers
from asyncjobs.postgres.database import Database
from asyncjobs.postgres.failures import Refused
from asyncjobs.postgres.statements import Row, Statements, into_spill
from asyncjobs.postgres.values import Ending, Home

ENQUEUE_ANSWER_WITHIN = 5.0  # seconds; a resend follows, within the caller's patience
RESEND_WITHIN = 8.0  # seconds for a whole resend, within the caller's patience

Fetch = Callable[..., Awaitable[Sequence[Row]]]
Mask = Callable[[str, str], str | None]
"""Tells, by the task's name, what may be shown of arguments that do not say it themselves; None: all."""


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


def _one_or_many(requests: Sequence[Request]) -> tuple[str, tuple[Any, ...]]:
    """Say by which statement they are stored, and its arguments."""
    if len(requests) == 1:
        return "enqueue_one", columns.of_one(requests[0])
    return "enqueue", columns.of_many(requests)


def _stored(rows: Sequence[Row]) -> list[Stored]:
    return [Stored(UUID(row["id"]), row["state"], row["due_in"], row["fence"]) for row in rows]


def _snapshot(row: Row, mask: Mask) -> Snapshot:
    values = dict(row)
    values["state"] = JobState(values["state"])
    shown = None if values.pop("is_masked") else mask(row["task"], row["arguments"])
    values["arguments"] = json.loads(row["arguments"] if shown is None else shown)
    values["result"] = None if values["result"] is None else json.loads(values["result"])
    values["history"] = read_history(values["history"])
    return Snapshot(**values)
