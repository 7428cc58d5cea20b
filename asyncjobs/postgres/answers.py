"""Whether Postgres answers those who ask in one way: on the link, through the pool, with a claim, …"""

from __future__ import annotations

import time
from collections.abc import Callable


class Answers:
    """
    When an answer last came, and since when none does; moments of `time.monotonic()`.

    A refusal is an answer to the question whether Postgres is there, and none to a claim: whoever asks
    says which it was.
    """

    __slots__ = ("at", "began_failing", "failing_since", "failure")

    def __init__(self) -> None:
        self.at: float | None = None
        self.failing_since: float | None = None
        self.failure: str | None = None
        self.began_failing: Callable[[], None] = lambda: None

    def came(self) -> None:
        """One came."""
        self.at = time.monotonic()
        self.failing_since = self.failure = None

    def failed(self, error: Exception) -> None:
        """None came."""
        self.failure = str(error)
        if self.failing_since is None:
            self.failing_since = time.monotonic()
            self.began_failing()

    def forget(self) -> None:
        """Begin anew: what failed was asked of somebody who is gone."""
        self.failing_since = self.failure = None

    def failing_for(self, now: float) -> float:
        """For how many seconds none has come; 0 while they come."""
        return 0.0 if self.failing_since is None else max(0.0, now - self.failing_since)
