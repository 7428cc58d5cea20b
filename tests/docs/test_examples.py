"""Every example of the documentation is executed, on a database of its own."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from anyio import to_thread
from starlette.testclient import TestClient

from asyncjobs import Jobs
from tests.docs.pages import PAGES, Block, Program, programs_of
from tests.moments import until
from tests.postgres import Administrator

PROGRAMS = [program for page in PAGES for program in programs_of(page)]
UNFINISHED = "select count(*) from asyncjobs.job where state in ('ready', 'running')"
_FOR_PYTEST = re.compile(r"(conftest|test_\w+)\.py")
FAILED = "select task, error from asyncjobs.finished where state = 'failed'"


@pytest.fixture
def home(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for the files of an example, and the environment that its reader has."""
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("DIRECT_DATABASE_URL", database)
    monkeypatch.delenv("ASYNCJOBS_DATABASE_URL", raising=False)
    monkeypatch.delenv("ASYNCJOBS_DEV", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        origin = getattr(sys.modules[name], "__file__", None)
        if origin and Path(origin).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def shards(
    program: Program,
    database: str,
    administrator: Administrator,
    template: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    """Two databases, for a program that asks for several."""
    if not any("SHARD_URLS" in block.text for block in program.blocks):
        yield
        return
    with administrator.database(template) as second:
        monkeypatch.setenv("SHARD_URLS", f"{database} {second}")
        yield


@pytest.mark.usefixtures("shards")
@pytest.mark.parametrize("program", PROGRAMS, ids=[program.name for program in PROGRAMS])
async def test_an_example_does_what_it_says(program: Program, home: Path, database: str) -> None:
    reader = Reader(home)

    async with AsyncExitStack() as stack:
        for block in program.blocks:
            await reader.reads(block, stack)
            if block.visits:
                await stack.aclose()
                await to_thread.run_sync(reader.visits, block.visits)
        await reader.rests()
    await to_thread.run_sync(reader.visits, [])
    if any(block.file and block.file.startswith("test_") for block in program.blocks):
        await python("-m", "pytest", "-q", "-p", "no:cacheprovider", ".")

    if not program.some_fail:
        assert await failed(database) == []


class Reader:
    """Types what the page shows, block after block, into one program."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.names: dict[str, Any] = {"__name__": "example"}
        self.visited: object = None

    async def reads(self, block: Block, stack: AsyncExitStack) -> None:
        printed = StringIO()
        with redirect_stdout(printed):
            if block.file is None:
                await self._runs(block, stack)
            elif "__main__" in block.text:
                self._stores(block)
                printed.write(await python(block.file))
            elif _FOR_PYTEST.match(block.file):
                self._stores(block)
            else:
                self._imports(self._stores(block))
        if block.prints is not None:
            assert printed.getvalue() == block.prints

    async def _runs(self, block: Block, stack: AsyncExitStack) -> None:
        """Statement after statement; one that awaits does so in an application that runs."""
        for statement in ast.parse("\n" * (block.line - 1) + block.text).body:
            module = ast.Module([statement], type_ignores=[])
            code = compile(module, "the page", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True)
            awaits = bool(code.co_flags & inspect.CO_COROUTINE)
            opens = isinstance(statement, ast.AsyncWith)
            if awaits and not opens and isinstance(self.jobs, Jobs) and not self.is_connected:
                await stack.enter_async_context(self.jobs.running())
            result = eval(code, self.names)
            if awaits:
                await result

    def _stores(self, block: Block) -> str:
        assert block.file is not None
        path = self.home / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        return block.file

    def _imports(self, file: str) -> None:
        importlib.invalidate_caches()
        module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
        self.names.update(vars(module))

    @property
    def jobs(self) -> Any:
        return self.names.get("jobs")

    @property
    def is_connected(self) -> bool:
        return self.jobs._connection is not None

    def visits(self, visits: list[str]) -> None:
        """Come with a browser, if there is an app that was not visited before."""
        app: Any = self.names.get("app")
        if app is self.visited:
            return
        self.visited = app
        with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 50000)) as client:
            for visit in visits:
                method, path, status = visit.split()
                answer = client.request(method, path, headers={"sec-fetch-site": "same-origin"})
                assert answer.status_code == int(status), answer.text
            assert client.portal is not None
            client.portal.call(self.rests)

    async def rests(self) -> None:
        """Wait until nothing that was enqueued is unfinished, but for what is scheduled."""
        if isinstance(self.jobs, Jobs) and self.is_connected:
            await until(self._is_at_rest)

    async def _is_at_rest(self) -> bool:
        unfinished: int = await self.jobs.database.fetchval(UNFINISHED)
        return unfinished == 0


async def python(*arguments: str) -> str:
    """Run it as its reader would, in the directory of the example; gives what it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def failed(database: str) -> list[tuple[str, str]]:
    connection = await asyncpg.connect(database)
    try:
        return [(row["task"], row["error"]) for row in await connection.fetch(FAILED)]
    finally:
        await connection.close()


def test_there_are_examples() -> None:
    assert len(PROGRAMS) > 20
