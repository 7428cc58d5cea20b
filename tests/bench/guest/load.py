"""
The load: `python -m tests.bench.guest.load PORT RATE SECONDS`, a process of its own.

An open loop: requests are sent when it is their time, whether or not earlier ones were answered, and each is measured
from the moment at which it should have been sent. So a server that stands still for a second is charged with all that
should have come in that second, and a late generator is charged to the server, never to its credit.

Not on asyncio, whose timers wait in whole milliseconds. Prints one JSON object: seconds, by route, and how late it sent.
"""

from __future__ import annotations

import gc
import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

ROUTES = ("/json", "/row?id=7")
ANSWER_WITHIN = 10.0  # seconds
MOST = 200  # connections
KEPT = (
    2.0  # seconds that a connection may be idle: servers close theirs after some, uvicorn after 5
)


@dataclass
class Connection:
    """One keep-alive connection, with at most one request on its way."""

    socket: socket.socket
    route: str = ""
    due: float = 0.0
    freed_at: float = 0.0
    heard: bytearray = field(default_factory=bytearray)

    def fileno(self) -> int:
        return self.socket.fileno()

    def send(self, route: str, due: float) -> None:
        """Ask."""
        self.route, self.due = route, due
        self.socket.sendall(f"GET {route} HTTP/1.1\r\nhost: guest\r\n\r\n".encode())

    def is_answered(self) -> bool:
        """Read what there is; tells whether the answer is complete. Raises RuntimeError where it is not a 200, or none."""
        if not (more := self.socket.recv(65536)):
            raise RuntimeError(f"{self.route}: the server hung up")
        self.heard += more
        head, ends, body = self.heard.partition(b"\r\n\r\n")
        if not ends:
            return False
        status, _, fields = head.lower().partition(b"\r\n")
        if b" 200 " not in status:
            raise RuntimeError(f"{self.route}: {head.decode()}")
        length = next(
            int(line.split(b":")[1])
            for line in fields.split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        if len(body) < length:
            return False
        self.heard.clear()
        return True


class Load:
    """A steady rate of requests, the routes in turn."""

    def __init__(self, port: int, rate: float) -> None:
        self.took: dict[str, list[float]] = {route: [] for route in ROUTES}
        self.late: list[float] = []
        self._port = port
        self._rate = rate
        self._free: list[Connection] = []
        self._asking: list[Connection] = []

    def run(self, seconds: float) -> None:
        """Send, and hear, until all is answered. Raises TimeoutError."""
        try:
            self._run(time.perf_counter(), seconds)
        finally:
            for connection in (*self._free, *self._asking):
                connection.socket.close()

    def _run(self, began: float, seconds: float) -> None:
        dues = self._dues(began, seconds)
        due = next(dues, None)
        while due is not None or self._asking:
            now = time.perf_counter()
            if due is not None and now >= due[1]:
                self._send(*due, now)
                due = next(dues, None)
                continue
            if now > began + seconds + ANSWER_WITHIN:
                raise TimeoutError(f"{len(self._asking)} requests are not answered")
            self._hear(ANSWER_WITHIN if due is None else due[1] - now)

    def _dues(self, began: float, seconds: float) -> Iterator[tuple[str, float]]:
        for number in range(int(seconds * self._rate)):
            yield ROUTES[number % len(ROUTES)], began + number / self._rate

    def _send(self, route: str, due: float, now: float) -> None:
        self.late.append(now - due)
        if len(self._asking) >= MOST:
            raise TimeoutError(f"{MOST} requests wait for an answer")
        connection = self._kept(now) or self._connect()
        connection.send(route, due)
        self._asking.append(connection)

    def _kept(self, now: float) -> Connection | None:
        """Take the one that was used last, if it still is to be trusted; those that are not are closed."""
        if self._free and now - self._free[-1].freed_at < KEPT:
            return self._free.pop()
        while self._free:
            self._free.pop().socket.close()
        return None

    def _connect(self) -> Connection:
        made = socket.create_connection(("127.0.0.1", self._port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return Connection(made)

    def _hear(self, within: float) -> None:
        for connection in select.select(self._asking, (), (), max(0.0, within))[0]:
            if connection.is_answered():
                connection.freed_at = time.perf_counter()
                self.took[connection.route].append(connection.freed_at - connection.due)
                self._asking.remove(connection)
                self._free.append(connection)


def main(port: str, rate: str, seconds: str) -> None:
    gc.disable()
    with suppress(OSError):  # it stands for other machines: what shares this one shall not keep it
        os.nice(-10)
    load = Load(int(port), float(rate))
    load.run(float(seconds))
    sys.stdout.write(json.dumps({"took": load.took, "late": load.late}))


if __name__ == "__main__":
    main(*sys.argv[1:])
