"""A server's load: what runs against it, what it and its clients computed for that, and what it wrote."""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psutil

from asyncjobs import Jobs
from asyncjobs.postgres.statements import Statements
from tests.bench.remote import end

NAME = "app.wait"
SAY = Statements("tests.bench.scaling", "asyncjobs")
CHUNK = 5_000  # jobs


@dataclass(frozen=True, slots=True)
class Moment:
    """How things stood: jobs that are left, seconds computed, bytes of WAL, commits."""

    at: float  # time.monotonic()
    left: int
    server: float  # CPU seconds
    workers: float  # CPU seconds
    wal: int
    commits: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What a second brought and each job took, between two moments."""

    rate: float  # jobs a second
    server: float  # CPU seconds a job
    workers: float  # CPU seconds a job
    wal: float  # bytes a job
    commits: float  # a job

    @classmethod
    def between(cls, one: Moment, other: Moment) -> Spent:
        """Work it out."""
        jobs = one.left - other.left
        return cls(
            jobs / (other.at - one.at),
            (other.server - one.server) / jobs,
            (other.workers - one.workers) / jobs,
            (other.wal - one.wal) / jobs,
            (other.commits - one.commits) / jobs,
        )


class Postmaster:
    """A server's processes, those that end meanwhile too."""

    def __init__(self, data: Path) -> None:
        self._own = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        self._seen: dict[int, float] = {}

    def cpu(self) -> float:
        """Give the CPU seconds of all of them so far."""
        for process in (self._own, *self._own.children()):
            self._seen[process.pid] = cpu_of(process)
        return sum(self._seen.values())

    def memory(self) -> int:
        """Give the bytes that its sessions have for themselves alone."""
        return sum(map(memory_of, self._own.children()))


def cpu_of(process: psutil.Process) -> float:
    """Give its CPU seconds; 0 when it has ended."""
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system


def memory_of(process: psutil.Process) -> int:
    """Give the bytes that it has for itself alone; 0 when it has ended."""
    try:
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0


async def store(dsn: str, count: int) -> None:
    """Store so many jobs."""
    jobs = Jobs(dsn, migrate=True)

    @jobs.task(name=NAME)
    async def wait() -> None: ...

    async with jobs.connected():
        for _ in range(0, count, CHUNK):
            await jobs.enqueue_many([wait.job() for _ in range(min(CHUNK, count))])


@asynccontextmanager
async def workers(commands: Sequence[Sequence[object]]) -> AsyncIterator[list[psutil.Process]]:
    """Start a worker for each of these arguments, wait until all are up, and end them."""
    async with AsyncExitStack() as stack:
        started = (stack.enter_async_context(_worker(arguments)) for arguments in commands)
        yield [psutil.Process(process.pid) for process in await asyncio.gather(*started)]


@asynccontextmanager
async def _worker(arguments: Sequence[object]) -> AsyncIterator[Process]:
    command = (sys.executable, "-m", "tests.bench.scaling.worker", *map(str, arguments))
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert process.stdout is not None
    try:
        if await process.stdout.readline() != b"up\n":
            raise RuntimeError("a worker did not come up; what it said is above")
        yield process
    finally:
        await end(process)


async def moment(
    connections: Sequence[asyncpg.Connection[Any]],
    servers: Sequence[Postmaster],
    processes: Sequence[psutil.Process],
) -> Moment:
    """See how things stand on all these servers."""
    rows = [await connection.fetchrow(SAY["stands"]) for connection in connections]
    told = [dict(row) for row in rows if row is not None]
    return Moment(
        time.monotonic(),
        sum(row["left"] for row in told),
        sum(server.cpu() for server in servers),
        sum(map(cpu_of, processes)),
        sum(row["wal"] for row in told),
        sum(row["commits"] for row in told),
    )
