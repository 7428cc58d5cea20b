"""`python -m tests.bench.guest`: what a web app feels of its guest, and what the guest costs when idle."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from asyncjobs import embedded
from tests.bench.__main__ import SETTINGS, database
from tests.bench.contestant import connections
from tests.bench.environments import NotHereError, chosen, peers, python_of
from tests.bench.guest import report
from tests.bench.guest.guest import GUESTS
from tests.bench.guest.idle import SQL, idle
from tests.bench.guest.peer import HOST
from tests.bench.guest.stay import PYTHONS, keep, stay
from tests.bench.guest.work import KINDS, MIX


@dataclass(frozen=True, slots=True)
class Sizes:
    """How long, how often, how much."""

    rate: float = 200.0  # requests a second
    alone: float = 8.0  # seconds
    beside: float = 10.0  # seconds
    repeat: int = 3
    idle: float = 60.0  # seconds
    noops: int = 200_000
    others: int = 50_000
    of_peers: int = 60_000  # at most, as they take longer


QUICK = Sizes(
    alone=3.0, beside=5.0, repeat=1, idle=15.0, noops=100_000, others=20_000, of_peers=40_000
)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.guest", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter, and each but once")
    parser.add_argument("--repeat", type=int, metavar="N")
    parser.add_argument("--guest", action="append", choices=list(GUESTS), help="ours")
    parser.add_argument(
        "--peers",
        default="none",
        metavar="NAMES",
        help="none (default), all that have their jobs in Postgres, or names with commas between",
    )
    parser.add_argument("--load", action="append", choices=[*KINDS, MIX, "idle"], help="all")
    parser.add_argument(
        "--python", action="append", default=[], metavar="GUEST=PATH", help="its Python"
    )
    parser.add_argument("--uvloop", action="store_true", help="on uvloop, if it is installed")
    parser.add_argument("--json", type=Path, default=Path("build/guest.json"), help="%(default)s")
    return parser.parse_args()


def main() -> None:
    """Measure on an embedded Postgres of its own."""
    said = options()
    PYTHONS.update(pair.split("=", 1) for pair in said.python)
    sizes = QUICK if said.quick else Sizes()
    loads = said.load or [*KINDS, MIX, "idle"]
    guests = [*(said.guest or ["ours"]), *of_peers(said.peers, said.json.parent / "bench-peers")]
    loop = "uvloop" if said.uvloop else "asyncio"
    home = embedded.default_home().parent / "bench"
    with embedded.start(home, settings=SETTINGS) as server:
        found = asyncio.run(
            measured(server, sizes, said.repeat or sizes.repeat, guests, loads, loop)
        )
    said.json.parent.mkdir(parents=True, exist_ok=True)
    said.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if found["lines"]:
        show(report.table(found["lines"]))
    if found["idle"]:
        show(report.idle_table(found["idle"]))
    show(f"\nAll samples are in {said.json}.")


def of_peers(said: str, where: Path) -> list[str]:
    """Make the environments of those that are wanted; gives who could be had."""
    found = []
    for peer in chosen(said, peers()):
        if peer.server != "postgres":
            continue
        try:
            whole = replace(peer, requires=(*peer.requires, *HOST))
            PYTHONS[peer.name] = str(python_of(whole, where))
        except NotHereError as error:
            show(f"{peer.name}: skipped, {error}")
        else:
            found.append(peer.name)
    return found


async def measured(
    server: embedded.Server,
    sizes: Sizes,
    repeat: int,
    guests: list[str],
    loads: list[str],
    loop: str,
) -> dict[str, Any]:
    """Let the guests take turns, kind by kind."""
    samples: dict[str, dict[str, list[Any]]] = {
        guest: {load: [] for load in loads if load != "idle"} for guest in guests
    }
    idles: dict[str, Any] = {}
    async with database(server) as dsn:
        async with connections(dsn, 1) as [connection]:
            await connection.execute(SQL["articles"])
        for guest in guests:
            await keep(guest, dsn, "prepare")
        for number in range(repeat):
            for load in samples[guests[0]]:
                for guest in guests:
                    told(f"{number + 1}/{repeat} {load}: {guest}")
                    count = jobs_for(guest, load, sizes)
                    windows = (sizes.alone, sizes.beside)
                    samples[guest][load].append(
                        await stay(guest, dsn, loop, load, count, sizes.rate, windows)
                    )
        if "idle" in loads:
            for guest in dict.fromkeys(["none", *guests]):
                told(f"idle: {guest}")
                idles[guest] = await idle(guest, dsn, server.log, loop, sizes.idle)
    return {
        "format": 1,
        "sizes": asdict(sizes),
        "repeat": repeat,
        "loop": loop,
        "lines": report.lines(samples),
        "idle": idles,
        "samples": samples,
    }


def jobs_for(guest: str, load: str, sizes: Sizes) -> int:
    """Tell how many jobs last for the whole of a stay."""
    peer = peers().get(guest)
    if peer is not None:
        return max(sizes.of_peers // 2, int(sizes.of_peers * peer.share))
    return sizes.noops if load == "noop" else sizes.others


def told(words: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{words}")
        sys.stderr.flush()


def show(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
