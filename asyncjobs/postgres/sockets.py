"""
What a broken network may cost, on the client's side of a connection.

asyncpg sets TCP_NODELAY and nothing else, so a half-open connection would be believed for as long as the
kernel cares to resend: about fifteen minutes.
"""

from __future__ import annotations

import os
import socket
import weakref
from typing import Any

GIVE_UP_AFTER = 20  # seconds of silence


def keep_alive(connection: Any) -> None:
    """Let the kernel notice a dead peer within `GIVE_UP_AFTER` seconds; nothing to do on unix sockets."""
    own = _socket_of(connection)
    if own is None or own.family == getattr(socket, "AF_UNIX", None):
        return
    own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", 5),
        ("TCP_KEEPINTVL", 5),
        ("TCP_KEEPCNT", 3),
        ("TCP_USER_TIMEOUT", GIVE_UP_AFTER * 1000),
    ):
        if hasattr(socket, option):
            own.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class ForkGuard:
    """
    Closes the link's socket at once in a forked child.

    A child that holds the socket would keep its parent's lock alive after the parent was killed, and
    with it all of the parent's jobs.
    """

    def __init__(self) -> None:
        self._descriptors: set[int] = set()
        reference = weakref.ref(self)

        def close_in_child() -> None:
            guard = reference()
            if guard is not None:
                guard._close_all()

        os.register_at_fork(after_in_child=close_in_child)

    def watch(self, connection: Any) -> None:
        """Close this connection in children from now on."""
        self._descriptors.add(_socket_of(connection).fileno())

    def forget(self, connection: Any) -> None:
        """Leave it alone again; to be called before it is closed here."""
        own = _socket_of(connection)
        if own is not None:
            self._descriptors.discard(own.fileno())

    def _close_all(self) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()


def abandon(connection: Any) -> None:
    """
    Leave the connection without a word, and its socket open to the end of this operating system process.

    For a plain function that goes on after its executor has gone: the lock must live as long as it does.
    """
    own = _socket_of(connection)
    if own is not None:
        os.dup(own.fileno())  # never closed: that is the point
        connection._transport.abort()  # asyncpg's own terminate() would say goodbye to the server


def _socket_of(connection: Any) -> Any:
    transport = getattr(connection, "_transport", None)
    return None if transport is None else transport.get_extra_info("socket")
