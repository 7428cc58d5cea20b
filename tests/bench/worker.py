"""`python -m tests.bench.worker ADDRESS LOOP NAME`: a process that speaks for ours, or for a loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tests.bench.limit import Limit
from tests.bench.ours import ByHand, Ours
from tests.bench.peers.player import Player
from tests.bench.peers.speaking import main

PLAYERS: dict[str, Callable[[str], Player]] = {
    "ours": Ours,
    "by-hand": ByHand,
    "loop": partial(Limit, steps=True),
    "flowing": Limit,
    "bare": partial(Limit, bare=True),
    "silent": partial(Limit, notifies=False),
    "silent-50": partial(Limit, notifies=False, pool=50),
}


def player(dsn: str, name: str) -> Player:
    """Make it; raises KeyError."""
    return PLAYERS[name](dsn)


if __name__ == "__main__":
    main(player)
