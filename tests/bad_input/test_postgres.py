"""Postgres is not there, or not as it should be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from asyncpg.types import ServerVersion

from asyncjobs import Jobs
from asyncjobs.errors import (
    ArgumentsNotStorable,
    AsyncJobsError,
    BadInput,
    BadOption,
    BadSignature,
    DuplicateTask,
    NoAddress,
    NotPermitted,
    SchemaMismatch,
    ServerTooOld,
    Unavailable,
    WrongConnection,
)
from asyncjobs.postgres import dial as pool_floor
from asyncjobs.postgres.session import check_version
from tests.bad_input.conftest import as_role
from tests.moments import until
from tests.postgres import Administrator


async def test_without_an_address_it_says_where_to_put_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ASYNCJOBS_DATABASE_URL", "DATABASE_URL", "ASYNCJOBS_DEV"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(NoAddress, match="ASYNCJOBS_DATABASE_URL"):
        async with Jobs().running():
            pass


@pytest.mark.parametrize(
    "address", ["postgresql://u@127.0.0.1:1/db", "postgresql://u@/db?host=/nowhere"]
)
async def test_a_server_that_refuses_is_named(address: str) -> None:
    with pytest.raises(Unavailable, match="could not connect to Postgres"):
        async with asyncio.timeout(10), Jobs(address).running():
            pass


@pytest.mark.parametrize(
    "address", ["no address", "mysql://u@localhost/db", "postgresql://[", "postgresql://h:port/"]
)
async def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(AsyncJobsError):
        async with asyncio.timeout(20), Jobs(address).running():
            pass


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """Accepts, and never says a word."""
    callers: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    yield f"postgresql://u@{host}:{port}/db"
    for writer in callers:
        writer.close()
    server.close()


@pytest.mark.parametrize("migrate", [True, False])
async def test_a_server_that_stays_silent_is_given_up(
    monkeypatch: pytest.MonkeyPatch, migrate: bool
) -> None:
    monkeypatch.setattr(pool_floor, "CONNECT_WITHIN", 0.2)

    async with silent_server() as address:
        with pytest.raises(Unavailable, match="no answer in time"):
            async with asyncio.timeout(10), Jobs(address, migrate=migrate).running():
                pass


def test_the_patience_with_a_silent_server_is_less_than_a_platforms() -> None:
    assert pool_floor.CONNECT_WITHIN <= 15


async def test_a_database_that_is_not_there_is_named(administrator: Administrator) -> None:
    with pytest.raises(Unavailable, match='database "nowhere" does not exist'):
        async with Jobs(administrator.server.dsn_of("nowhere")).running():
            pass


async def test_a_role_that_is_not_there_is_named(database: str) -> None:
    with pytest.raises(Unavailable, match='role "nobody_at_all" does not exist'):
        async with Jobs(as_role(database, "nobody_at_all")).running():
            pass


@pytest.fixture
async def locked_out(database: str, guest: str, administrator: Administrator) -> AsyncIterator[str]:
    """A role that must give a password, which the server is told to ask of it alone."""
    eyes = await asyncpg.connect(database)
    file = await eyes.fetchval("show hba_file")
    with open(file) as before:  # noqa: PTH123
        rules = before.read()
    with open(file, "w") as asking:  # noqa: PTH123
        asking.write(f"local all {guest} scram-sha-256\n{rules}")
    await eyes.execute("select pg_reload_conf()")
    await eyes.execute(f"alter role {guest} password 'right'")
    yield guest
    with open(file) as before:  # noqa: PTH123
        rules = before.read().replace(f"local all {guest} scram-sha-256\n", "")
    with open(file, "w") as asking:  # noqa: PTH123
        asking.write(rules)
    await eyes.execute("select pg_reload_conf()")
    await eyes.close()


async def test_a_wrong_password_is_named_and_not_told(database: str, locked_out: str) -> None:
    address = as_role(database, f"{locked_out}:hunter2")

    async def asked() -> bool:
        try:
            await (await asyncpg.connect(address)).close()
        except asyncpg.InvalidPasswordError:
            return True
        return False

    await until(asked)
    with pytest.raises(Unavailable, match="password authentication failed") as caught:
        async with Jobs(address).running():
            pass
    assert "hunter2" not in str(caught.value)


async def test_a_role_that_may_not_make_the_schema_is_told_what_to_do(
    empty_database: str, guest: str
) -> None:
    jobs = Jobs(as_role(empty_database, guest), migrate=True)

    with pytest.raises(NotPermitted, match="asyncjobs migrate") as caught:
        async with jobs.running():
            pass

    assert (caught.value.role, caught.value.schema) == (guest, "asyncjobs")


async def test_a_role_that_may_not_read_the_tables_is_named(database: str, guest: str) -> None:
    with pytest.raises(AsyncJobsError, match="permission denied"):
        async with Jobs(as_role(database, guest), migrate=False).running():
            pass


@pytest.mark.parametrize("start", [Jobs.running, Jobs.connected])
async def test_a_database_without_our_tables_is_told_what_to_do(
    empty_database: str, start: Callable[[Jobs], Any]
) -> None:
    with pytest.raises(SchemaMismatch, match=r"asyncjobs migrate.*Jobs\(migrate=True\)"):
        async with start(Jobs(empty_database, migrate=False)):
            pass


async def test_after_a_start_that_failed_the_next_may_succeed(
    empty_database: str, database: str
) -> None:
    jobs = Jobs(empty_database, migrate=False)
    with pytest.raises(SchemaMismatch):
        async with jobs.running():
            pass
    jobs = Jobs(empty_database, migrate=True)

    @jobs.task
    async def work() -> str:
        return "done"

    async with jobs.running():
        assert await (await work.enqueue()).result(20) == "done"


class ConnectionTo:
    """As much of a connection as is asked for its server's version: there is no old server here."""

    def __init__(self, major: int, minor: int) -> None:
        self.version = ServerVersion(major, minor, 0, "final", 0)

    def get_server_version(self) -> ServerVersion:
        return self.version


@pytest.mark.parametrize(("major", "minor"), [(12, 22), (9, 6)])
def test_a_server_that_is_too_old_is_refused(major: int, minor: int) -> None:
    with pytest.raises(ServerTooOld, match=f"13 or later.*{major}\\.{minor}"):
        check_version(ConnectionTo(major, minor))  # type: ignore[arg-type]


@pytest.mark.parametrize("major", [13, 14, 18])
def test_a_server_that_is_new_enough_is_not_refused(major: int) -> None:
    check_version(ConnectionTo(major, 0))  # type: ignore[arg-type]


def test_who_catches_bad_input_catches_all_of_it() -> None:
    for error in (BadOption, BadSignature, DuplicateTask, WrongConnection, ArgumentsNotStorable):
        assert issubclass(error, BadInput)
