"""
The blocks of the event loop here: counted for each task, logged, and noted in the process's row.

A task that blocks all the time is logged once a minute. The row is written when there is something new, at most
every five seconds, so that the dashboard of any process can show it: nothing is asked for, or said, as long as no
job blocks the loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from asyncjobs.engine.bell import Bell
from asyncjobs.engine.ears import Ears
from asyncjobs.events import Blocked
from asyncjobs.postgres.failures import NoAnswer
from asyncjobs.postgres.ledger import Ledger

log: logging.Logger = logging.getLogger("asyncjobs.watch")

LOG_EVERY = 60.0  # seconds, for each task
STORE_EVERY = 5.0  # seconds
MOST = 50  # tasks that are counted; those that come later are counted together
OTHERS = "…"


@dataclass(slots=True)
class Tally:
    """The blocks of one task; of what is no task, those of one kind."""

    worst: Blocked
    worst_at: datetime
    last_at: datetime
    times: int = 0
    seconds: float = 0.0
    logged_at: float | None = None  # time.monotonic()
    untold: int = 0

    def add(self, blocked: Blocked) -> None:
        """Count one more."""
        self.times += 1
        self.seconds += blocked.seconds
        self.last_at = datetime.now(UTC)
        if blocked.seconds > self.worst.seconds:
            self.worst, self.worst_at = blocked, self.last_at

    def as_stored(self) -> dict[str, Any]:
        """Tell it as the row does."""
        worst = self.worst
        return {
            "times": self.times,
            "seconds": round(self.seconds, 3),
            "last_at": self.last_at.isoformat(),
            "worst": {
                "job": None if worst.id is None else str(worst.id),
                "line": worst.line,
                "inside": worst.inside,
                "seconds": worst.seconds,
                "computed": worst.computed,
                "at": self.worst_at.isoformat(),
            },
        }


@dataclass(slots=True)
class Blocks:
    """Takes blocks that have ended, on the loop."""

    ledger: Ledger
    process: Callable[[], int]
    ears: Ears
    by_task: dict[str, Tally] = field(default_factory=dict[str, Tally])
    by_others: dict[str, Tally] = field(default_factory=dict[str, Tally])
    _bell: Bell = field(default_factory=Bell)

    def note(self, blocked: Blocked) -> None:
        """One has ended."""
        tally = self._tally(blocked)
        tally.add(blocked)
        self._log(tally, blocked)
        if self.ears:
            self.ears(blocked)
        self._bell.ring()

    @property
    def acts_since(self) -> float | None:
        """When it last came along (`time.monotonic()`); None while it listens."""
        return self._bell.left_at

    async def serve(self) -> None:
        """Note what is new in the process's row."""
        while True:
            await self._bell.heard()
            try:
                await self.ledger.note_blocks(self.process(), self.as_stored())
            except NoAnswer as error:
                log.info("blocks of the event loop were not noted: %s", error)
                self._bell.ring()
            await asyncio.sleep(STORE_EVERY)

    def as_stored(self) -> str:
        """Tell all as the row does, in JSON."""
        return json.dumps(
            {
                "tasks": {name: tally.as_stored() for name, tally in self.by_task.items()},
                "others": {name: tally.as_stored() for name, tally in self.by_others.items()},
            }
        )

    def _tally(self, blocked: Blocked) -> Tally:
        tallies, name = self.by_others, blocked.by
        if blocked.task is not None:
            tallies, name = self.by_task, blocked.task
            if len(tallies) >= MOST and name not in tallies:
                name = OTHERS
        now = datetime.now(UTC)
        return tallies.setdefault(name, Tally(blocked, now, now))

    def _log(self, tally: Tally, blocked: Blocked) -> None:
        now = time.monotonic()
        if tally.logged_at is not None and now - tally.logged_at < LOG_EVERY:
            tally.untold += 1
            return
        level = logging.WARNING if blocked.by in ("job", "app", "asyncjobs") else logging.INFO
        log.log(
            level,
            "%s kept the event loop for %.2f s, of which it computed for %.2f s%s",
            blocked.who,
            blocked.seconds,
            blocked.computed,
            f"; {tally.untold} such blocks before it were not logged" if tally.untold else "",
        )
        tally.logged_at, tally.untold = now, 0
