"""Who takes part in a run."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests.bench.contestant import Contestant, Kind
from tests.bench.environments import NotHereError, Peer, python_of

OURS = "ours"
UV = " on uvloop"


def ours_and_limits(dsn: str, loop: str, *, uvloop: bool) -> list[Contestant]:
    """Ours and the loops, on this event loop; `uvloop`: and once more on that one."""

    def own(name: str, player: str, table: str, on: str = loop, **more: bool) -> Contestant:
        command = (sys.executable, "-m", "tests.bench.worker", dsn, on, player)
        return Contestant(name, "ours" if player == "ours" else "limit", command, table, **more)

    found = [
        own(OURS, "ours", "ours"),
        own("loop", "loop", "limit"),
        own("loop, flowing", "flowing", "limit", is_copy=True),
        own("bare loop", "bare", "bare"),
        own("loop, silent", "silent", "limit", is_copy=True),
        own("loop, silent, 50 connections", "silent-50", "limit", is_copy=True),
        own("our row, by hand", "by-hand", "ours", is_copy=True),
    ]
    if uvloop:
        found += [
            own(OURS + UV, "ours", "ours", "uvloop", is_copy=True),
            own("loop" + UV, "loop", "limit", "uvloop", is_copy=True),
        ]
    return found


def of_peers(
    peers: list[Peer], addresses: Mapping[str, str], where: Path, skipped: dict[str, str]
) -> list[Contestant]:
    """The peers that can be had, on uvloop, which all of them take; notes why others cannot."""
    found = []
    for peer in peers:
        try:
            if peer.server not in addresses:
                raise NotHereError("redis-server is not installed")
            python = python_of(peer, where)
        except NotHereError as error:
            skipped[peer.name] = str(error)
            continue
        command = (
            str(python), "-m", "tests.bench.peers", peer.module, addresses[peer.server], "uvloop",
        )  # fmt: skip
        kind: Kind = "peer" if peer.server == "postgres" else "redis"
        found.append(Contestant(peer.name, kind, command, peer.table, peer.share))
    return found
