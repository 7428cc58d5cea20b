"""A Postgres of a scenario's own: to stop, to kill, to fill, to fail over from."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from asyncjobs.embedded.account import find_account
from asyncjobs.embedded.binaries import find_binaries
from asyncjobs.embedded.guard import forget_the_dead
from tests.faults.field import free_port, is_alive
from tests.moments import until, until_true
from tests.postgres import postgres_version, prepare_later

SETTINGS = {
    "fsync": "off",  # what is killed here are processes, not the machine
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "16MB",
    "log_min_messages": "warning",
    "wal_level": "replica",
    "max_wal_senders": "4",
    "unix_socket_directories": "",
    "restart_after_crash": "on",
}
READY_WITHIN = 30.0  # seconds
LEFT_OVER = "pre-existing shared memory block"


class Server:
    """One cluster in a directory, listening on a port of 127.0.0.1."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.port = free_port()
        self.settings = {**SETTINGS, **settings}
        self._binaries = find_binaries(postgres_version())
        directory.mkdir(parents=True, exist_ok=True)
        self._account = find_account(directory, self.data)
        self._account.give(directory)

    @property
    def dsn(self) -> str:
        """Where it is."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def postmaster(self) -> int:
        """The pid of the server."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    @property
    def is_up(self) -> bool:
        """Whether its postmaster lives."""
        return is_alive(self.postmaster)

    @property
    def log(self) -> str:
        """What it said."""
        log = self.directory / "log"
        return log.read_text(errors="replace") if log.exists() else ""

    async def make(self, *options: str) -> None:
        """Make the cluster, start it, and put our tables into it."""
        await self._run(
            "initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust",
            "-E", "UTF8", "--locale=C", "--no-sync", *options,
        )  # fmt: skip
        await self.start()
        await prepare_later(self.dsn)

    async def clone(self, directory: Path, **settings: str) -> Server:
        """Make a replica of it, and start that."""
        other = Server(directory, **settings)
        await other._run(
            "pg_basebackup", "-D", str(other.data), "-d", self.dsn, "-R", "-X", "stream",
            "-c", "fast", "--no-sync",
        )  # fmt: skip
        await other.start()
        return other

    async def start(self, *, wait: bool = True) -> None:
        """Start it; again for some seconds if what is left of a killed one is in the way."""
        own = {"listen_addresses": "127.0.0.1", **self.settings, "port": str(self.port)}
        options = " ".join(f"--{name}='{value}'" for name, value in own.items())
        give_up = time.monotonic() + READY_WITHIN
        forget_the_dead(self.data)
        while True:
            try:
                await self._run(
                    "pg_ctl", "-D", str(self.data), "-l", str(self.directory / "log"),
                    "-o", options, "-w" if wait else "-W", "start",
                )  # fmt: skip
            except AssertionError:
                if time.monotonic() > give_up or LEFT_OVER not in self.log:
                    raise
                continue
            return

    async def stop(self, mode: str = "fast") -> None:
        """Stop it: 'fast' says goodbye to everybody, 'immediate' to nobody."""
        await self._run("pg_ctl", "-D", str(self.data), "-m", mode, "-w", "stop")

    async def restart(self, mode: str) -> None:
        """Stop it so, and start it again."""
        await self.stop(mode)
        await self.start()

    async def reload(self) -> None:
        """Let it read its files anew."""
        await self._run("pg_ctl", "-D", str(self.data), "reload")

    async def promote(self) -> None:
        """Make a replica the primary."""
        await self._run("pg_ctl", "-D", str(self.data), "-w", "promote")

    async def kill(self) -> None:
        """Kill -9 the postmaster; its children end when they see it."""
        pid = self.postmaster
        os.kill(pid, signal.SIGKILL)
        await until_true(lambda: not is_alive(pid))

    async def until_ready(self) -> None:
        """Wait until it answers."""

        async def answers() -> bool:
            try:
                connection = await asyncpg.connect(self.dsn, timeout=2)
            except (OSError, asyncpg.PostgresError, TimeoutError):
                return False
            await connection.close()
            return True

        await until(answers, READY_WITHIN)

    async def end(self) -> None:
        """Stop it for good, if it runs."""
        if (self.data / "postmaster.pid").exists() and is_alive(self.postmaster):
            await self.stop("immediate")

    async def _run(self, program: str, *arguments: str) -> None:
        with (self.directory / "words").open("ab") as words:
            process = await asyncio.create_subprocess_exec(
                *self._account.prefix, self._binaries / program, *arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=words, stderr=words, cwd="/",
                env={**os.environ, "LC_ALL": "C"},
            )  # fmt: skip
            code = await process.wait()
        said = (self.directory / "words").read_text(errors="replace")
        assert code == 0, f"{program} ended with {code}:\n{said[-500:]}\n{self.log[-1500:]}"


@asynccontextmanager
async def a_server(directory: Path, **settings: str) -> AsyncIterator[Server]:
    """Make a server of one's own, with our tables; stopped at the end, whatever became of it."""
    server = Server(directory, **settings)
    try:
        await server.make()
        yield server
    finally:
        await server.end()
