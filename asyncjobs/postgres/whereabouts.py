"""
Link and pool must lead to one server, in one of its lives.

After half a failover they may not: the link reached the new primary by its name, the pool still holds the
old one, which nobody has stopped; or the other way round. Then jobs are claimed in one history and finished
in another. Both tell where they are when they are made, by the start of their server and the database.
Nobody can say here who is right, so neither is believed: the pool's connections are made anew, the link is
dialled again, and it does not stand before both have found the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from asyncjobs.errors import Unavailable
from asyncjobs.postgres.failures import Unreachable
from asyncjobs.postgres.session import Place, Session

ASK_WITHIN = 3.0  # seconds

log: logging.Logger = logging.getLogger("asyncjobs.link")

_APART = (
    "link and pool lead to two servers, or to two databases; both are made anew until they agree"
)


class Whereabouts:
    """
    Where link and pool are, as far as is known.

    `ask`: where the pool is now, through a connection of its own choice. `expire`: all that it has is to be
    made anew. `always_asks`: nobody tells when a connection of the pool is made, or it may move meanwhile.
    """

    def __init__(
        self,
        ask: Callable[[], Awaitable[Session]],
        expire: Callable[[], Awaitable[None]],
        always_asks: Callable[[], bool],
    ) -> None:
        self.dial_again: Callable[[], None] = lambda: None
        self._ask = ask
        self._expire = expire
        self._always_asks = always_asks
        self._link: Place | None = None
        self._pool: set[Place] = set()

    def pool_is_at(self, place: Place) -> None:
        """A connection of the pool was made; raises Unreachable where the link is elsewhere."""
        self._pool.add(place)
        if self._link is not None and place != self._link:
            self._link = None
            self.dial_again()
            raise Unreachable("connect to Postgres", _APART)

    async def link_is_at(self, place: Place) -> None:
        """The link is about to stand; raises Unreachable where the pool is elsewhere, and stays there."""
        self._link = None
        elsewhere = bool(self._pool - {place})
        if elsewhere:
            self._pool.clear()
            await self._expire()
        if (elsewhere or self._always_asks()) and not await self._pool_agrees(place):
            raise Unreachable("link to Postgres", _APART)
        self._link = place

    async def _pool_agrees(self, place: Place) -> bool:
        try:
            async with asyncio.timeout(ASK_WITHIN):
                found = await self._ask()
        except (Unavailable, TimeoutError) as error:
            # The link has its own right. Whatever connection the pool makes later tells where it is.
            log.info("where the pool leads is not known yet: %s", error)
            return True
        return found.place == place and not found.is_standby
