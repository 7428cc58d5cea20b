"""The terms of an executor: what was said of it where `Jobs` was made, and where it was started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from asyncjobs.engine.requests import Requests
from asyncjobs.engine.runs import ALONE_FROM
from asyncjobs.seal import Keys


@dataclass(frozen=True, slots=True)
class Terms:
    """How an executor works."""

    slots: int
    queues: Sequence[str] | Mapping[str, int] | None
    drain: timedelta
    max_crashes: int
    keys: Keys = field(default_factory=Keys)
    blocked_limit: timedelta | None = None
    blocked_after: timedelta | None = None
    gives_way_to: Requests | None = None
    """Whose loop this is; None: nobody else's."""

    @property
    def shares(self) -> Mapping[str, int]:
        """How many slots some queues may take at most."""
        return self.queues if isinstance(self.queues, Mapping) else {}

    @property
    def alone_from(self) -> int:
        """From so many crashes on a suspect runs without others: one before it fails, at the latest."""
        return max(1, min(ALONE_FROM, self.max_crashes - 1))
