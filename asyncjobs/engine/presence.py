"""
Presence: are we alive, in the eyes of Postgres, and what does it think we run?

The lock tells life, and it lives on the link. What may go wrong between it and us, and who acts when:

    beat             every 5 s while jobs run, and at once after any doubt; its answer within 4 s
    link lost        a lease of 20 s is written through the pool; rescue honours it, we renew it every 5 s.
                     The first must be there in 0.6 s: the others look twice, a second apart, and then rescue.
                     A renewal may fail, and is tried again, as long as the last lease is younger than 14 s
    no lease either  pool or link refused by a server that stops or starts, with no proxy in between that
                     would say so in its place: run on, a new life is coming, and a young life rescues
                     nobody without proof of death. Anything else: cancel all, at once
    silence          cancelled by 14 s after the last answered statement was sent
    server           drops a silent link at 20 s, and with it our lock

So the side that is cut off has stopped (its coroutines, as far as they obey) before the other side may
rescue. Being buried all the same (a pause longer than that, a stopped process) shows when the link comes
back: the row has ended, we come back as another process, and what we still run is not ours any more.

An answer may be lost; a row may not. The beat compares. A row that Postgres thinks is ours and that we do
not know is given back, its attempt too; a run of ours that Postgres does not know is cancelled and told
as lost. Claims and beats share the link, so they never overlap; what was born running is expected before
its INSERT is sent; what has ended and is not yet recorded is not missed, nor is what ends while the answer is
on its way. One beat does not end a doubt: the statement in doubt may still be waiting in the server and
commit later, so the beats go on for as long as it can.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf

from asyncjobs.engine.bell import Bell
from asyncjobs.engine.run import Stop
from asyncjobs.engine.runs import Runs
from asyncjobs.errors import Unavailable
from asyncjobs.postgres.answers import Answers
from asyncjobs.postgres.bond import Bond
from asyncjobs.postgres.failures import InDoubt, NoAnswer, Unreachable
from asyncjobs.postgres.ledger import Ledger
from asyncjobs.postgres.patience import patience

log: logging.Logger = logging.getLogger("asyncjobs.presence")

BEAT = 5.0  # seconds
LEASE = 20.0  # seconds
ASK_AGAIN_AFTER = 0.05  # seconds
LEASE_ANSWER_WITHIN = 0.6  # seconds; others may rescue a second after the lock is gone
LISTEN_FOR = 0.1  # seconds more, if our loop was blocked
CANCEL_BY = 14.0  # seconds after the last answered statement was sent
DOUBT_FOR = 40.0  # seconds: a statement in doubt may commit until the server gives it up, at 30
BUSY_AFTER = 1.0  # seconds of work
REST_AFTER = 2.0  # seconds without work
TICK = 1.0  # seconds


class Presence:
    """Keeps what we run and what Postgres thinks we run the same."""

    def __init__(
        self,
        link: Bond,
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
        self.answers: Answers = Answers()
        self._busy = False
        self._at_work_since: float | None = None
        self._worked_at = 0.0
        self._last_beat = 0.0
        self._last_lease = -inf  # when it was asked for last (`time.monotonic()`)
        self._leased_at = -inf  # when the one was asked for that we have
        self._link_said = asyncio.Event()
        self._link_stops = False
        self._answered = asyncio.Event()

    def doubt(self) -> None:
        """Something may be ours that we do not know of: beat now."""
        self._is_doubtful = True
        self._doubt_until = time.monotonic() + DOUBT_FOR
        self._bell.ring()

    async def agreed(self) -> None:
        """Beat, and come back when Postgres has answered: what it thinks is ours is known here, or goes back."""
        self._answered.clear()
        self.doubt()
        await self._answered.wait()

    def drain(self) -> None:
        """We start nothing more: say so now, and again in each generation."""
        self._is_draining = True
        self._bell.ring()

    def look_up(self) -> None:
        """The link went, or came, or the first job started."""
        self._bell.ring()

    def link_lost(self) -> None:
        """The link is gone, and nobody knows why yet; what it found of a lease it has ended."""
        self._link_said.clear()
        self._link_stops = False
        self._last_lease = self._leased_at = -inf
        self._bell.ring()

    def link_refused(self, error: Unavailable) -> None:
        """It could not be made again, this time."""
        self._link_stops = isinstance(error, Unreachable) and error.is_stopping
        self._link_said.set()
        self._bell.ring()

    @property
    def acts_since(self) -> float | None:
        """When it last came along (`time.monotonic()`); None while it listens."""
        return self._bell.left_at

    def announce(self) -> None:
        """Somebody is new here: say again that we are busy, if we are."""
        if self._busy:
            self._say(busy=self._link.process_id)

    async def serve(self) -> None:
        """Beat while jobs run and after every doubt; say busy and calm; keep the budgets."""
        while True:
            await self._bell.heard(TICK if self._has_reason or self._at_work_since else None)
            if not self._link.is_up:
                await self._without_link()
                continue
            self._last_lease = -inf
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
        return bool(len(self._runs)) or self._is_doubtful or time.monotonic() < self._doubt_until

    async def beat(self) -> None:
        """Ask once what is ours, and settle the differences."""
        self._is_doubtful = False
        known = self._runs.confirmed()
        self._last_beat = time.monotonic()
        try:
            with self._runs.noting_ends() as recorded:
                rows = await self._ledger.beat()
        except NoAnswer as error:
            log.warning("no answer to the beat: %s", error)
            self.answers.failed(error)
            self._is_doubtful = True
            return
        self.answers.came()
        theirs = {row.id: row.fence for row in rows}
        for row in rows:
            if not self._runs.knows(row.id, row.fence):
                if (row.id, row.fence) in recorded:
                    continue  # the answer is older than its end
                log.warning(
                    "job %s is ours in Postgres, but nobody runs it here; it goes back", row.id
                )
                self._runs.give_back(
                    row.id, row.fence, "its process never heard that it was its own"
                )
            elif row.cancel_asked:
                self._runs.stop([row.id], Stop.ASKED)
        # Those that have ended while we asked are no loss, nor is a job that came back under another fence.
        live = self._runs.confirmed()
        gone = [
            id for id, fence in known.items() if theirs.get(id) != fence and live.get(id) == fence
        ]
        if gone:
            log.warning("%d runs are not ours any more and are cancelled", len(gone))
            self._runs.stop(gone, Stop.LOST)
        self._answered.set()

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
            async with patience(LEASE_ANSWER_WITHIN, LISTEN_FOR):
                leased = await self._lease()
        except (Unavailable, TimeoutError) as error:
            if await self._server_stops(error, until=now + LEASE_ANSWER_WITHIN):
                log.warning("Postgres stops or starts; what runs here goes on")
            elif time.monotonic() - self._leased_at < CANCEL_BY:
                log.warning("the lease is not renewed, and not over either: %s", _told(error))
                self._last_lease = -inf
            elif not self._link.is_up:
                self._cut_off(error)
        else:
            self._leased_at = now
            if not leased:
                self._runs.stop_all(Stop.LOST)

    async def _server_stops(self, error: Exception, until: float) -> bool:
        """Whether the server itself said no: to the pool, or, where a pooler hides it from that, to the link."""
        if isinstance(error, Unreachable) and error.is_stopping:
            return True
        with suppress(TimeoutError):
            async with patience(max(0.0, until - time.monotonic()), LISTEN_FOR):
                await self._link_said.wait()
        return self._link_stops

    async def _lease(self) -> bool:
        """Ask until there is an answer, or the server's own no; whoever calls this has little patience."""
        process = self._link.process_id
        assert process is not None
        while True:
            try:
                return await self._ledger.lease(process, LEASE)
            except InDoubt:
                continue  # a pooled connection may not have heard yet that it is closed; the next one is new
            except Unreachable as error:
                # A server in the middle of a crash hangs up on whoever connects, before it says that it stops.
                if error.is_stopping:
                    raise
                await asyncio.sleep(ASK_AGAIN_AFTER)

    def _cut_off(self, error: Exception) -> None:
        if self._runs.live:
            log.error("cut off from Postgres, so what runs here is cancelled: %s", _told(error))
        self._runs.stop_all(Stop.CUT_OFF)

    def _tell_pace(self) -> None:
        """
        Others look at us each second only while we say that we are at work for long.

        At work is who holds one job for long, and who runs many short ones: what counts is what a death would hit.
        """
        now = time.monotonic()
        if self._runs.live:
            self._worked_at = now
            self._at_work_since = self._at_work_since or now
        elif now - self._worked_at > REST_AFTER:
            self._at_work_since = None
        busy = self._at_work_since is not None and now - self._at_work_since > BUSY_AFTER
        if busy != self._busy:
            self._busy = busy
            self._say(**{"busy" if busy else "calm": self._link.process_id})


def _told(error: Exception) -> str:
    return "there was no lease in time" if isinstance(error, TimeoutError) else str(error)
