"""`python -m tests.bench.worker ADDRESS LOOP NAME`: a process that speaks for ours, or for a loop."""

from __future__ import annotations

from tests.bench.limit import Limit
from tests.bench.ours import Ours
from tests.bench.peers.player import Player
from tests.bench.peers.speaking import main


def player(dsn: str, name: str) -> Player:
    """Make it."""
    match name:
        case "ours":
            return Ours(dsn)
        case "loop":
            return Limit(dsn, steps=True)
        case "flowing":
            return Limit(dsn)
        case "bare":
            return Limit(dsn, bare=True)
        case "silent":
            return Limit(dsn, notifies=False)
        case "silent-50":
            return Limit(dsn, notifies=False, pool=50)
        case _:
            raise ValueError(f"no such player: {name}")


if __name__ == "__main__":
    main(player)
