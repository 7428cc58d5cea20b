"""
The leash: a pair of connected sockets between the supervisor and each of its processes.

It tells a process when to end: when the supervisor lets go of it, and just as well when the supervisor was
killed, for then the kernel closes its end. No signal does both, and a signal that comes from the supervisor
and from the system at the same time (systemd tells every process of a service) would count as two.

The process says one thing on it, once, when it is up: how long its jobs may take to drain.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import timedelta


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
        with suppress(OSError):
            self._socket.send(f"{drain.total_seconds()}\n".encode())


class Grip:
    """The end that the supervisor has."""

    def __init__(self) -> None:
        self._socket, self._theirs = socket.socketpair()
        self._socket.setblocking(False)
        self.is_up: bool = False
        self.drain: timedelta = timedelta(0)

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
            said = self._socket.recv(100)
        except OSError:
            said = b""
        if said:
            self.is_up = True
            self.drain = timedelta(seconds=float(said))
        else:
            asyncio.get_running_loop().remove_reader(self._socket)
