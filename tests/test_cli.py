"""The command line: migrations, the demo, and errors that are told in one line."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from asyncjobs import embedded
from asyncjobs.standalone.demo import find_example
from asyncjobs.standalone.errors import ExampleNotFound
from tests.command import run, run_program, started
from tests.moments import until_true

EXAMPLE = """
import os
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from asyncjobs import Jobs
import asyncio

jobs = Jobs()
app = FastAPI(lifespan=jobs.lifespan)
app.mount("/jobs", jobs.dashboard())

@jobs.task
async def wait() -> None:
    await asyncio.Event().wait()

@app.get("/")
async def enqueue() -> str:
    return str((await wait.enqueue()).id)

@app.get("/tab")
async def tab() -> StreamingResponse:
    async def words():
        yield "open"
        await asyncio.Event().wait()

    return StreamingResponse(words())
"""


# The migrations.


async def test_eight_processes_that_migrate_at_once_apply_it_once(empty_database: str) -> None:
    ends = await asyncio.gather(*(run("migrate", "--dsn", empty_database) for _ in range(8)))

    assert [code for code, _ in ends] == [0] * 8
    assert sum(said.count("applied 0001_jobs") for _, said in ends) == 1
    assert all("schema asyncjobs is up to date" in said for _, said in ends)


async def test_the_printed_script_makes_the_same_tables(
    empty_database: str, database: str, server: embedded.Server
) -> None:
    code, script = await run("migrate", "--sql")
    assert code == 0

    psql = str(server.binaries / "psql")
    code, said = await run_program(psql, "-v", "ON_ERROR_STOP=1", empty_database, given=script)

    assert code == 0, said
    assert await tables(empty_database) == await tables(database)
    assert await run("migrate", "--dsn", empty_database) == (
        0,
        "schema asyncjobs is up to date\n",
    )


async def test_another_schema_can_be_named(empty_database: str) -> None:
    code, said = await run("migrate", "--dsn", empty_database, "--schema", "errands")
    _, status = await run("status", "--dsn", empty_database, "--schema", "errands")

    assert code == 0
    assert said.startswith("schema errands: applied 0001_jobs\n")
    assert said.endswith("schema errands is up to date\n")
    assert "schema errands, at 0" in status
    # Nothing but what is wrong with the tests' own server: every look finds the other schema.
    assert re.findall(r"^[!*?] (\w+)", status, re.MULTILINE) == ["fsync", "full_page_writes"]


async def tables(dsn: str) -> set[tuple[object, ...]]:
    """All that a migration makes, as the catalogs tell it."""
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        rows = await pool.fetch(
            """
            select 'column', table_name, column_name,
              concat_ws(' ', ordinal_position, data_type, is_nullable, column_default, is_identity)
            from information_schema.columns where table_schema = 'asyncjobs'
            union all
            select 'index', tablename, indexname, indexdef
            from pg_indexes where schemaname = 'asyncjobs'
            union all
            select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
            from pg_constraint where connamespace = 'asyncjobs'::regnamespace
            union all
            select 'function', proname, '', pg_get_functiondef(oid)
            from pg_proc where pronamespace = 'asyncjobs'::regnamespace
            union all
            select 'relation', relname, relkind::text, concat_ws(' ', relpersistence, reloptions::text)
            from pg_class where relnamespace = 'asyncjobs'::regnamespace
            """
        )
    return {tuple(row.values()) for row in rows}


# What went wrong, in one line.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["work", "nowhere:jobs"], "no Jobs at 'nowhere:jobs': there is no module 'nowhere'"),
        (["work", "tests.command:jobs"], "tests.command has no 'jobs'"),
        (["work", "tests.command:run"], "tests.command.run is of type function"),
        (["work", "tests.standalone.yard", "--queues", "a=1,b"], "--queues must be names"),
        (["work", "tests.standalone.yard"], "could not connect to Postgres: ConnectionRefused"),
        (["migrate"], "could not connect to Postgres: ConnectionRefused"),
        (["status"], "could not connect to Postgres: ConnectionRefused"),
        (["migrate", "--sql", "--schema", "No Name"], "schema must be a lower-case name"),
    ],
)
async def test_what_cannot_be_done_is_told_in_one_line(
    arguments: list[str], words: str, closed_port: int
) -> None:
    nowhere = f"postgresql://somebody@127.0.0.1:{closed_port}/nothing"

    code, said = await run(*arguments, environment={"ASYNCJOBS_DATABASE_URL": nowhere})

    assert code == 1
    assert said.startswith("asyncjobs: ")
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", ["status", "migrate"])
async def test_without_an_address_it_is_told_what_to_do(command: str) -> None:
    code, said = await run(
        command, environment={"ASYNCJOBS_DATABASE_URL": "", "DATABASE_URL": "", "ASYNCJOBS_DEV": ""}
    )

    assert code == 1
    assert said.startswith("asyncjobs: could not find Postgres: set ASYNCJOBS_DATABASE_URL or")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken, so that nobody else gets it, and on which nobody listens."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


# The demo.


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory with an example of its own."""
    (tmp_path / "example_app").mkdir()
    (tmp_path / "example_app" / "__init__.py").touch()
    (tmp_path / "example_app" / "app.py").write_text(EXAMPLE)
    return tmp_path


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
async def test_the_demo_ends_cleanly_with_a_tab_open_and_a_job_running(
    checkout: Path, empty_database: str, told: signal.Signals
) -> None:
    words = checkout / "words"
    async with started(
        words,
        "demo",
        "--port",
        "0",
        cwd=checkout,
        environment={"ASYNCJOBS_DATABASE_URL": empty_database},
    ) as demo:
        await demo.says("Ctrl-C drains and ends it.")
        port = port_in(demo.said)
        page = await get(port, "/")
        tab = await get(port, "/tab", until=b"open")
        demo.tell(told)

        assert await demo.ended() == 0

    for _, writer in (page, tab):
        writer.close()
    assert f"Its dashboard  http://127.0.0.1:{port}/jobs/" in demo.said
    assert "1 jobs did not end in time and are cancelled" in demo.said
    assert "Traceback" not in demo.said


