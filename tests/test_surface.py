"""What is public, and that importing it does nothing."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from typing import Any

import pytest

import asyncjobs
from asyncjobs import errors, events, extension

PUBLIC = [
    "Attempt",
    "Cancel",
    "CurrentJob",
    "Enqueued",
    "Extension",
    "Health",
    "Job",
    "JobState",
    "Jobs",
    "Retry",
    "Secret",
    "Snapshot",
    "Snooze",
    "Task",
    "Tasks",
    "current_job",
    "errors",
    "events",
    "exponential",
    "fixed",
    "never",
]


def in_a_fresh_python(code: str) -> Any:
    """Run code that prints JSON in an interpreter that has imported nothing yet."""
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_what_is_public_is_known() -> None:
    assert asyncjobs.__all__ == PUBLIC


def test_what_is_public_is_there() -> None:
    assert all(hasattr(asyncjobs, name) for name in PUBLIC)


def test_nothing_else_looks_public() -> None:
    shown = {
        name
        for name, value in vars(asyncjobs).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }

    assert shown <= set(PUBLIC)


def documented() -> dict[str, Any]:
    """Give every public class and function, and the public members of those classes, by name."""
    found = {name: getattr(asyncjobs, name) for name in PUBLIC}
    for module in (errors, events, extension):
        for name, value in vars(module).items():
            if inspect.isclass(value) and value.__module__ == module.__name__ and name[0] != "_":
                found[f"{module.__name__}.{name}"] = value
    for owner, value in list(found.items()):
        if inspect.isclass(value) and value.__module__.startswith("asyncjobs"):
            for name, member in vars(value).items():
                if not name.startswith("_") and (callable(member) or isinstance(member, property)):
                    found[f"{owner}.{name}"] = member
    del found["Extension"]  # a union of protocols, which are documented each
    return found


def is_generated(text: str, value: Any) -> bool:
    """Tell a docstring that somebody wrote from the signature that dataclass puts there."""
    return inspect.isclass(value) and text.startswith(f"{value.__name__}(")


@pytest.mark.parametrize("name", documented())
def test_everything_public_is_documented(name: str) -> None:
    value = documented()[name]
    text = inspect.getdoc(value) or ""

    assert text
    assert not is_generated(text, value)


def test_the_package_says_that_it_is_typed() -> None:
    from importlib.resources import files

    assert files("asyncjobs").joinpath("py.typed").is_file()


def test_importing_it_loads_nothing_that_only_pages_and_commands_need() -> None:
    loaded = in_a_fresh_python(
        "import sys, json, asyncjobs; print(json.dumps(sorted(sys.modules)))"
    )

    assert not {"jinja2", "click", "uvicorn", "fastapi", "asyncjobs.dashboard"} & set(loaded)
    assert not {"asyncjobs.embedded", "asyncjobs.cli", "asyncjobs.standalone"} & set(loaded)


READS_ENVIRONMENT = """
import json, os, sys
import anyio, asyncpg, pydantic, starlette.applications, typing_extensions
read = []
real = os._Environ.__getitem__
def noting(self, key):
    frame = sys._getframe(1)
    while frame.f_globals.get("__name__") in ("os", "_collections_abc", "collections.abc"):
        frame = frame.f_back
    if frame.f_globals.get("__name__", "").startswith("asyncjobs"):
        read.append(key)
    return real(self, key)
os._Environ.__getitem__ = noting
import asyncjobs
asyncjobs.Jobs()
print(json.dumps(read))
"""


def test_importing_and_constructing_reads_no_environment() -> None:
    assert in_a_fresh_python(READS_ENVIRONMENT) == []


DOES_THINGS = """
import json, sys
done = []
TOUCHES = ("socket.connect", "socket.bind", "subprocess.Popen", "os.fork", "os.posix_spawn", "os.mkdir")
sys.addaudithook(lambda event, args: done.append(event) if event in TOUCHES else None)
import threading
import asyncjobs
jobs = asyncjobs.Jobs("postgresql://u@localhost/db")
jobs.task(lambda: None)
print(json.dumps(done + [thread.name for thread in threading.enumerate()]))
"""


def test_importing_and_constructing_connects_nothing_and_starts_nothing() -> None:
    assert in_a_fresh_python(DOES_THINGS) == ["MainThread"]


TAKES_TIME = """
import json, time
began = time.perf_counter()
import anyio.to_thread, asyncpg, starlette.applications
from pydantic import BaseModel, TypeAdapter  # pydantic itself is lazy
theirs = time.perf_counter()
import asyncjobs
print(json.dumps([theirs - began, time.perf_counter() - theirs]))
"""


def test_importing_it_adds_little_to_what_it_stands_on() -> None:
    best = min(ours / theirs for theirs, ours in (in_a_fresh_python(TAKES_TIME) for _ in range(9)))

    assert best < 0.8
