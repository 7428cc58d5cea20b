"""A contestant's process, from outside."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.bench.contestant import Contestant
from tests.bench.peers.player import CannotError

ROOT = Path(__file__).parents[2]
ENDS_WITHIN = 10.0  # seconds after its input ended
LINE = 64 * 2**20  # bytes in the longest answer


class FailedError(Exception):
    """The contestant failed at what it was asked to do."""


class Remote:
    """A process that was started, to be asked one thing after the other."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    async def ask(self, what: str, **how: object) -> list[float]:
        """Let it do something; raises CannotError, FailedError."""
        assert self._process.stdin is not None
        with suppress(ConnectionError):
            self._process.stdin.write(json.dumps({"do": what, **how}).encode() + b"\n")
            await self._process.stdin.drain()
        return await self.answer()

    async def answer(self) -> list[float]:
        """Wait for what it says; raises CannotError, FailedError."""
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(await self._process.stdout.readline() or "{}")
        if "cannot" in answer:
            raise CannotError(answer["cannot"])
        if "samples" not in answer:
            said = answer.get("failed") or self._log.read_text(errors="replace")
            raise FailedError(f"{self.name}: {said.strip()[-2000:]}")
        samples: list[float] = answer["samples"]
        return samples

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()


@asynccontextmanager
async def started(contestant: Contestant, logs: Path) -> AsyncIterator[Remote]:
    """Start a process that speaks for it, and end it."""
    logs.mkdir(parents=True, exist_ok=True)
    log = logs / f"{contestant.name.replace(' ', '-').replace(',', '')}.log"
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *contestant.command, stdin=PIPE, stdout=PIPE, stderr=errors, limit=LINE, cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    remote = Remote(contestant.name, process, log)
    try:
        await remote.answer()
        yield remote
    finally:
        await end(process)


async def end(process: Process, within: float = ENDS_WITHIN) -> None:
    """Close the input of a process that ends with it; it is killed where it does not, or where we may not wait."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), within)
    except (TimeoutError, asyncio.CancelledError):
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
