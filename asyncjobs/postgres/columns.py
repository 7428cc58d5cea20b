"""
Many rows as few arrays: what is alike in all of them is said once.

asyncpg looks at every element of an array, and Postgres takes each out of it again, while most statements speak of
one task and one queue. A statement fills such a column up: `unnest` with nulls, and `coalesce` with its one value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from asyncjobs.job import Request

T = TypeVar("T")


def alike(column: list[T]) -> list[T]:
    """One value, where all are that; of a column without nulls."""
    return column[:1] if column.count(column[0]) == len(column) else column


def if_any(column: list[T | None]) -> list[T | None]:
    """No value, where all are null."""
    return [] if column.count(None) == len(column) else column


def of_one(request: Request) -> tuple[Any, ...]:
    """Give what enqueue_one.sql takes."""
    return (
        str(request.id), request.task, request.queue, request.priority,
        None if request.run_at is None else request.run_at.isoformat(), request.delay, request.arguments,
        request.extra,
    )  # fmt: skip


def of_many(requests: Sequence[Request]) -> tuple[list[Any], ...]:
    """Give what enqueue.sql and its like take: the same, by column."""
    return (
        [request.id.hex for request in requests],
        alike([request.task for request in requests]),
        alike([request.queue for request in requests]),
        alike([request.priority for request in requests]),
        if_any([request.run_at and request.run_at.isoformat() for request in requests]),
        alike([request.delay for request in requests]),
        [request.arguments for request in requests],
        if_any([request.extra for request in requests]),
    )
