"""What is read from the database is data: nothing of it is unpickled, evaluated, or imported by name."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from uuid import UUID

import asyncpg
import pytest

from asyncjobs import Enqueued, Jobs, JobState, never
from asyncjobs.errors import JobFailed
from tests.moments import until, until_state

PACKAGE = Path(__file__).parent.parent.parent / "asyncjobs"
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
TEMPLATES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.html"))

TURNS_DATA_INTO_CODE = {
    "pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "jsonpickle", "joblib", "yaml", "ruamel",
    "runpy", "code", "codeop", "imp", "pydoc", "pkgutil", "zipimport",
}  # fmt: skip
CALLS = {"eval", "exec", "compile", "__import__", "import_module", "import_string", "loads_pickle"}
# What somebody typed on the command line is looked up in the first, and nowhere else.
IMPORTS_BY_NAME = {
    "standalone/find.py": {"import_module"},
    "standalone/demo.py": {"import_module"},
    "engine/pool_process.py": {"import_module"},
}
# A process and those of its pool, which it has started itself, say to each other what pickle can: a declared task, the
# text of its arguments, an exception. What a row holds travels as that text.
IN_THE_POOL = {
    "engine/messages.py": {"pickle"},
    "engine/raised.py": {"pickle"},
    "engine/pool_process.py": {"runpy"},
}
BY_ANY_NAME = {
    "standalone/find.py",
    "engine/pool_process.py",
}  # the latter: where a task was declared
OF_IMPORTLIB = {"importlib.resources", "importlib.metadata", "importlib.util"}


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def called(tree: ast.Module) -> Iterator[ast.Call]:
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def name_of(call: ast.Call) -> str:
    found = call.func
    if isinstance(found, ast.Attribute):
        # `re.compile` compiles no code.
        owner = found.value.id if isinstance(found.value, ast.Name) else ""
        return "" if (owner, found.attr) == ("re", "compile") else found.attr
    return found.id if isinstance(found, ast.Name) else ""


@pytest.mark.parametrize("path", MODULES)
def test_no_module_of_ours_turns_data_into_code(path: str) -> None:
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))

    for name in imported(tree):
        assert name.split(".")[0] not in TURNS_DATA_INTO_CODE - IN_THE_POOL.get(path, set()), name
        if name.startswith("importlib") and path not in IMPORTS_BY_NAME:
            assert any(name.startswith(allowed) for allowed in OF_IMPORTLIB), name
    found = {name_of(call) for call in called(tree)}
    assert found & CALLS <= IMPORTS_BY_NAME.get(path, set())


@pytest.mark.parametrize("path", MODULES)
def test_a_module_is_only_looked_for_under_a_name_that_is_written_here(path: str) -> None:
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))

    for call in called(tree):
        if name_of(call) in ("find_spec", "import_module") and path not in BY_ANY_NAME:
            [argument] = call.args
            assert isinstance(argument, ast.Constant), ast.unparse(call)


@pytest.mark.parametrize("path", MODULES)
def test_no_program_is_started_through_a_shell(path: str) -> None:
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))

    for call in called(tree):
        assert name_of(call) not in ("system", "popen", "create_subprocess_shell")
        assert not any(keyword.arg == "shell" for keyword in call.keywords)


@pytest.mark.parametrize("path", TEMPLATES)
def test_no_template_takes_anything_for_markup(path: str) -> None:
    text = (PACKAGE / path).read_text(encoding="utf-8")

    assert not re.search(r"\|\s*safe\b|autoescape|\bMarkup\b", text)
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"\s(on\w+|style)=", text)


@pytest.mark.parametrize("path", [path for path in MODULES if path.startswith("dashboard/")])
def test_nothing_of_the_dashboard_makes_markup_by_hand(path: str) -> None:
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))

    assert not [name for name in imported(tree) if "Markup" in name]
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not re.search(r"(?<!\?P)<[a-z]+[ >]", node.value), node.value


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that leaves a trace when somebody imports it."""
    (tmp_path / "trapped.py").write_text("import sys\nsys.trapped = True\ndef task(**_): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    return "trapped.task"


async def test_a_task_is_not_imported_because_a_row_names_it(
    jobs: Jobs, eyes: asyncpg.Connection, trap: str
) -> None:
    names = [
        trap,
        "os.system",
        "builtins.eval",
        "subprocess:run",
        "trapped",
        "__import__('trapped')",
    ]

    async with jobs.running():
        ids = [await eyes.fetchval("select asyncjobs.enqueue($1)", name) for name in names]
        for id in ids:
            await until(partial(given_back, jobs, id))
        states = [(await jobs.get(id)).state for id in ids]

    assert set(states) == {JobState.READY}
    assert not hasattr(sys, "trapped")
    assert "trapped" not in sys.modules


async def given_back(jobs: Jobs, id: UUID) -> bool:
    return bool((await jobs.get(id)).history)


async def test_arguments_and_results_stay_what_json_can_hold(
    jobs: Jobs, eyes: asyncpg.Connection, trap: str
) -> None:
    hostile = {
        "py/object": trap,
        "py/reduce": [{"py/type": trap}, {"py/tuple": []}],
        "__reduce__": [trap, []],
        "__class__": trap,
        "$type": trap,
        "!!python/object/apply:os.system": ["true"],
    }
    got: list[object] = []

    @jobs.task(name="take", retry=never())
    async def take(value: object, plain: dict[str, object]) -> object:
        got.append((value, plain))
        return value

    @jobs.task(name="strict", retry=never())
    async def strict(value: int) -> None: ...

    async with jobs.running():
        stored = json.dumps({"value": hostile, "plain": hostile})
        id = await eyes.fetchval("select asyncjobs.enqueue('take', $1::jsonb)", stored)
        job = Enqueued(id, take)
        await until_state(job, JobState.SUCCEEDED)
        result = await job.result()
        wrong = await eyes.fetchval("select asyncjobs.enqueue('strict', $1::jsonb)", stored)
        with pytest.raises(JobFailed, match="ArgumentsDoNotFit"):
            await Enqueued(wrong, strict).result(20)

    assert got == [(hostile, hostile)]
    assert result == hostile
    assert not hasattr(sys, "trapped")


async def test_the_tasks_that_a_process_says_it_knows_are_only_names(
    jobs: Jobs, eyes: asyncpg.Connection, trap: str
) -> None:
    @jobs.task
    async def work() -> str:
        return "done"

    await eyes.execute(
        """
        insert into asyncjobs.process (lock_key, life, name, kind, pid, slots, tasks, version)
        values (1, now(), $1, $1, 1, 1, array[$1], $1)
        """,
        trap,
    )
    async with jobs.running():
        assert await (await work.enqueue()).result(20) == "done"

    assert not hasattr(sys, "trapped")


def test_the_list_of_what_is_forbidden_would_find_it() -> None:
    """The searches above are no decoration."""
    bad = ast.parse("import pickle\nfrom importlib import import_module\neval('1')\nre.compile('')")

    assert {name.split(".")[0] for name in imported(bad)} & TURNS_DATA_INTO_CODE
    assert {name_of(call) for call in called(bad)} & CALLS == {"eval"}
    assert isinstance(sys.modules["ast"], ModuleType)
