"""Making the link's connection: by address, or the way a pool that was handed in makes its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from asyncjobs.postgres.database import CONNECT_WITHIN

Dial = Callable[[], Awaitable[asyncpg.Connection]]


def dial(address: str | None, pool: Any) -> Dial:
    """Give the function that makes one connection which belongs to no pool."""

    async def by_address() -> asyncpg.Connection:
        return await asyncpg.connect(address, timeout=CONNECT_WITHIN)

    async def as_the_pool_does() -> asyncpg.Connection:
        # asyncpg keeps what its pool was made with, and offers no other way to it.
        connection: asyncpg.Connection = await pool._connect(
            *pool._connect_args, **pool._connect_kwargs
        )
        return connection

    return by_address if address is not None else as_the_pool_does
