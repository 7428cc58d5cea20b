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
        self._watched: WeakKeyDictionary[Any, _Transaction] = WeakKeyDictionary()

    def after(self, connection: Any, act: Act) -> None:
        """Do it when the connection's open transaction commits, at once when there is none, else never."""
        if not connection.is_in_transaction():
            act()
            return
        # A pool lends proxies; what is watched is the connection behind it.
        inner = getattr(connection, "_con", None) or connection
        watched = self._watched.get(inner)
        if watched is None:
            watched = self._watched[inner] = _Transaction(lambda: self._watched.pop(inner, None))
            watched.watch(inner)
        watched.acts.append(act)


class _Transaction:
    """One open transaction: what to do when it commits, less what its savepoints take back."""

    def __init__(self, over: Callable[[], object]) -> None:
        self.acts: list[Act] = []
        self._marks: dict[str, int] = {}
        self._over = over

    def watch(self, connection: Any) -> None:
        def on_query(query: Any) -> None:
            if query.query.lstrip()[:9].lower().startswith(_SPEAK_OF_TRANSACTIONS):
                words = query.query.lower().rstrip("; \n").split()
                if self._hear(words, failed=query.exception is not None):
                    connection.remove_query_logger(on_query)
                    self._over()

        connection.add_query_logger(on_query)

    def _hear(self, words: list[str], *, failed: bool) -> bool:
        """Tells whether the transaction is over."""
        verb, name = words[0], words[-1]
        if verb == "savepoint":
            self._marks[name] = len(self.acts)
        elif verb == "rollback" and "to" in words:
            # One that we do not know was set before the first job was stored: all go.
            del self.acts[self._marks.get(name, 0) :]
        elif verb in ("commit", "end") and not failed:
            for act in self.acts:
                act()
            return True
        return words[:2] in _ENDS or (
            verb in ("commit", "end", "rollback", "abort") and "to" not in words
        )


_SPEAK_OF_TRANSACTIONS = ("savepoint", "rollback", "commit", "end", "prepare", "abort")
_ENDS = (["prepare", "transaction"],)
