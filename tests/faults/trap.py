"""A trap for a connection: it springs when a certain statement passes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Moment(Enum):
    """When a trap springs."""

    BEFORE = "before Postgres has seen the statement"
    AFTER = "when Postgres has done it, and nothing of the answer has arrived"
    HALF = "when half of the answer has arrived"


@dataclass(slots=True)
class Trap:
    """Waits for a statement, and resets its connection; `left`: how often it still will."""

    statement: str
    moment: Moment
    left: int
    sprung: int = 0

    def springs(self) -> bool:
        """Spring, if it is armed."""
        if self.left <= 0:
            return False
        self.left -= 1
        self.sprung += 1
        return True
