"""
The lease: what says that a process lives where no session can be kept, behind a pooler in transaction mode.

No lock, no LISTEN. The process's row carries `lease_until`, and whoever reads it before that moment leaves
the process alone. The heart, a thread that a blocked loop cannot starve, moves that moment on; see `heart.py`.

It promises less than the link does. A lock goes with its process, in milliseconds, and stays with it however
long it is blocked or stopped. A lease is a guess at the near future: it speaks for a dead process until it
ends, and not for a living one that has paused for longer. Then others take its jobs, while their bodies go on
until we notice; what they end with is refused by the fence, as ever. For a process that is merely cut off,
everything is counted from the moment at which the last answered renewal was *sent*, on a clock of our own:

     0 s    sent; Postgres lets the lease end 20 s after it has come there, which is later
     5 s    the next renewal, its answer within 4 s, else again, over a new connection, as often as it takes
    14 s    no answer since: we are down. Nothing is claimed; the follower hears of it, and has until 17 s to be
            given a lease through the pool (see `engine/presence.py`), or it cancels all that runs
    20 s    the lease ends; others may look, look again, and rescue

A claim asks in its own transaction whether our row stands and is leased for long enough, and holds it until
it has committed (`stands.sql`): so no claim without a lease, and no burial beside a claim. An answer to a
claim that comes when we are down is a doubt, and the beat of `Presence` gives back what it brought.

Down and up again we are the same process in the same generation, for as long as our row stands. Where it has
ended, others have buried us: then the heart has entered a new process, and the follower hears that it was
reborn. The life of the server makes no difference to us, a lease is a row and survives it; but each renewal
notes a new life, so that those who live by locks are given their time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from asyncjobs.errors import Unavailable
from asyncjobs.postgres.bond import Follower, Identity
from asyncjobs.postgres.errand import Errand, now
from asyncjobs.postgres.failures import InDoubt, Unreachable
from asyncjobs.postgres.heart import Heart, Keep
from asyncjobs.postgres.line import Dial
from asyncjobs.postgres.pooler import Between
from asyncjobs.postgres.statements import Row, Statements

log: logging.Logger = logging.getLogger("asyncjobs.lease")


class Lease:
    """
    One process's renewed lease; see the module's text.

    `keep` runs the heart's services. `between` tells what is on the way, as far as the pool has found out: a
    pooler that hangs up says nothing of Postgres.
    """

    def __init__(
        self,
        connect: Dial,
        statements: Statements,
        identity: Identity,
        follower: Follower,
        keep: Keep,
        between: Callable[[], Between] = lambda: Between.NOTHING,
    ) -> None:
        self._statements = statements
        self._follower = follower
        self._heart = Heart(connect, statements, identity, keep, between)
        self._news = asyncio.Event()
        self._is_open = False  # the follower has heard that we are up, and not yet that we are down
        self._is_over = False  # the executor has left: the heart may stop
        self._outlives = False
        self.keeps_session: bool = False
        self.process_id: int | None = None
        self.generation: int = 0

    @property
    def is_up(self) -> bool:
        """Whether we may rely on the lease, at this very moment."""
        return self._is_open and self._stands

    @property
    def answered_at(self) -> float:
        """`time.monotonic()` when the last answered renewal was sent."""
        standing = self._heart.standing
        return 0.0 if standing is None else standing.sent_at

    @property
    def _stands(self) -> bool:
        standing = self._heart.standing
        return standing is not None and standing.process == self.process_id and standing.holds

    async def fetch(self, sql: str, *args: object) -> Sequence[Row]:
        """Send one statement, in a transaction of its own; raises Unreachable, Refused, NotNow, InDoubt."""
        return await self._send(sql, args, None)

    async def claim(self, sql: str, *args: object) -> Sequence[Row]:
        """Send one statement that makes rows ours, while the lease stands; raises as `fetch` does."""
        process = self.process_id
        assert process is not None, "nothing is claimed before we were up"
        rows = await self._send(sql, args, (process, self.generation))
        if not self.is_up or self.process_id != process:
            raise InDoubt("claim jobs", "the answer came when the lease did not stand any more")
        return rows

    async def _send(
        self, sql: str, args: tuple[object, ...], owner: tuple[int, int] | None
    ) -> Sequence[Row]:
        if not self.is_up:
            raise Unreachable("ask Postgres", "the lease does not stand")
        errand = Errand(sql, args, owner)
        self._heart.send(errand)
        return await errand.answered

    async def run(self) -> None:
        """Keep the lease for as long as this is not cancelled; started by the executor."""
        self._heart.start(self._news.set)
        try:
            while True:
                await self._until_it_stands()
                await self._follower.on_up(reborn=self._rise())
                lost = await self._until_it_falls()
                self._is_open = False
                log.warning("the lease is lost: %s", lost)
                await self._follower.on_lost(lost)
        except asyncio.CancelledError:
            # The executor was cut short. What it could not stop keeps the lease.
            if self._follower.holds_bodies():
                self.outlive_executor()
            raise
        finally:
            self._is_open = False
            if not self._outlives:
                await self._heart.stop()

    async def leave(self) -> None:
        """End in good order: say that the process has ended, and stop the heart."""
        try:
            await self.fetch(self._statements["leave"], self.process_id)
        except Unavailable as error:  # the lease ends by itself
            log.debug("left without a word: %s", error)
        self._is_open = False
        self._is_over = True
        await self._heart.stop()

    def outlive_executor(self) -> None:
        """Let the heart go on to the end of this operating system process."""
        self._is_open = False
        self._is_over = self._outlives = True
        self._heart.outlive_executor()

    def let_go(self) -> None:
        """What outlived the executor has ended: the lease ends now."""
        if self._outlives:
            self._outlives = False
            self._heart.give_up()

    async def _until_it_stands(self) -> None:
        heart = self._heart
        while heart.standing is None or not heart.standing.holds:
            await self._hear()
            if heart.refusal is not None:
                await self._follower.on_refused(heart.refusal)

    async def _until_it_falls(self) -> Unavailable:
        """Wait while it stands; tells why it does not any more."""
        heart = self._heart
        while self._stands:
            assert heart.standing is not None
            await self._hear(heart.standing.until - now())
        if heart.standing is not None and heart.standing.process != self.process_id:
            return Unreachable(
                "renew the lease", "it had ended, and others have taken what ran here"
            )
        return heart.refusal or Unreachable("renew the lease", "there was no answer in time")

    def _rise(self) -> bool:
        """Be up as the heart says; tells whether we are another process than before."""
        standing, before = self._heart.standing, self.process_id
        assert standing is not None
        self.process_id, self.generation = standing.process, standing.generation
        self._is_open = True
        return before is not None and before != self.process_id

    async def _hear(self, within: float | None = None) -> None:
        """Wait for news from the heart, at most `within` seconds."""
        try:
            async with asyncio.timeout(within):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()
        if self._heart.has_ended.is_set() and not self._is_over:
            raise RuntimeError("the heart has stopped by itself")
