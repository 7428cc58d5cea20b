"""A bell: rung by anybody, heard by one loop, with a limit to the waiting."""

from __future__ import annotations

import asyncio
import time


class Bell:
    """
    An event that is quiet again once it was heard.

    Hearing comes before acting: what rings while the hearer acts is heard next time, never lost.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.left_at: float | None = None
        """When its hearer went to act, or last said that it goes on (`time.monotonic()`); None while it listens."""

    def ring(self) -> None:
        """Wake the hearer, or keep the ring for its next wait."""
        self._event.set()

    async def heard(self, within: float | None = None) -> bool:
        """Wait for a ring, at most `within` seconds; tells whether there was one."""
        self.left_at = None
        try:
            if within is None:
                await self._event.wait()
            else:
                async with asyncio.timeout(within):
                    await self._event.wait()
        except TimeoutError:
            return False
        finally:
            self.left_at = time.monotonic()
        self._event.clear()
        return True

    def still_acts(self) -> None:
        """The hearer has much to do, and comes along: it does not hang."""
        if self.left_at is not None:
            self.left_at = time.monotonic()
