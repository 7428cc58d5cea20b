"""
The leash: a pair of connected sockets between the supervisor and each of its processes.

It tells a process when to end: when the supervisor lets go of it, and just as well when the supervisor was
killed, for then the kernel closes its end. No signal does both, and a signal that comes from the supervisor
and from the system at the same time (systemd tells every process of a service) would count as two.

The process says on it, once, when it is up, how long its jobs may take to drain; and where the supervisor
answers for its processes (`--port`), each second how it is. Every word is a line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from asyncjobs.health import is_alive, is_ready, wrong
from asyncjobs.probes import Look

REPORT_EVERY = 1.0  # seconds
LONGEST = 500  # characters of what is wrong


@dataclass(frozen=True, slots=True)
class Report:
    """How a process said that it is."""

    is_alive: bool
    is_ready: bool
    wrong: str
    heard_at: float  # time.monotonic() here


class Leash:
    """The end that the process has, inherited as a file descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(False)
        # What our jobs start does not inherit it.
        os.set_inheritable(descriptor, False)

    @contextmanager
    def watched(self, end: Callable[[], None]) -> Generator[None]:
        """Call `end` when the supervisor lets go, or is gone."""
        loop = asyncio.get_running_loop()

        def let_go() -> None:
            loop.remove_reader(self._socket)
            end()

        # Nothing is ever sent this way, so whatever can be read is the end.
        loop.add_reader(self._socket, let_go)
        try:
            yield
        finally:
            loop.remove_reader(self._socket)

    def say_up(self, drain: timedelta) -> None:
        """Tell the supervisor that jobs run now, and how long they may take to drain."""
        self._say(drain=drain.total_seconds())

    @asynccontextmanager
    async def reporting(self, look: Look) -> AsyncGenerator[None]:
        """Tell the supervisor once a second how this process is, for as long as this is open."""
        # No task group, see port.py.
        reports = asyncio.get_running_loop().create_task(self._report(look))
        try:
            yield
        finally:
            reports.cancel()

    async def _report(self, look: Look) -> None:
        while True:
            checks = look()
            words = "; ".join(wrong(checks))[:LONGEST]
            self._say(live=is_alive(checks), ready=is_ready(checks), wrong=words)
            await asyncio.sleep(REPORT_EVERY)

    def _say(self, **words: object) -> None:
        # A supervisor that does not listen now misses it: the next word says the same, or better.
        with suppress(OSError):
            self._socket.send(json.dumps(words).encode() + b"\n")


class Grip:
    """The end that the supervisor has."""

    def __init__(self) -> None:
        self._socket, self._theirs = socket.socketpair()
        self._socket.setblocking(False)
        self.is_up: bool = False
        self.drain: timedelta = timedelta(0)
        self.report: Report | None = None
        self._begun = b""

    @property
    def descriptor(self) -> int:
        """The other end, to be inherited by the process."""
        return self._theirs.fileno()

    def started(self) -> None:
        """The process has its end: close our copy of it, and listen."""
        self._theirs.close()
        asyncio.get_running_loop().add_reader(self._socket, self._hear)

    def let_go(self) -> None:
        """Tell the process to drain and end."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """It has ended, or was never started."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._theirs.close()
        self._socket.close()

    def _hear(self) -> None:
        try:
            said = self._socket.recv(65536)
        except OSError:
            said = b""
        if not said:
            asyncio.get_running_loop().remove_reader(self._socket)
            return
        *lines, self._begun = (self._begun + said).split(b"\n")
        for line in lines:
            self._understand(line)

    def _understand(self, line: bytes) -> None:
        try:
            words: dict[str, Any] = json.loads(line)
        except ValueError:
            return  # the supervisor was slow, and some of it did not fit; the next line says it again
        if "drain" in words:
            self.is_up = True
            self.drain = timedelta(seconds=words["drain"])
        if "ready" in words:
            self.report = Report(
                words["live"], words["ready"], words["wrong"], heard_at=time.monotonic()
            )
