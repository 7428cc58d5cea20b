"""What a process says that runs jobs: one short method per statement, values in, values out. What is sent on the link says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from asyncjobs.errors import Unavailable
from asyncjobs.job import (
    Claimed,
    JobState,
    Outcome,
    Settled,
)
from asyncjobs.postgres import columns
from asyncjobs.postgres.bond import Bond
from asyncjobs.postgres.database import Database
from asyncjobs.postgres.enqueues import Enqueues, Fetch
from asyncjobs.postgres.failures import InDoubt
from asyncjobs.postgres.statements import Statements
from asyncjobs.postgres.values import (
    WHOLE,
    Beat,
    Choice,
    Home,
    Poll,
    Promoted,
    Recorded,
    Silent,
    Stretches,
    Survey,
    Taken,
)

ARGUMENTS_WITHIN = 5.0  # seconds; asked again within the run's patience


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


def _more(outcome: Outcome) -> str | None:
    """What only an outcome that is no plain success has."""
    if outcome.state is JobState.SUCCEEDED:
        return None
    names = ("story", "delay", "counts", "error", "traceback")
    return json.dumps({name: getattr(outcome, name) for name in names})
