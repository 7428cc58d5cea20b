"""One process of the supervisor's, from its start to its end."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from subprocess import DEVNULL
from typing import Self

import anyio
import anyio.abc

from asyncjobs.standalone.leash import Grip, Report


class Child:
    """A process that was started afresh, not forked, and the leash that it is on."""

    def __init__(self, process: anyio.abc.Process, grip: Grip) -> None:
        self._process = process
        self._grip = grip
        self._began = anyio.current_time()

    @classmethod
    async def start(cls, command: Sequence[str]) -> Self:
        """Start one; raises OSError."""
        grip = Grip()
        try:
            process = await anyio.open_process(
                [*command, "--leash", str(grip.descriptor)],
                stdin=DEVNULL,
                stdout=None,
                stderr=None,
                pass_fds=[grip.descriptor],
            )
        except BaseException:
            grip.close()
            raise
        grip.started()
        return cls(process, grip)

    @property
    def pid(self) -> int:
        """Its number in the system."""
        return self._process.pid

    @property
    def is_up(self) -> bool:
        """Whether it came so far as to run jobs."""
        return self._grip.is_up

    @property
    def report(self) -> Report | None:
        """How it said last that it is."""
        return self._grip.report

    @property
    def drain(self) -> timedelta:
        """How long its jobs may take to end."""
        return self._grip.drain

    @property
    def age(self) -> timedelta:
        """How long ago it was started."""
        return timedelta(seconds=anyio.current_time() - self._began)

    def let_go(self) -> None:
        """Tell it to drain and end."""
        self._grip.let_go()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def ended(self) -> None:
        """Wait for its end."""
        await self._process.wait()
        self._grip.close()

    @property
    def how_it_ended(self) -> str:
        """Tell what ended it."""
        code = self._process.returncode
        if code is None or code >= 0:
            return f"exit code {code}"
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
