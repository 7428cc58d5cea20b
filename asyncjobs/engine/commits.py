"""
Seeing a caller's transaction commit.

asyncpg has no hook for it, but tells a query logger of every statement that went over a connection, the
COMMIT too. The logger would outlive the connection's return to its pool, so it is removed with the
transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

Act = Callable[[], None]


class Commits:
    """What is to be done when transactions commit, by connection."""

    def __init__(self) -> None:
        self._watched: WeakKeyDictionary[Any, list[Act]] = WeakKeyDictionary()

    def after(self, connection: Any, act: Act) -> None:
        """Do it when the connection's open transaction commits, at once when there is none, else never."""
        if not connection.is_in_transaction():
            act()
            return
        # A pool lends proxies; what is watched is the connection behind it.
        inner = getattr(connection, "_con", None) or connection
        waiting = self._watched.get(inner)
        if waiting is not None:
            waiting.append(act)
            return
        acts = self._watched[inner] = [act]

        def on_query(query: Any) -> None:
            word = query.query.lstrip().lower()
            if word.startswith(("rollback to", "release")):
                return
            if word.startswith(("commit", "end", "rollback", "abort", "prepare transaction")):
                inner.remove_query_logger(on_query)
                self._watched.pop(inner, None)
                if word.startswith(("commit", "end")) and query.exception is None:
                    for each in acts:
                        each()

        inner.add_query_logger(on_query)
