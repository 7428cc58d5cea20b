"""The Postgres of a run: its settings, and a database of its own there."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncjobs import embedded
from tests.bench.contestant import connections

SETTINGS: dict[str, embedded.Setting] = {
    "fsync": True,
    "synchronous_commit": True,
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",  # no checkpoint in the middle of one contestant's turn
    "checkpoint_timeout": "30min",
    "max_connections": 400,
}


@asynccontextmanager
async def database(server: embedded.Server, name: str = "bench") -> AsyncIterator[str]:
    """Make a database for this run, and drop it; gives its address."""
    name = f"{name}_{os.getpid()}"
    async with connections(server.dsn, 1) as [connection]:
        await connection.execute(f"create database {name}")
        try:
            yield server.dsn_of(name)
        finally:
            await connection.execute(f"drop database {name} with (force)")
