"""The load generator of the guest test, beside a server that hangs up."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator

import pytest

from tests.bench.guest import load


class Once(socketserver.BaseRequestHandler):
    """Answers one request and closes the connection without a word about it."""

    def handle(self) -> None:
        self.request.recv(65536)
        self.request.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")


@pytest.fixture
def port() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Once) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        yield server.server_address[1]
        server.shutdown()
        serving.join()


def test_a_connection_that_was_idle_for_long_is_not_used_again(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "KEPT", 0.0)
    made = load.Load(port, 100.0)

    made.run(0.1)

    assert sum(len(took) for took in made.took.values()) == 10


def test_a_server_that_hangs_up_is_told_of_at_once(port: int) -> None:
    # Depending on who is faster, the request finds the connection closed, or its answer does not come.
    with pytest.raises((RuntimeError, ConnectionError)):
        load.Load(port, 100.0).run(1.0)
