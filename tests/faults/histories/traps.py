"""
Traps: harm that waits in a process for the next statement of one kind.

All that the engine says to Postgres goes through one function, `answer`. A trap stands around it, and so
hits the moments that no clock could: after the claim has committed and before anybody knows of it, between
the end of a run and its record, when a COMMIT is on its way.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

from asyncjobs.postgres.failures import told
from asyncjobs.postgres.session import answer
from asyncjobs.postgres.statements import Statements, into_spill

SLOWLY = 0.3  # seconds

HARMS = ("die before", "die after", "never sent", "answer lost", "slow")


class Traps:
    """Those that are set in this process; each snaps once."""

    def __init__(self, die: Callable[[], None], tell: Callable[[str], None]) -> None:
        self._die = die
        self._tell = tell
        self._set: dict[str, str] = {}
        said = Statements("asyncjobs.postgres", "asyncjobs")
        self._names = {said[name]: name for name in said}
        self._names |= {into_spill(said[name]): name for name in said}
        self._names["commit"] = "commit"
        self._names[said["enqueue_one"]] = "enqueue"  # one moment, whichever of the two it is

    def install(self) -> None:
        """Stand around `answer` wherever it is called."""
        for name, module in list(sys.modules.items()):
            if name.startswith("asyncjobs.") and getattr(module, "answer", None) is answer:
                module.answer = self.answer  # type: ignore[attr-defined]

    def set(self, statement: str, harm: str) -> None:
        self._set[statement] = harm

    def clear(self) -> None:
        self._set.clear()

    async def answer(self, connection: Any, sql: str, *rest: Any, **named: Any) -> Sequence[Any]:
        """Ask Postgres as ever, unless there is a trap for this statement."""
        name = self._names.get(sql, "")
        harm = self._set.pop(name, None)
        if harm is not None:
            self._tell(f"{name}: {harm}")
        if harm == "die before":
            self._die()
        if harm == "slow":
            await asyncio.sleep(SLOWLY)
        if harm == "never sent":
            _break(connection)
        rows = await answer(connection, sql, *rest, **named)
        if harm == "die after":
            self._die()
        if harm == "answer lost":
            _break(connection)
            raise told("get an answer from Postgres", ConnectionResetError("a trap"))
        return rows


def _break(connection: Any) -> None:
    """Reset the connection, as a network does."""
    inner = getattr(connection, "_con", None) or connection
    inner._transport.abort()
