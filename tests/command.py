"""`asyncjobs …` as others run it: a process of its own, its words, its signals, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.moments import PATIENCE, until_true

CHECKOUT = Path(__file__).parent.parent


class Command:
    """One that was started."""

    def __init__(self, process: Process, words: Path) -> None:
        self.process = process
        self._words = words

    @property
    def said(self) -> str:
        return self._words.read_text(encoding="utf-8")

    async def says(self, words: str) -> None:
        """Wait until it has said so, or has ended without."""
        await until_true(lambda: words in self.said or self.process.returncode is not None)
        assert words in self.said, self.said

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@asynccontextmanager
async def started(
    words: Path,
    *arguments: str,
    cwd: Path = CHECKOUT,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Command]:
    """Start it; what it says goes to the file `words`. Who is still there at the end is killed."""
    with words.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "asyncjobs", *arguments),
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield Command(process, words)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def run(
    *arguments: str, cwd: Path = CHECKOUT, environment: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run it to its end and give the exit code and what it said."""
    command = (sys.executable, "-m", "asyncjobs", *arguments)
    return await run_program(*command, cwd=cwd, environment=environment)


async def run_program(
    *command: str,
    cwd: Path = CHECKOUT,
    environment: Mapping[str, str] | None = None,
    given: str = "",
) -> tuple[int, str]:
    """Run any program so; `given` is what it reads."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            said, _ = await process.communicate(given.encode())
    finally:
        if process.returncode is None:
            process.kill()
    return process.returncode or 0, said.decode()
