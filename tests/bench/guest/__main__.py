"""`python -m tests.bench.guest`: what a web app feels of its guest, and what the guest costs when idle."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

from asyncjobs import embedded
from tests.bench.environments import chosen, peers
from tests.bench.guest.guest import GUESTS
from tests.bench.guest.measure import IDLE, LOADS, QUICK, Notes, Sizes, measure, of_peers, summed_up
from tests.bench.guest.stay import PYTHONS
from tests.bench.server import SETTINGS, database
from tests.bench.terminal import show


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
    parser.add_argument("--load", action="append", choices=[*LOADS, IDLE], help="all")
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
    said.json.parent.mkdir(parents=True, exist_ok=True)
    home = embedded.default_home().parent / "bench"
    with embedded.start(home, settings=SETTINGS) as server:
        found = asyncio.run(whole(server, said))
    said.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show(f"\nAll samples are in {said.json}.")


async def whole(server: embedded.Server, said: argparse.Namespace) -> dict[str, Any]:
    """Measure what was asked for, in a database of its own."""
    sizes = QUICK if said.quick else Sizes()
    loads = said.load or [*LOADS, IDLE]
    skipped: dict[str, str] = {}
    there = of_peers(
        chosen(said.peers, peers()), said.json.parent.resolve() / "bench-peers", skipped
    )
    guests = [*(said.guest or ["ours"]), *there]
    loop = "uvloop" if said.uvloop else "asyncio"
    repeat, notes = said.repeat or sizes.repeat, Notes()
    async with database(server) as dsn:
        await measure(server, dsn, sizes, repeat, guests, loads, loop, notes)
    for name, why in skipped.items():
        show(f"{name}: skipped, {why}")
    for name, by_load in notes.remarks.items():
        for load, why in by_load.items():
            show(f"{name}: {load}: {why}")
    return {**summed_up(notes, sizes, repeat, loop), "samples": notes.samples}


if __name__ == "__main__":
    main()
