"""A process under harm: started, watched, hurt and ended from outside, as a platform would."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.moments import until_true

CHECKOUT = Path(__file__).parent.parent.parent
ENDS_WITHIN = 30.0  # seconds, with drains of a few

# What a process must not say. Scenarios whose harm makes it say some of it allow that by name.
ALARMS = re.compile(
    r"Traceback|was never retrieved|was destroyed but it is pending|never awaited|starts again in"
    r"|drain failed|AssertionError|Fatal Python error"
)


class Process:
    """One that was started by the field; `name` is how the scenario calls it."""

    def __init__(self, name: str, words: Path) -> None:
        self.name = name
        self.words = words
        self.was_killed = False
        self.was_told = False  # to end, by the scenario, which then looks at how it did
        self.may_say: list[str] = []
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it; what it says goes to a file."""
        with self.words.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=CHECKOUT,
                env={**os.environ, **environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        assert self._process is not None
        return self._process.returncode

    @property
    def said(self) -> str:
        return self.words.read_text(encoding="utf-8", errors="replace")

    @property
    def alarms(self) -> list[str]:
        """What it said that it must not say."""
        return [
            line
            for line in self.said.splitlines()
            if ALARMS.search(line) and not any(re.search(each, line) for each in self.may_say)
        ]

    def allow(self, *patterns: str) -> None:
        """Let it say what would be an alarm elsewhere: regular expressions, searched in each line."""
        self.may_say += patterns

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal; nothing when it has ended."""
        if self.returncode is None:
            os.kill(self.pid, number)

    async def says(self, words: str, within: float = ENDS_WITHIN) -> None:
        """Wait until it has said so, or has ended without."""
        await until_true(lambda: words in self.said or self.returncode is not None, within)
        assert words in self.said, f"{self.name} did not say {words!r}:\n{self.said[-3000:]}"

    async def ended(self, within: float = ENDS_WITHIN) -> int:
        """Wait for its end, and give the exit code."""
        assert self._process is not None
        try:
            async with asyncio.timeout(within):
                return await self._process.wait()
        except TimeoutError:
            raise AssertionError(
                f"{self.name} did not end within {within:g} s:\n{self.said[-3000:]}"
            ) from None

    def release(self) -> None:
        """Let go of what asyncio keeps of it."""
        assert self._process is not None
        self._process._transport.close()  # type: ignore[attr-defined]


def python(*arguments: str) -> list[str]:
    """Give the command of this Python."""
    return [sys.executable, *arguments]


def processes_with(mark: str) -> list[int]:
    """Find every process of this machine that was started with this mark in its environment."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (directory / "environ").read_bytes():
                found.append(int(directory.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def kill_all(pids: Sequence[int]) -> None:
    """Kill whoever of them is still there."""
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
