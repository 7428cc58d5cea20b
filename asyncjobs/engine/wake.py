"""
Waking: whatever makes a job ready says so, here and to the other processes.

NOTIFY is a hint, never a duty: a commit that notifies holds a cluster-wide lock through its flush, so it
is sent after the commit that it speaks of, in a statement of its own, at most twenty times a second. The
limiter has a trailing edge: what comes in the pause is said at its end, and a NOTIFY that failed is said
again. Where jobs come faster than that, whoever takes them looks again by itself (`claim.py`). What is lost
all the same, the safety poll finds.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from asyncjobs.engine.bell import Bell
from asyncjobs.postgres.enqueues import Enqueues
from asyncjobs.postgres.failures import NoAnswer

log: logging.Logger = logging.getLogger("asyncjobs.wake")

PAYLOAD = 7_900  # bytes; Postgres takes less than 8,000
PAUSE = 0.05  # seconds between two NOTIFYs


class Local:
    """What a wake does in this process; an executor puts its own in place of these."""

    def serves(self, queue: str, jobs: int) -> bool:
        """Tell whether this process would take so many jobs of this queue right now."""
        return False

    def ready(self, queues: Iterable[str]) -> None:
        """Jobs of these queues are ready."""

    def others_may_run(self) -> None:
        """Jobs were ready for everybody: another process may be running them."""

    def due(self, seconds: float) -> None:
        """A job will be due then."""

    def stop_job(self, id: UUID) -> None:
        """Somebody asked to cancel this job of ours."""

    def adopted(self) -> None:
        """Somebody has said that this database is the one that its jobs belong to."""


class Waker:
    """Tells this process at once, and the others at most twenty times a second."""

    def __init__(self, ledger: Enqueues, channel: str) -> None:
        self.local: Local = Local()
        self.me: Callable[[], int | None] = lambda: None
        self._ledger = ledger
        self._channel = channel
        self._bell = Bell()
        self._ready: set[str] = set()
        self._due: float | None = None  # on the loop's clock
        self._words: list[dict[str, Any]] = []
        self._all_said = asyncio.Event()
        self._all_said.set()

    def ready(self, queues: Mapping[str, int], *, everywhere: bool = False) -> None:
        """So many jobs of these queues became ready; others are told unless we will surely take them."""
        self.local.ready(queues)
        for queue, jobs in queues.items():
            if queue not in self._ready and (everywhere or not self.local.serves(queue, jobs)):
                self._ready.add(queue)
                self._ring()

    def due(self, seconds: float) -> None:
        """A job was stored that is due in so many seconds."""
        self.local.due(seconds)
        if self.me() is None:
            due = asyncio.get_running_loop().time() + seconds
            self._due = due if self._due is None else min(due, self._due)
            self._ring()

    def say(self, **words: Any) -> None:
        """Tell the other processes something else: busy, calm, hello, stop."""
        self._words.append(words)
        self._ring()

    def _ring(self) -> None:
        self._all_said.clear()
        self._bell.ring()

    @property
    def acts_since(self) -> float | None:
        """When it last came along (`time.monotonic()`); None while there is nothing to say."""
        return self._bell.left_at

    async def serve(self) -> None:
        """Send what there is to say, then pause; what came in the pause is said at its end."""
        while True:
            await self._bell.heard()
            await self._send()
            await asyncio.sleep(PAUSE)

    async def flush(self) -> None:
        """Wait until everything was said."""
        await self._all_said.wait()

    async def _send(self) -> None:
        ready, self._ready = self._ready, set()
        due, self._due = self._due, None
        words, self._words = self._words, []
        sayings: list[dict[str, Any]] = [{"ready": [queue]} for queue in sorted(ready)]
        if due is not None:
            sayings.append({"due": max(0.0, due - asyncio.get_running_loop().time())})
        sayings += [{"words": [word]} for word in words]
        try:
            for payload in _portions(self.me(), sayings):
                await self._ledger.notify(self._channel, payload)
                self._bell.still_acts()
        except NoAnswer as error:
            log.info("could not wake the others yet: %s", error)
            self._ready |= ready
            self._due = due if self._due is None else self._due
            self._words = words + self._words
            await asyncio.sleep(1)
            self._ring()
        else:
            if not (self._ready or self._words or self._due):
                self._all_said.set()

    async def notify(self, payload: str) -> None:
        """Send this now, whatever else there is to say; raises Unavailable."""
        await self._ledger.notify(self._channel, payload)

    def hear(self, payload: str) -> list[dict[str, Any]]:
        """Act on what another process said; gives the words that are for others to understand."""
        try:
            message = json.loads(payload)
            if message.get("from") is not None and message["from"] == self.me():
                return []
            if message.get("ready"):
                self.local.ready(map(str, message["ready"]))
                self.local.others_may_run()
            if message.get("due") is not None:
                self.local.due(float(message["due"]))
            return [dict(words) for words in message.get("words", [])]
        except (ValueError, TypeError, AttributeError) as error:
            log.warning("not understood on channel %s: %s", self._channel, error)
            return []


def _portions(me: int | None, sayings: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Put them together into as few payloads as Postgres takes."""
    message: dict[str, Any] = {"from": me}
    payload = ""
    for saying in sayings:
        longer = {**message}
        for key, value in saying.items():
            longer[key] = longer.get(key, []) + value if isinstance(value, list) else value
        text = json.dumps(longer, ensure_ascii=False)
        if payload and len(text.encode()) > PAYLOAD:
            yield payload
            longer = {"from": me, **saying}
            text = json.dumps(longer, ensure_ascii=False)
        message, payload = longer, text
    if payload:
        yield payload
