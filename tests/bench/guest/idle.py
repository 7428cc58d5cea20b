"""What a guest costs when there is nothing to do."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg

from asyncjobs.postgres.statements import Statements
from tests.bench.guest.stay import host, keep

SETTLED_AFTER = 5.0  # seconds: what a process does once, when it comes up, is over
PREFIX = "%d "  # the database's name begins each line of the server's log


async def idle(name: str, dsn: str, log: Path, loop: str, seconds: float) -> dict[str, Any]:
    """Measure an app with this guest for so long, while nobody asks anything of it."""
    await keep(name, dsn, "clear")
    admin = await asyncpg.connect(dsn)
    database = await admin.fetchval("select current_database()")
    try:
        async with host(name, dsn, loop) as app:
            await asyncio.sleep(SETTLED_AFTER)
            await _set(admin, "log_statement", "all")
            read_from = log.stat().st_size
            before = await app.figures()
            await asyncio.sleep(seconds)
            after = await app.figures()
            said = log.read_bytes()[read_from:].decode(errors="replace")
            await _set(admin, "log_statement", "none")
            held = await admin.fetchval(SQL["connections"], database)
    finally:
        await _set(admin, "log_statement", "none")
        await admin.close()
    return {
        "seconds": seconds,
        "cpu": after["cpu"] - before["cpu"],
        "statements": _statements(said, database),
        "connections": held - 1,  # without the one that asks
        "resident": after["resident"],
    }


async def _set(admin: Any, setting: str, value: str) -> None:
    await admin.execute(f"alter system set log_line_prefix = '{PREFIX}'")
    await admin.execute(f"alter system set {setting} = '{value}'")
    await admin.execute("select pg_reload_conf()")
    await asyncio.sleep(0.5)  # every backend reads the settings anew before its next statement


def _statements(log: str, database: str) -> int:
    begins = (f"{database} LOG:  execute ", f"{database} LOG:  statement: ")
    lines = [line for line in log.splitlines() if line.startswith(begins)]
    return sum(1 for line in lines if "pg_reload_conf" not in line and "alter system" not in line)


SQL = Statements("tests.bench.guest", "asyncjobs")
