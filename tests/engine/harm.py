"""Ways to hurt a process: cut its connections, delay an answer, end a life of the server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg

from asyncjobs import Jobs
from tests.moments import until_true


def inside(jobs: Jobs) -> Any:
    """The running executor, for tests that reach into it."""
    assert jobs.executor is not None
    return jobs.executor


class Count:
    """Counts the calls of one method of ours, which goes on as it is."""

    def __init__(self, owner: Any, method: str) -> None:
        self.calls = 0
        self._inner = getattr(owner, method)
        setattr(owner, method, self)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return await self._inner(*args, **kwargs)


async def until_at_rest(jobs: Jobs) -> None:
    """Wait until the first claims, the first beat and the first looks are over."""
    executor = inside(jobs)
    await until_true(
        lambda: (
            executor._claimer.at_rest.is_set()
            and not executor._presence._is_doubtful
            and executor.runs.slots.asked == 0
            and time.monotonic() > executor._rescuer._watch_until + 1
        )
    )


async def cut(eyes: asyncpg.Connection, application: str) -> int:
    """Terminate the sessions of this database whose application name begins so."""
    cut: int = await eyes.fetchval(
        """
        select count(pg_terminate_backend(pid)) from pg_stat_activity
        where application_name like $1 || '%' and datname = current_database()
        """,
        application,
    )
    return cut


class Proxy:
    """A relay in front of Postgres's socket that can swallow what the server says, or refuse callers."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._swallowing = False
        self._refusing = False
        self._pairs: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.dsn = ""

    def swallow(self, *, on: bool = True) -> None:
        """Let nothing of what the server answers through: a black hole in one direction."""
        self._swallowing = on

    def refuse(self, *, on: bool = True) -> None:
        """Hang up on new callers."""
        self._refusing = on

    def hang_up(self) -> None:
        """Reset every connection."""
        for writer in list(self._pairs):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        server_reader, server_writer = await asyncio.open_unix_connection(self._target)
        self._pairs |= {writer, server_writer}
        pumps = [
            asyncio.ensure_future(self._pump(reader, server_writer, answers=False)),
            asyncio.ensure_future(self._pump(server_reader, writer, answers=True)),
        ]
        self._tasks.update(pumps)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, server_writer):
            each.transport.abort()
            self._pairs.discard(each)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if answers and self._swallowing:
                    continue
                sink.write(data)
                await sink.drain()


@asynccontextmanager
async def proxied(database: str) -> AsyncIterator[Proxy]:
    """Put a proxy before the server of this address."""
    parts = urlsplit(database)
    directory = parse_qs(parts.query)["host"][0]
    port = parse_qs(parts.query).get("port", ["5432"])[0]
    proxy = Proxy(f"{directory}/.s.PGSQL.{port}")
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    own = server.sockets[0].getsockname()[1]
    name = quote(parts.path.lstrip("/"))
    proxy.dsn = (
        f"postgresql://{parts.username or 'postgres'}@127.0.0.1:{own}/{name}?sslmode=disable"
    )
    try:
        yield proxy
    finally:
        server.close()
        proxy.hang_up()
        for task in proxy._tasks:
            task.cancel()
        await asyncio.gather(*proxy._tasks, return_exceptions=True)
