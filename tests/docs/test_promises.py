"""What the pages name is there: files, headings, commands, errors, modules; and what they say of SQL runs."""

from __future__ import annotations

import builtins
import os
import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path
from types import ModuleType

import asyncpg
import click
import pytest
import uvicorn
from starlette import testclient

import asyncjobs
from asyncjobs import Jobs, JobState, cli, embedded, errors, events, extension
from asyncjobs.embedded import errors as embedded_errors
from asyncjobs.postgres import failures
from asyncjobs.standalone import errors as standalone_errors
from tests.docs.pages import (
    CHECKOUT,
    PAGES,
    Block,
    anchors_of,
    blocks_of,
    links_of,
    name_of,
    words_in_code,
)
from tests.moments import until_state
from tests.postgres import Administrator

DOCS = CHECKOUT / "docs"
README = CHECKOUT / "README.md"
each_page = pytest.mark.parametrize("page", PAGES, ids=[name_of(page) for page in PAGES])

SQL = [(page, block) for page in PAGES for block in blocks_of(page) if block.language == "sql"]
NAMES = (f"reader_{os.getpid()}_{number}" for number in count(1))

A_FILE = re.compile(r"[\w./-]*\w\.(py|sql|toml|md|css|js)")
A_CLASS = re.compile(r"[A-Z][a-z]+([A-Z][a-z]+)+")
WHERE_CLASSES_ARE: list[ModuleType] = [
    asyncjobs, errors, events, extension, embedded, embedded_errors, standalone_errors, failures, builtins, testclient,
]  # fmt: skip
OF_OTHERS = {"CancelledError", "SecretStr", "GoodJob", "PgBouncer", "PgQueuer"}
OTHER_PROGRAMS = {"curl", "export", "gunicorn", "python3"}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in links_of(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else (page.parent / path).resolve()
        assert target.exists(), link
        assert not anchor or anchor in anchors_of(target), link


@each_page
def test_files_that_are_named_are_there(page: Path) -> None:
    own = {block.file for block in blocks_of(page)}
    for word in words_in_code(page):
        if A_FILE.fullmatch(word) and word not in own:
            assert any(found.is_file() for found in places_of(page, word)), word


def places_of(page: Path, name: str) -> Iterator[Path]:
    for home in (page.parent, CHECKOUT, CHECKOUT / "asyncjobs"):
        yield home / name
    for package in ("asyncjobs", "example_app"):
        yield from (CHECKOUT / package).rglob(Path(name).name)


@each_page
def test_classes_that_are_named_are_there(page: Path) -> None:
    for word in words_in_code(page):
        if A_CLASS.fullmatch(word) and word not in OF_OTHERS:
            assert any(hasattr(module, word) for module in WHERE_CLASSES_ARE), word


@each_page
def test_commands_are_understood(page: Path) -> None:
    in_prose = [word for word in words_in_code(page) if word.startswith(("asyncjobs ", "nox -s"))]
    in_blocks = [
        command for block in blocks_of(page) if block.language == "sh" for command in lines(block)
    ]
    in_units = [
        line.partition("=")[2]
        for block in blocks_of(page)
        if block.language == "ini"
        for line in block.text.splitlines()
        if line.startswith("ExecStart=")
    ]
    for command in [*in_prose, *in_blocks, *in_units]:
        understand(shlex.split(command))


def lines(block: Block) -> list[str]:
    return [part for line in block.text.splitlines() for part in line.split(" && ") if part]


def understand(words: list[str]) -> None:
    """Fail for a program, a session, an option or an extra that nobody knows."""
    while re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    program, arguments = Path(words[0]).name, words[1:]
    if program == "uvx":
        program, arguments = arguments[0], arguments[1:]
    if program == "asyncjobs":
        command = cli.commands.commands[arguments[0]]
        if len(arguments) > 1:
            command.make_context(arguments[0], arguments[1:])
    elif program == "uvicorn":
        assert isinstance(uvicorn.main, click.Command)
        uvicorn.main.make_context("uvicorn", arguments)
    elif program == "nox":
        end = (
            arguments.index("--") if "--" in arguments else len(arguments)
        )  # the rest is the session's
        assert arguments[0] == "-s"
        assert set(arguments[1:end]) <= sessions()
    elif program == "pip":
        assert set(re.findall(r"\.\[(\w+)\]", " ".join(arguments))) <= {"embedded", "demo"}
    else:
        assert program in OTHER_PROGRAMS, program


def sessions() -> set[str]:
    noxfile = (CHECKOUT / "noxfile.py").read_text(encoding="utf-8")
    return set(re.findall(r"^@nox\.session\ndef (\w+)", noxfile, re.MULTILINE))


@pytest.mark.parametrize(
    "block",
    [block for _, block in SQL],
    ids=[f"{name_of(page)}:{block.line}" for page, block in SQL],
)
async def test_sql_is_understood(block: Block, database: str) -> None:
    connection = await asyncpg.connect(database)

    try:
        async with connection.transaction():
            await connection.execute(block.text)
            raise Understood
    except Understood:
        pass
    finally:
        await connection.close()


class Understood(Exception):
    """All of it was; now it is rolled back."""


@pytest.fixture
def reader(administrator: Administrator) -> Iterator[str]:
    """A role that can log in, and nothing else."""
    name = next(NAMES)
    administrator.execute(f"create role {name} login")
    yield name
    administrator.execute(f"drop role {name}")


async def test_the_rights_that_the_page_grants_are_enough(reader: str, database: str) -> None:
    await grant_what_the_page_says(database, reader)
    jobs = Jobs(database.replace("postgres@", f"{reader}@"))

    @jobs.task(name="greet")
    async def greet(name: str) -> str:
        return f"Hello, {name}"

    async with jobs.running():
        ended = await greet.enqueue("Ada")
        waits = await greet.options(delay=timedelta(days=1)).enqueue("Bob")
        assert await ended.result(20) == "Hello, Ada"
        assert await jobs.cancel(waits.id)
        await until_state(waits, JobState.CANCELLED)
        assert await jobs.retry(waits.id)
        assert await waits.result(20) == "Hello, Bob"
        assert await jobs.delete(ended.id)
        asked = await jobs.database.fetchval(
            "select asyncjobs.enqueue('greet', '{\"name\": \"Eve\"}')"
        )
        assert asked is not None


async def grant_what_the_page_says(database: str, role: str) -> None:
    [grants] = [block.text for _, block in SQL if "create role shop" in block.text]
    connection = await asyncpg.connect(database)
    await connection.execute(
        grants.replace("create role shop login;", "")
        .replace(" to shop;", f" to {role};")
        .replace(" from shop;", f" from {role};")
    )
    await connection.close()


def test_the_tree_of_errors_is_whole() -> None:
    page = (DOCS / "errors.md").read_text(encoding="utf-8")

    named = set(re.findall(r"\w+", page))

    assert {name for name in vars(errors) if issubclass_of_error(name)} <= named


def issubclass_of_error(name: str) -> bool:
    found = getattr(errors, name)
    return isinstance(found, type) and issubclass(found, errors.AsyncJobsError)


def test_the_house_is_as_it_is_drawn() -> None:
    [drawing] = [
        block.text
        for block in blocks_of(DOCS / "design.md")
        if block.text.startswith("asyncjobs/\n")
    ]
    package = CHECKOUT / "asyncjobs"

    built = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}

    assert drawn(drawing) == {
        path for path in built if not path.endswith("__init__.py") or path == "__init__.py"
    }


def drawn(drawing: str) -> set[str]:
    found: set[str] = set()
    folder = ""
    for line in drawing.splitlines()[1:]:
        if not line.startswith("│"):
            named = re.match(r"[├└]── (\w+/)", line)
            folder = named[1] if named else ""
        inner = re.match(r"│   [├└]── (\w+/)", line)
        for name in re.findall(r"(?<![\w*/])\w+\.py", line):
            found.add(folder + (inner[1] if inner else "") + name)
    return found


def test_mounting_takes_fewer_than_fifteen_lines() -> None:
    examples = [block.text for block in blocks_of(README) if block.language == "python"]

    assert len(examples) == 2
    for example in examples:
        assert len([line for line in example.splitlines() if line]) < 15
