"""
How the processes of a supervisor are, for whoever asks the supervisor.

Ready are they when all are: an answer that is green while one of four does nothing would be a lie. Alive they
are for as long as the supervisor can help itself, and it can with a process that ends, by starting another. With
one that hangs it cannot: that one says nothing any more, or says that only a restart would help.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from asyncjobs.health import Check, Verdict, in_words
from asyncjobs.standalone.child import Child

SILENT_AFTER = 5.0  # seconds; a process reports each second
HANGS_AFTER = 30.0  # seconds: what a liveness probe of three times ten seconds would allow


class Crew:
    """The places, and who is there."""

    def __init__(self, places: int) -> None:
        self._there: dict[int, Child | None] = dict.fromkeys(range(1, places + 1))

    def joined(self, number: int, child: Child) -> None:
        """It was started."""
        self._there[number] = child

    def left(self, number: int) -> None:
        """It has ended."""
        self._there[number] = None

    def checks(self) -> Iterator[Check]:
        """Tell how each is."""
        for number, child in self._there.items():
            yield _check(f"worker {number}", child)


def _check(name: str, child: Child | None) -> Check:
    if child is None:
        return Check(name, Verdict.FAIL, "it has ended, and is started again after a pause")
    report = child.report
    if report is None:
        age = in_words(child.age.total_seconds())
        return Check(
            name, Verdict.FAIL, f"started {age} ago, and has not said anything yet", child.pid
        )
    silent = time.monotonic() - report.heard_at
    if silent > SILENT_AFTER:
        words = f"silent for {in_words(silent)}: its event loop is blocked, or it is stopped"
        hangs = silent > HANGS_AFTER
        return Check(name, Verdict.FAIL, words, child.pid, restart_helps=hangs)
    if not report.is_ready:
        return Check(name, Verdict.FAIL, report.wrong, child.pid, restart_helps=not report.is_alive)
    return Check(name, Verdict.PASS, "it is ready", child.pid)
