"""Having a port: opened before anything else begins, so that one that is taken is told at once."""

from __future__ import annotations

import errno
import socket
from collections.abc import Generator
from contextlib import contextmanager

from asyncjobs.standalone.errors import CannotListen

FIRST_PORT = 8000
PORTS = 100


@contextmanager
def listening(host: str, port: int | None) -> Generator[socket.socket]:
    """Open the port that was asked for, or the first free one from 8000; raises CannotListen."""
    first, last = (FIRST_PORT, FIRST_PORT + PORTS - 1) if port is None else (port, port)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(first, last + 1):
        try:
            listener = socket.create_server((host, candidate), family=family)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or candidate == last:
                reason = str(error.strerror).partition(" (")[0]
                raise CannotListen(host, candidate, reason) from error
        else:
            with listener:
                yield listener
            return
