"""Job ids: UUIDv7 on the server's time, made by the client, so that it knows an id before it sends it."""

from __future__ import annotations

import os
import time
from array import array
from uuid import UUID

AT_ONCE = 1024

_VERSION = 0x7 << 76
_VARIANT = 0x2 << 62


class Ids:
    """
    Makes UUIDv7 (RFC 9562), in order within one process.

    `now` is the server's time, in milliseconds since 1970. From there on this counts by a clock that nobody
    sets: ids prune archive days and order pages, so neither a client whose clock is an hour off nor one
    whose clock is put right while it runs may show in them. The twelve bits after the milliseconds count
    within one of them (method 1 of the RFC's section 6.2).
    """

    def __init__(self, now: int) -> None:
        self._epoch = now - passed()
        self._last = 0
        self._count = 0
        self._random = array("Q")

    def next(self) -> UUID:
        """Make one."""
        now = passed() + self._epoch
        if now > self._last:
            self._last, self._count = now, self._bits() & 0xFF
        else:
            self._count += 1
            if self._count > 0xFFF:
                self._last, self._count = self._last + 1, 0
        low = (self._count << 64) | _VARIANT | (self._bits() >> 2)
        return UUID(int=(self._last << 80) | _VERSION | low)

    def _bits(self) -> int:
        """Take 64 random ones; the system is asked for those of a thousand ids at once."""
        if not self._random:
            self._random = array("Q", os.urandom(8 * AT_ONCE))
        return self._random.pop()


def passed() -> int:
    """Milliseconds of a clock that is never set, and that goes on while the machine is suspended."""
    return time.clock_gettime_ns(_CLOCK) // 1_000_000


_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
