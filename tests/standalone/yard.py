"""What the workers of these tests run. The ledger tells which process ran what; gates hold a job back."""

from __future__ import annotations

import os
import threading
from datetime import timedelta

from asyncjobs import Jobs, current_job
from tests.moments import until

TABLES = """
create table public.ledger (job uuid not null, pid integer not null);
create table public.gate (name text primary key);
"""

jobs = Jobs(drain=timedelta(seconds=float(os.environ.get("YARD_DRAIN", "20"))))


class Desk:
    """Not where one looks for jobs, but they are here, too."""

    jobs = jobs


@jobs.task
async def note() -> None:
    """Sign the ledger."""
    sign = "insert into public.ledger (job, pid) values ($1, $2)"
    await jobs.database.fetch(sign, current_job().id, os.getpid())


@jobs.task
async def wait_at(gate: str) -> None:
    """Sign the ledger and wait until the gate is open."""
    await note()
    is_open = "select exists (select from public.gate where name = $1)"

    async def look() -> bool:
        return bool(await jobs.database.fetchval(is_open, gate))

    await until(look, within=60)


@jobs.task
def sit_tight() -> None:
    """Never end, whatever anybody says."""
    threading.Event().wait()


@jobs.task(queue="mail")
async def post() -> None:
    """Be of another queue."""
