"""Two servers of a test's own, the second a standby of the first, which can be promoted."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from asyncjobs import embedded
from asyncjobs.embedded.account import find_account
from asyncjobs.embedded.guard import find_postmaster
from tests.moments import until
from tests.postgres import SETTINGS, postgres_version, prepare


@dataclass
class Pair:
    """A primary with our tables, and its standby."""

    primary: embedded.Server
    standby: embedded.Server

    @property
    def dsn(self) -> str:
        """An address that names both, the standby first."""
        hosts = [_host(server) for server in (self.standby, self.primary)]
        return f"postgresql://postgres@/postgres?host={','.join(hosts)}"

    async def kill_primary(self) -> None:
        """
        Let the primary die as if of a bug: no word to anybody, its sockets closed; and wait until it is dead.

        What it commits while it dies, its standby may never see.
        """
        data = self.primary.log.parent / "data"
        postmaster = find_postmaster(data)
        assert postmaster is not None
        os.kill(postmaster.pid, signal.SIGQUIT)

        async def is_gone() -> bool:
            return find_postmaster(data) is None

        await until(is_gone)

    async def promote(self) -> None:
        """Make the standby a primary, and wait until it is."""
        connection = await asyncpg.connect(self.standby.dsn)
        await connection.execute("select pg_promote(true, 20)")

        async def is_primary() -> bool:
            return not await connection.fetchval("select pg_is_in_recovery()")

        await until(is_primary)
        await connection.close()

    async def until_caught_up(self) -> None:
        """Wait until the standby has all that the primary has written."""
        ahead = await asyncpg.connect(self.primary.dsn)
        behind = await asyncpg.connect(self.standby.dsn)
        written = await ahead.fetchval("select pg_current_wal_lsn()::text")

        async def has_it() -> bool:
            found = "select pg_last_wal_replay_lsn() >= $1::text::pg_lsn"
            return bool(await behind.fetchval(found, written))

        await until(has_it)
        await ahead.close()
        await behind.close()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """A primary and a standby that follows it."""
    settings = {**SETTINGS, "max_connections": 40}
    version = postgres_version()
    with closing(embedded.start(tmp_path / "a", settings=settings, version=version)) as primary:
        prepare(primary.dsn)
        directory = tmp_path / "b" / str(primary.version)
        directory.mkdir(parents=True, mode=0o700)
        _copy(primary, directory)
        with closing(embedded.start(tmp_path / "b", settings=settings, version=version)) as standby:
            yield Pair(primary, standby)


def _copy(primary: embedded.Server, directory: Path) -> None:
    """Make a base backup that is set up to follow."""
    account = find_account(directory, directory / "nothing")
    account.give(directory)
    subprocess.run(
        [
            *account.prefix, str(primary.binaries / "pg_basebackup"), "--no-sync", "-R", "-c", "fast",
            "-h", _host(primary), "-U", "postgres", "-D", str(directory / "data"),
        ],
        check=True,
        cwd="/",
        timeout=60,
    )  # fmt: skip


def _host(server: embedded.Server) -> str:
    return parse_qs(urlsplit(server.dsn).query)["host"][0]
