"""
A Postgres for the tests, and a fresh database for each that asks.

One server for the session, shared by its workers, on the disk but careless about power cuts. The
tables are made once, in a template; a copy of it takes some 15 ms.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import closing, contextmanager
from itertools import count
from typing import TYPE_CHECKING

import asyncpg
import pytest

from asyncjobs import embedded
from asyncjobs.postgres.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS: dict[str, embedded.Setting] = {
    "fsync": False,
    "full_page_writes": False,
    "synchronous_commit": False,
    "max_connections": 200,
    "max_prepared_transactions": 10,
}
TEMPLATE = "asyncjobs_template"
NUMBERS = count(1)


def prepare(dsn: str) -> None:
    """Make in an empty database what every test finds in its own."""
    asyncio.run(prepare_later(dsn))


async def prepare_later(dsn: str) -> None:
    """Do so from a loop that runs."""
    connection = await asyncpg.connect(dsn)
    await migrate(connection, "asyncjobs")
    await connection.close()


def postgres_version() -> int:
    return int(os.environ.get("ASYNCJOBS_TEST_POSTGRES", "18"))


class Administrator:
    """One kept connection to the server, for plain functions to use."""

    def __init__(self, server: embedded.Server) -> None:
        self.server = server
        self.runner = asyncio.Runner()
        self.connection = self.runner.run(asyncpg.connect(server.dsn))

    def execute(self, statement: str) -> None:
        self.runner.run(self.connection.execute(statement))

    def knows(self, database: str) -> bool:
        found = "select exists (select from pg_database where datname = $1)"
        return bool(self.runner.run(self.connection.fetchval(found, database)))

    @contextmanager
    def database(self, template: str) -> Iterator[str]:
        """Make a database, give its address, drop it whoever is still connected."""
        name = f"test_{os.getpid()}_{next(NUMBERS)}"
        self.execute(f"create database {name} template {template} strategy file_copy")
        yield self.server.dsn_of(name)
        self.execute(f"drop database {name} with (force)")

    def close(self) -> None:
        self.runner.run(self.connection.close())
        self.runner.close()


@pytest.fixture(scope="session")
def server(session_directory: Path) -> Iterator[embedded.Server]:
    """The server of this test session; one that is killed should be another."""
    home = session_directory / "postgres"
    with embedded.start(home, settings=SETTINGS, version=postgres_version()) as server:
        yield server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[embedded.Server]:
    """A server of the test's own: whatever is counted there, nobody else has done."""
    with embedded.start(tmp_path / "own", settings=SETTINGS, version=postgres_version()) as server:
        yield server


@pytest.fixture(scope="session")
def session_directory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A directory that all workers of a session see."""
    directory = tmp_path_factory.getbasetemp()
    return directory.parent if hasattr(request.config, "workerinput") else directory


@pytest.fixture(scope="session")
def administrator(server: embedded.Server) -> Iterator[Administrator]:
    with closing(Administrator(server)) as administrator:
        yield administrator


@pytest.fixture(scope="session")
def template(administrator: Administrator) -> str:
    """The name of a database with our tables, made by the first worker that comes."""
    administrator.execute("select pg_advisory_lock(1)")
    if not administrator.knows(TEMPLATE):
        administrator.execute("drop database if exists unfinished")
        administrator.execute("create database unfinished")
        prepare(administrator.server.dsn_of("unfinished"))
        administrator.execute(f"alter database unfinished rename to {TEMPLATE}")
    administrator.execute("select pg_advisory_unlock(1)")
    return TEMPLATE


@pytest.fixture
def database(administrator: Administrator, template: str) -> Iterator[str]:
    """The address of a database of the test's own, with our tables."""
    with administrator.database(template) as dsn:
        yield dsn


@pytest.fixture
def empty_database(administrator: Administrator) -> Iterator[str]:
    """The address of a database of the test's own, with nothing in it."""
    with administrator.database("template0") as dsn:
        yield dsn
