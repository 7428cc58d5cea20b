"""Tasks that do what no task should, each in its own way."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from asyncjobs import Tasks, fixed, never

tasks = Tasks()


class Unspeakable(Exception):
    """An exception that cannot even be printed."""

    def __str__(self) -> str:
        raise RuntimeError("and its str() raises")

    __repr__ = __str__


class Beyond(BaseException):
    """One that `except Exception` lets through."""


@tasks.task(retry=never())
async def raises(what: str) -> None:
    """Raise something that others do not expect."""
    match what:
        case "unspeakable":
            raise Unspeakable
        case "base exception":
            raise Beyond("through every except Exception")
        case "system exit":
            raise SystemExit(3)
        case "keyboard interrupt":
            raise KeyboardInterrupt
        case "generator exit":
            raise GeneratorExit
        case "group":
            raise BaseExceptionGroup("several", [Beyond("one"), ValueError("two")])
        case "cancelled":
            raise asyncio.CancelledError
        case "a megabyte":
            raise ValueError("\0 \ud800 <script>" + "x" * 1_000_000)
        case _:
            raise ValueError(what)


@tasks.task(retry=never())
def raises_in_a_thread(what: str) -> None:
    """Do so in a thread."""
    if what == "system exit":
        raise SystemExit(3)
    if what == "stop iteration":
        raise StopIteration(1)
    raise Beyond("in a thread")


@tasks.task(retry=never())
async def returns(what: str) -> Any:
    """Return what cannot be stored."""
    match what:
        case "an object":
            return object()
        case "a surrogate":
            return "\ud800"
        case "a nul":
            return "\0"
        case "too much":
            return "x" * 20_000_000
        case "itself":
            loop: list[Any] = []
            loop.append(loop)
            return loop
    raise ValueError(what)


@tasks.task(retry=never(), timeout=timedelta(seconds=0.2))
async def overstays(gate: str) -> None:
    """Have a timeout, and swallow it until the file is there."""
    while not Path(gate).exists():
        try:
            await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            continue


@tasks.task(retry=never())
async def closes_the_default_executor() -> None:
    """Take from everybody in this loop what `asyncio.to_thread` and the resolving of names run in."""
    await asyncio.get_running_loop().shutdown_default_executor()


@tasks.task(retry=never())
async def cancels_all_tasks_of(pid: int) -> None:
    """Cancel every task of the loop, when it runs in that process."""
    for task in asyncio.all_tasks() if os.getpid() == pid else ():
        if task is not asyncio.current_task() and "asyncjobs" in task.get_name():
            task.cancel()


@tasks.task(retry=fixed(timedelta(milliseconds=20), max_attempts=3))
async def recurses(depth: int = 0) -> None:
    """Fail with a traceback as deep as Python allows."""
    await recurses.function(depth + 1)