async def test_the_demo_brings_its_own_postgres(checkout: Path) -> None:
    environment = {
        "ASYNCJOBS_DATABASE_URL": "",
        "DATABASE_URL": "",
        "XDG_CACHE_HOME": str(checkout),
    }
    words = checkout / "words"
    async with started(words, "demo", "--port", "0", cwd=checkout, environment=environment) as demo:
        await demo.says("Ctrl-C drains and ends it.")
        psql = demo.said.partition("Its Postgres")[2].splitlines()[0]
        program, _, address = psql.strip().partition(" ")
        code, said = await run_program(
            program, "-Atc", "select count(*) from asyncjobs.process", address.strip("'")
        )
        demo.tell(signal.SIGINT)

        assert await demo.ended() == 0

    assert (code, said) == (0, "1\n")
    await until_true(lambda: not list(checkout.glob("asyncjobs/*/*/data/postmaster.pid")))


async def test_a_port_that_was_asked_for_and_is_taken_is_told(
    checkout: Path, database: str
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])

        code, said = await run(
            "demo", "--port", port, cwd=checkout, environment={"ASYNCJOBS_DATABASE_URL": database}
        )

    assert code == 1
    assert said == (
        f"asyncjobs: cannot listen on 127.0.0.1, port {port}: Address already in use; "
        "try another --port\n"
    )


def test_without_an_example_the_demo_says_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "example_app", None)
    monkeypatch.setitem(sys.modules, "example_app.app", None)
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ExampleNotFound, match="clone the repository"):
        find_example()


def test_an_example_that_lacks_a_package_says_what_to_install(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    for name in ("example_app", "example_app.app"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "fastapi", None)

    with pytest.raises(ExampleNotFound, match=r"needs the module 'fastapi'.*asyncjobs-pg\[demo\]"):
        find_example()


def port_in(said: str) -> int:
    return int(said.partition("http://127.0.0.1:")[2].partition("/")[0])


async def get(
    port: int, path: str, until: bytes = b"\r\n\r\n"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for a page and leave the connection open, as browsers do."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    await reader.readuntil(until)
    return reader, writer
