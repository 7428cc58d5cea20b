"""One stay: a host with its guest, first at rest, then while jobs of one kind drain."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.bench.remote import end

ENDS_WITHIN = 20.0  # seconds

PYTHONS: dict[str, str] = {}
"""The interpreter of a guest that has an environment of its own; the others have ours."""


@dataclass(frozen=True, slots=True)
class Windows:
    """How long the app is measured; before each window comes load that is not counted: connections are opened, and the like."""

    alone: float  # seconds
    beside: float  # seconds
    warm: float  # seconds


@dataclass(frozen=True, slots=True)
class Host:
    """The process of an app with its guest."""

    port: int
    process: asyncio.subprocess.Process

    async def figures(self) -> dict[str, Any]:
        """Ask how things stand."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        answer = await self.process.stdout.readline()
        return dict(json.loads(answer))

    async def heard(self, rate: float, seconds: float) -> dict[str, Any]:
        """Load it for so long; gives what the load generator has measured."""
        return dict(json.loads(await run("load", self.port, rate, seconds)))


@asynccontextmanager
async def host(name: str, dsn: str, loop: str) -> AsyncIterator[Host]:
    """Start an app with this guest, and end it."""
    process = await asyncio.create_subprocess_exec(
        *python_of(name), "-m", "tests.bench.guest.serve", name, dsn, loop, stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    try:
        first = json.loads(await process.stdout.readline() or "{}")
        if not first:
            raise RuntimeError(f"the app with {name} did not start")
        yield Host(first["port"], process)
    finally:
        await end(process, ENDS_WITHIN)


async def stay(
    name: str, dsn: str, loop: str, load: str, count: int, rate: float, windows: Windows
) -> dict[str, Any]:
    """
    Measure the app with its guest at rest, then while jobs drain.

    The jobs are stored by a third process, before the second window begins. Raises RuntimeError where they were not
    enough for all of it.
    """
    await keep(name, dsn, "clear")
    async with host(name, dsn, loop) as app:
        await app.heard(rate, windows.warm)
        alone = await window(app, rate, windows.alone)
        await keep(name, dsn, "fill", load, count)
        await app.heard(rate, windows.warm)
        beside = await window(app, rate, windows.beside)
        ended = (await app.figures())["ended"]
    if name != "none" and ended >= count:
        raise RuntimeError(f"{count} jobs ({load}) were not enough for {name}: they ended too soon")
    return {"alone": alone, "beside": beside, "ended": ended}


async def window(app: Host, rate: float, seconds: float) -> dict[str, Any]:
    """Load the app for so long, and tell what became of it."""
    before = await app.figures()
    heard = await app.heard(rate, seconds)
    after = await app.figures()
    lasted = after["at"] - before["at"]
    return {
        **heard,
        "seconds": lasted,
        "jobs": (after["ended"] - before["ended"]) / lasted,
        "cpu": (after["cpu"] - before["cpu"]) / lasted,
        "figures": after,
    }


async def keep(name: str, dsn: str, do: str, load: str = "", count: int = 0) -> None:
    """Let another process prepare, clear or fill."""
    await run("fill", name, dsn, do, load, count, python=python_of(name))


async def run(module: str, *said: object, python: tuple[str, ...] = (sys.executable,)) -> bytes:
    """Run a module of this package to its end, and give what it printed; raises RuntimeError."""
    process = await asyncio.create_subprocess_exec(
        *python, "-m", f"tests.bench.guest.{module}", *map(str, said), stdout=PIPE, stderr=PIPE
    )
    try:
        printed, complaint = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        words = complaint.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise RuntimeError(f"{module}: {words[-1].strip()}")
    return printed


def python_of(name: str, pythons: Mapping[str, str] = PYTHONS) -> tuple[str, ...]:
    """Give the interpreter that has this guest."""
    return (pythons.get(name, sys.executable),)
