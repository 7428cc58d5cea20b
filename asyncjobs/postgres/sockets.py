"""
What a broken network may cost, on the client's side of a connection.

asyncpg sets TCP_NODELAY and nothing else, so a half-open connection would be believed for as long as the
kernel cares to resend: about fifteen minutes.
"""

from __future__ import annotations

import os
import socket
import weakref
from ipaddress import ip_address
from typing import Any, NamedTuple

GIVE_UP_AFTER = 20  # seconds of silence
ROOM = 4 * 1024 * 1024  # bytes, as far as net.core.rmem_max lets us


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


class Ends(NamedTuple):
    """The two ends of a connection as this side sees them; host and port each, None for a unix socket."""

    own: tuple[str, int] | None
    far: tuple[str, int] | None


def ends_of(connection: Any) -> Ends | None:
    """Tell between whom a connection is; None for one that is closed."""
    own = _socket_of(connection)
    if own is None or own.fileno() < 0:
        return None
    if own.family == getattr(socket, "AF_UNIX", None):
        return Ends(None, None)
    return Ends(own.getsockname()[:2], own.getpeername()[:2])


def is_same_end(ours: tuple[str, int] | None, theirs: tuple[str, int] | None) -> bool:
    """Whether both sides mean the same by it, an IPv4 address that is mapped into IPv6 taken as what it is."""
    if ours is None or theirs is None:
        return ours is theirs
    return (_plain(ours[0]), ours[1]) == (_plain(theirs[0]), theirs[1])


def _plain(host: str) -> str:
    address = ip_address(host.partition("%")[0])
    return str(getattr(address, "ipv4_mapped", None) or address)


def make_room(connection: Any) -> None:
    """
    Let much be said to us while we are blocked.

    What ends a dead connection ends one whose receiver has no room as well, and the room that a kernel gives
    to a socket that nobody reads is 64 kB: some fifteen hundred words from other processes.
    """
    own = _socket_of(connection)
    if own is not None and own.family != getattr(socket, "AF_UNIX", None):
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)


class ForkGuard:
    """
    Closes the link's socket at once in a forked child.

    A child that holds the socket would keep its parent's lock alive after the parent was killed, and
    with it all of the parent's jobs.
    """

    def __init__(self) -> None:
        # The socket objects, not their numbers: a number may belong to somebody else by the time of a fork.
        self._sockets: dict[int, Any] = {}
        reference = weakref.ref(self)

        def close_in_child() -> None:
            guard = reference()
            if guard is not None:
                guard._close_all()

        os.register_at_fork(after_in_child=close_in_child)

    def watch(self, connection: Any) -> None:
        """Close this connection in children from now on."""
        self._sockets[id(connection)] = _socket_of(connection)

    def forget(self, connection: Any) -> None:
        """Leave it alone again."""
        self._sockets.pop(id(connection), None)

    def inherit(self, connection: Any, kept: socket.socket) -> None:
        """Watch what was kept of a connection in its place."""
        self._sockets[id(connection)] = kept

    def _close_all(self) -> None:
        for own in self._sockets.values():
            if own.fileno() >= 0:
                os.close(own.fileno())
        self._sockets.clear()


def abandon(connection: Any) -> socket.socket | None:
    """
    Leave the connection without a word, and its socket open to the end of this operating system process.

    For a plain function that goes on after its executor has gone: the lock must live as long as it does.
    """
    own = _socket_of(connection)
    if own is None:
        return None
    kept = socket.socket(fileno=os.dup(own.fileno()))
    _ABANDONED.append(kept)  # open to the end, unless the last body ends before
    connection._transport.abort()  # asyncpg's own terminate() would say goodbye to the server
    return kept


def let_go(kept: socket.socket) -> None:
    """The last body has ended after all: let the server see that nobody is here any more."""
    _ABANDONED.remove(kept)
    kept.close()


_ABANDONED: list[socket.socket] = []


def _socket_of(connection: Any) -> Any:
    transport = getattr(connection, "_transport", None)
    return None if transport is None else transport.get_extra_info("socket")
