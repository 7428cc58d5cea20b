"""A pool that was handed in: what it has set, compared with what our promises need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from asyncjobs.errors import UnsafePool
from asyncjobs.postgres.statements import Row, Statements

LEAST_TIMEOUT = 5_000  # milliseconds

_PLAIN = {"uuid": UUID, "jsonb": str, "timestamptz": datetime, "text": str}
_HASTY = ("statement_timeout", "idle_in_transaction_session_timeout")
_BREAKS_A_PROMISE = {
    "default_transaction_isolation": ("read committed",),
    "default_transaction_read_only": ("off",),
    "synchronous_commit": ("on", "local", "remote_write", "remote_apply"),
    "lock_timeout": ("0",),
}

Fetch = Callable[..., Awaitable[Sequence[Row]]]


async def inspect(fetch: Fetch, statements: Statements, pool: Any, *, shared: bool) -> None:
    """
    Raise UnsafePool for a pool whose connections would break a promise.

    `shared`: they lead to a pooler that shares sessions, where each statement brings our settings along.
    """
    findings = await _codecs(fetch, statements)
    if shared:
        findings += _memory_of(pool)
    else:
        findings += await _settings(fetch, statements)
    if findings:
        raise UnsafePool(findings)


async def _settings(fetch: Fetch, statements: Statements) -> list[str]:
    findings = [
        f"{row['name']} is {row['value']!r}, and must be {' or '.join(_BREAKS_A_PROMISE[row['name']])}"
        for row in await fetch(statements["find_settings"], list(_BREAKS_A_PROMISE))
        if row["value"] not in _BREAKS_A_PROMISE[row["name"]]
    ]
    findings += [
        f"{row['name']} is {row['value']!r}, and must be 0 or at least {LEAST_TIMEOUT // 1000} s"
        for row in await fetch(statements["find_settings"], list(_HASTY))
        if 0 < int(row["raw"]) < LEAST_TIMEOUT
    ]
    return findings


async def _codecs(fetch: Fetch, statements: Statements) -> list[str]:
    return [
        f"its connections have a codec of their own for {name}; pass a dsn and let jobs have two of its own"
        for name, value in (await fetch(statements["find_codecs"]))[0].items()
        if not isinstance(value, _PLAIN[name])
    ]


def _memory_of(pool: Any) -> list[str]:
    if pool._connect_kwargs.get("statement_cache_size") == 0:
        return []
    return [
        "its connections keep prepared statements, which the pooler's other sessions do not know; "
        "make it with statement_cache_size=0"
    ]
