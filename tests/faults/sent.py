"""Counts what a process asks of Postgres: every statement of it becomes a line of the diary."""

from __future__ import annotations

from typing import Any

from asyncpg import Connection

from tests.faults.diary import Diary


def count_statements(diary: Diary) -> None:
    """Note each statement that is sent from now on; FAULTS_COUNT asks for it."""
    # What has arguments or rows goes through the first, whatever method it came by; the rest is left.
    inner: Any = Connection
    prepared, simple = inner._execute, inner.execute

    async def noted(self: Connection, *args: Any, **more: Any) -> Any:
        diary.note("sent")
        return await prepared(self, *args, **more)

    async def noted_if_simple(self: Connection, query: str, *args: Any, **more: Any) -> Any:
        if not args:
            diary.note("sent")
        return await simple(self, query, *args, **more)

    inner._execute, inner.execute = noted, noted_if_simple
