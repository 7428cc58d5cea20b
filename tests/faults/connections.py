"""The connections of the processes under harm: whose they are, and cutting them from the server's side."""

from __future__ import annotations

from typing import Any

import asyncpg

from tests.faults.field import Field
from tests.faults.process import Process
from tests.faults.proxy import Proxy
from tests.moments import until, until_true

# By application name, as regular expressions.
LINKS, POOLS, ALL = "^asyncjobs link$", "^asyncjobs (?!link$)", "^asyncjobs "

CUT = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name ~ $1
"""
LINKS_OF = """
select pg_locks.pid
from pg_locks
join asyncjobs.process on process.lock_key = ((pg_locks.classid::bigint << 32) | pg_locks.objid::bigint)
where pg_locks.locktype = 'advisory'
and pg_locks.database = (select oid from pg_database where datname = current_database())
and process.pid = $1 and process.ended_at is null
"""
END = "select pg_terminate_backend(pid) from unnest($1::integer[]) as link (pid)"

GENERATION = "select generation from asyncjobs.process where pid = $1 and ended_at is null"
LEASED = "select lease_until > now() as is_leased from asyncjobs.process where pid = $1 and ended_at is null"


async def network(field: Field) -> Proxy:
    """Put a network of the scenario's own before Postgres; it stays until every process has ended."""
    proxy = Proxy(field.dsn)
    await proxy.open()
    field.at_the_end(proxy.end)
    return proxy


async def cut(field: Field, connections: str) -> int:
    """Terminate every connection of this kind; gives how many there were."""
    return len(await field.look(CUT, connections))


async def cut_link_of(field: Field, process: Process) -> None:
    """Terminate the link of that process alone."""
    links = await links_of(field, process)
    assert links, f"{process.name} has no link"
    await field.look(END, links)


async def links_of(field: Field, process: Process) -> list[int]:
    """Give the server's pids of the sessions that hold the lock of that process: one, or none."""
    return [row["pid"] for row in await field.look(LINKS_OF, process.pid)]


async def until_linked(field: Field, *processes: Process, within: float = 20.0) -> None:
    """Wait until each of them has its link."""

    async def are_linked() -> bool:
        return all([await links_of(field, process) for process in processes])

    await until(are_linked, within)


async def until_unlinked(field: Field, process: Process, within: float = 30.0) -> None:
    """Wait until nobody holds its lock any more."""

    async def is_unlinked() -> bool:
        return not await links_of(field, process)

    await until(is_unlinked, within)


async def watching(field: Field, name: str, **options: Any) -> Process:
    """Start a worker, and wait until somebody has told it of jobs that take long: from now on it looks each second."""
    ears = await asyncpg.connect(field.dsn)
    told: list[str] = []
    await ears.add_listener("asyncjobs", lambda *words: told.append(str(words[-1])))

    def is_told() -> bool:
        _, hello, after = "".join(told).partition('"hello"')
        return bool(hello) and '"busy"' in after

    try:
        process = await field.worker(name, **options)
        await until_true(is_told)
    finally:
        ears.terminate()
    return process


def may_be_reborn(field: Field, process: Process) -> None:
    """Say that others will bury this one, which lives: it comes back under another number."""
    field.diary.note("may be reborn", of=process.pid)


async def generation_of(field: Field, process: Process) -> int:
    """Give the number of the link that this process has made, or 0."""
    return max((row["generation"] for row in await field.look(GENERATION, process.pid)), default=0)


async def until_linked_anew(field: Field, process: Process, after: int) -> None:
    """Wait until it has a link of a later generation."""

    async def is_newer() -> bool:
        return await generation_of(field, process) > after

    await until(is_newer)


async def until_leased(field: Field, process: Process) -> None:
    """Wait until a lease speaks for it."""

    async def is_leased() -> bool:
        return any(row["is_leased"] for row in await field.look(LEASED, process.pid))

    await until(is_leased)
