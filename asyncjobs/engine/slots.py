"""Slots: how many jobs may run here at a time. One is reserved before anything is asked of Postgres."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from math import inf
from types import MappingProxyType

_NONE: Mapping[str, int] = MappingProxyType({})


class Slots:
    """
    A number of slots, and for some queues a share of them that they may not exceed.

    A claim on its way has reserved the free ones that it asked for, so that direct starts cannot take the same slots,
    and gives back what it did not get. It may ask for more (`ahead.py`): what comes of that enters a slot when there
    is one, and keeps none from a direct start meanwhile. Where jobs give way to others (`pace.py`), `limit` of the slots may be in use: it moves, and
    may fall below what is taken; then none is free until enough are given back.
    """

    def __init__(self, total: int, shares: Mapping[str, int] | None = None) -> None:
        self.total = total
        self.limit: int = total
        self.claims_at_most: int | None = None
        """So many jobs in one claim; None: as many as it may."""
        self._shares = dict(shares or {})
        self._taken: Counter[str] = Counter()
        self._busy = 0
        self._asked = 0
        self._reserved = 0
        self._reserved_of: Mapping[str, int] = {}

    @property
    def busy(self) -> int:
        """How many are taken by jobs."""
        return self._busy

    @property
    def free(self) -> int:
        """How many are neither taken nor reserved."""
        return self.limit - self._busy - self._reserved

    def has_share(self, queue: str) -> bool:
        """Whether this queue may have some of the slots only."""
        return queue in self._shares

    def take(self, queue: str) -> bool:
        """Reserve one for a job of this queue, if there is one."""
        if self.free <= 0 or self._room(queue) <= self._reserved_of.get(queue, 0):
            return False
        self._hold(queue)
        return True

    @property
    def has_room(self) -> bool:
        """Whether one of the slots in use is empty, asked for or not: a job that was claimed may enter it."""
        return self._busy < self.limit

    def enter(self, queue: str, *, reserved: bool = False) -> bool:
        """
        Take one for a job that was claimed, if there is one.

        `reserved`: one was free when it was asked for; then the job has it, though the limit may have fallen since.
        """
        most = self.total if reserved else self.limit
        if self._busy >= most or self._taken[queue] >= self._shares.get(queue, inf):
            return False
        self._hold(queue)
        return True

    def give(self, queue: str) -> None:
        """Give one back."""
        self._taken[queue] -= 1
        self._busy -= 1

    def ask(
        self, queues: Iterable[str], at_most: int, more: int = 0, more_of: Mapping[str, int] = _NONE
    ) -> dict[str, int]:
        """
        Reserve all that is free, at most so many, for one claim: how many of each queue may come.

        `more`, and `more_of` a queue, may come for which there is no slot yet.
        """
        if self.claims_at_most is not None:
            at_most = min(at_most, self.claims_at_most)
        asked = max(0, min(self.free + more, at_most))
        rooms = {queue: min(self._room(queue) + more_of.get(queue, 0), asked) for queue in queues}
        rooms = {queue: room for queue, room in rooms.items() if room > 0}
        self._asked = asked if rooms else 0
        self._reserved = max(0, min(self.free, self._asked))
        self._reserved_of = {queue: min(self._room(queue), self._reserved) for queue in rooms}
        return rooms

    @property
    def asked(self) -> int:
        """How many jobs the claim on its way may bring."""
        return self._asked

    def answered(self) -> None:
        """Give back what the claim had reserved; what it brought is held by then."""
        self._asked, self._reserved, self._reserved_of = 0, 0, {}

    def _hold(self, queue: str) -> None:
        self._taken[queue] += 1
        self._busy += 1

    def _room(self, queue: str) -> int:
        share = self._shares.get(queue)
        free = self.limit - self._busy
        return free if share is None else min(free, share - self._taken[queue])
