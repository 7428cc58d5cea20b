"""Rows in every state, put on the shelf without running anything."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterator

    import asyncpg

FINAL = ("succeeded", "failed", "cancelled")
JSON = ("arguments", "history", "result", "extra", "blocks")


@dataclass
class Shelf:
    """Puts rows into the tables; each is a second older than the one before."""

    connection: asyncpg.Connection
    numbers: Iterator[int] = field(default_factory=count)
    began: datetime = field(default_factory=lambda: datetime.now(UTC) - timedelta(minutes=1))

    async def put(self, state: str = "succeeded", **columns: object) -> UUID:
        """Put one job there and give its id; any column may be said."""
        number = next(self.numbers)
        at = self.began - timedelta(seconds=number)
        row: dict[str, object] = {
            "id": id_of(at, number),
            "task": "greet",
            "queue": "mail",
            "priority": 0,
            "state": state,
            "run_at": at,
            "promise": at,
            "attempt": 0,
            "crashes": 0,
            "fence": 1,
            "created_at": at,
            "arguments": {"name": "Ada"},
            **columns,
        }
        if state == "running":
            row = {"claimed_at": at, "claimed_by": 0, **row}
        if state in FINAL:
            row = {"finished_at": at, "ran": 0.25, "forget_on": at.date(), "claimed_at": at, **row}
        id: UUID = await self._insert("archive_spill" if state in FINAL else "job", row)
        return id

    async def put_many(
        self, number: int, state: str = "succeeded", **columns: object
    ) -> list[UUID]:
        return [await self.put(state, **columns) for _ in range(number)]

    async def fill(self, number: int, task: str) -> None:
        """Put very many succeeded jobs there, all of one moment, later than those of `put`."""
        await self.connection.execute(
            """
            insert into asyncjobs.archive_spill
              (id, task, queue, priority, state, run_at, promise, attempt, crashes, fence, created_at,
              arguments, finished_at, forget_on)
            select gen_random_uuid(), $2, 'bulk', 0, 'succeeded', now(), now(), 1, 0, 1, now(), '{}', now(), now()
            from generate_series(1, $1)
            """,
            number,
            task,
        )

    async def put_process(self, **columns: object) -> int:
        """Put a process there; it lives while somebody holds its lock."""
        row: dict[str, object] = {
            "lock_key": 4711,
            "life": self.began,
            "name": "web-1:7",
            "kind": "web",
            "pid": 7,
            "slots": 4,
            "queues": None,
            "tasks": ["greet"],
            "version": "0.1.0",
            **columns,
        }
        return int(await self._insert("process", row))

    async def hold(self, lock_key: int) -> None:
        """Hold a process's lock for as long as this connection is open."""
        await self.connection.execute("select pg_advisory_lock($1)", lock_key)

    async def _insert(self, table: str, row: dict[str, object]) -> Any:
        values = [json.dumps(value) if name in JSON else value for name, value in row.items()]
        places = ", ".join(f"${n}" for n in range(1, len(row) + 1))
        return await self.connection.fetchval(
            f"insert into asyncjobs.{table} ({', '.join(row)}) values ({places}) returning id",
            *values,
        )


def id_of(at: datetime, number: int) -> UUID:
    """Make a UUIDv7 of a moment."""
    return UUID(int=(int(at.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62) | number)
