"""
Presence: are we alive, in the eyes of Postgres, and what does it think we run?

The lock tells life, and it lives on the link. What may go wrong between it and us, and who acts when:

    beat             every 5 s while jobs run, and at once after any doubt; its answer within 4 s
    link lost        a lease of 20 s is written through the pool; rescue honours it, we renew it
    no lease either  refused by a server that stops or starts: run on, a new life is coming, and a young
                     life rescues nobody without proof of death. Anything else: cancel all, at once
    silence          cancelled by 14 s after the last answered statement was sent
    server           drops a silent link at 20 s, and with it our lock

So the side that is cut off has stopped (its coroutines, as far as they obey) before the other side may
rescue. Being buried all the same (a pause longer than that, a stopped process) shows when the link comes
back: the row has ended, we come back as another process, and what we still run is not ours any more.

An answer may be lost; a row may not. The beat compares. A row that Postgres thinks is ours and that we do
not know is given back, its attempt too; a run of ours that Postgres does not know is cancelled and told
as lost. Claims and beats share the link, so they never overlap; what was born running is expected before
its INSERT is sent; what has ended and is not yet recorded is not missed. One beat does not end a doubt: the statement in doubt may
still be waiting in the server and commit later, so the beats go on for as long as it can.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from asyncjobs.engine.bell import Bell
from asyncjobs.engine.run import Stop
from asyncjobs.engine.runs import Runs
from asyncjobs.errors import Unavailable
from asyncjobs.postgres.failures import InDoubt, NoAnswer, Unreachable
from asyncjobs.postgres.ledger import Ledger
from asyncjobs.postgres.link import Link

log: logging.Logger = logging.getLogger("asyncjobs.presence")

BEAT = 5.0  # seconds
LEASE = 20.0  # seconds
LEASE_ANSWER_WITHIN = 3.0  # seconds
CANCEL_BY = 14.0  # seconds after the last answered statement was sent
DOUBT_FOR = 40.0  # seconds: a statement in doubt may commit until the server gives it up, at 30
BUSY_AFTER = 1.0  # seconds that a job has run
TICK = 1.0  # seconds


class Presence:
    """Keeps what we run and what Postgres thinks we run the same."""

    def __init__(
        self,
        link: Link,
        ledger: Ledger,
        runs: Runs,
        say: Callable[..., None],
    ) -> None:
        self._link = link
        self._ledger = ledger
        self._runs = runs
        self._say = say
        self._bell = Bell()
        self._is_doubtful = False
        self._doubt_until = 0.0
        self._is_draining = False
        self._drained_in = (0, 0)  # process and generation that have said so
        self.said_draining: asyncio.Event = asyncio.Event()
        self._busy = False
        self._last_beat = 0.0
        self._last_lease = 0.0

    def doubt(self) -> None:
        """Something may be ours that we do not know of: beat now."""
        self._is_doubtful = True
        self._doubt_until = time.monotonic() + DOUBT_FOR
        self._bell.ring()

    def drain(self) -> None:
        """We start nothing more: say so now, and again in each generation."""
        self._is_draining = True
        self._bell.ring()

    def look_up(self) -> None:
        """The link went, or came, or the first job started."""
        self._bell.ring()

    def announce(self) -> None:
        """Somebody is new here: say again that we are busy, if we are."""
        if self._busy:
            self._say(busy=self._link.process_id)

    async def serve(self) -> None:
        """Beat while jobs run and after every doubt; say busy and calm; keep the budgets."""
        while True:
            await self._bell.heard(TICK if self._has_reason or self._busy else None)
            if not self._link.is_up:
                await self._without_link()
                continue
            self._last_lease = 0.0
            if self._is_draining:
                await self._say_draining()
            self._tell_pace()
            beat_is_due = self._has_reason and time.monotonic() - self._last_beat >= BEAT
            if self._is_doubtful or beat_is_due:
                await self.beat()

    async def _say_draining(self) -> None:
        generation = (self._link.process_id or 0, self._link.generation)
        if self._drained_in == generation:
            return
        try:
            await self._ledger.drain()
        except NoAnswer as error:
            log.info("could not say that we drain: %s", error)
        else:
            self._drained_in = generation
            self.said_draining.set()

    @property
    def _has_reason(self) -> bool:
        return bool(len(self._runs)) or time.monotonic() < self._doubt_until

    async def beat(self) -> None:
        """Ask once what is ours, and settle the differences."""
        self._is_doubtful = False
        known = self._runs.confirmed()
        self._last_beat = time.monotonic()
        try:
            rows = await self._ledger.beat()
        except NoAnswer as error:
            log.warning("no answer to the beat: %s", error)
            self._is_doubtful = True
            return
        theirs = {row.id: row.fence for row in rows}
        for row in rows:
            if not self._runs.knows(row.id, row.fence):
                log.warning(
                    "job %s is ours in Postgres, but nobody runs it here; it goes back", row.id
                )
                self._runs.give_back(
                    row.id, row.fence, "its process never heard that it was its own"
                )
            elif row.cancel_asked:
                self._runs.stop([row.id], Stop.ASKED)
        gone = [id for id, fence in known.items() if theirs.get(id) != fence]
        if gone:
            log.warning("%d runs are not ours any more and are cancelled", len(gone))
            self._runs.stop(gone, Stop.LOST)

    def reborn(self) -> None:
        """We were buried: whatever we still run is somebody else's."""
        self._runs.stop_all(Stop.LOST)

    async def _without_link(self) -> None:
        """Get a lease through the pool and renew it, or know that a new life is coming, or cancel all."""
        now = time.monotonic()
        if not self._runs.live or now - self._last_lease < BEAT:
            return
        self._last_lease = now
        try:
            async with asyncio.timeout(LEASE_ANSWER_WITHIN):
                leased = await self._lease()
        except Unreachable as refusal:
            if refusal.is_stopping:
                log.warning("Postgres stops or starts; what runs here goes on")
            else:
                self._cut_off(refusal)
        except (Unavailable, TimeoutError) as error:
            self._cut_off(error)
        else:
            if not leased:
                self._runs.stop_all(Stop.LOST)

    async def _lease(self) -> bool:
        process = self._link.process_id
        assert process is not None
        try:
            return await self._ledger.lease(process, LEASE)
        except InDoubt:
            # A pooled connection may not have heard yet that it is closed; the next one is new.
            return await self._ledger.lease(process, LEASE)

    def _cut_off(self, error: Exception) -> None:
        if self._runs.live:
            log.error("cut off from Postgres, so what runs here is cancelled: %s", error)
        self._runs.stop_all(Stop.CUT_OFF)

    def _tell_pace(self) -> None:
        """Others look at us each second only while we say that we hold something for long."""
        busy = self._runs.oldest > BUSY_AFTER
        if busy != self._busy:
            self._busy = busy
            self._say(**{"busy" if busy else "calm": self._link.process_id})
