"""`python -m tests.bench`: measure, print the tables, keep the figures."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from asyncjobs import embedded
from tests.bench import baseline, page
from tests.bench.environments import chosen, peers
from tests.bench.everything import NAMES, measured
from tests.bench.server import SETTINGS
from tests.bench.terminal import show


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a minute, ours and the loop, without fsync; fails where a ratio fell by a third of what is noted",
    )
    parser.add_argument("--repeat", type=int, metavar="N", help="how often (5)")
    parser.add_argument(
        "--only",
        action="append",
        choices=NAMES,
        metavar="NAME",
        help=f"one measure or part; may be said again: {', '.join(NAMES)}; all but steady, which takes an hour",
    )
    parser.add_argument(
        "--peers", metavar="NAMES", help="all (default), none (quick), or names with commas between"
    )
    parser.add_argument(
        "--json", type=Path, metavar="PATH", help="build/bench.json, quick: build/bench-quick.json"
    )
    parser.add_argument(
        "--add",
        action="store_true",
        help="keep what the JSON has of other measures and contestants",
    )
    parser.add_argument(
        "--tell", action="store_true", help="measure nothing, show what the JSON has"
    )
    parser.add_argument("--page", action="store_true", help="write docs/benchmarks.md and its plot")
    parser.add_argument("--uvloop", action="store_true", help="ours and the loop on uvloop only")
    parser.add_argument(
        "--no-fsync", action="store_true", help="commits that a power cut may take back"
    )
    parser.add_argument("--note", action="store_true", help="note the ratios of --quick anew")
    said = parser.parse_args()
    said.json = said.json or Path("build", "bench-quick.json" if said.quick else "bench.json")
    said.peers = said.peers or ("none" if said.quick else "all")
    try:
        chosen(said.peers, peers())
    except ValueError as error:
        parser.error(str(error))
    return said


def main() -> int:
    """Measure on an embedded Postgres of its own."""
    said = options()
    if said.tell:
        return tell(said, json.loads(said.json.read_text(encoding="utf-8")))
    careless = said.no_fsync or said.quick
    settings = SETTINGS | {"fsync": not careless}
    # Beside the default home, which is on a disk: a temporary directory may be memory, where fsync is free.
    home = embedded.default_home().parent / ("bench-careless" if careless else "bench")
    build = said.json.parent.resolve()
    build.mkdir(parents=True, exist_ok=True)
    with embedded.start(home, settings=settings) as server, ExitStack() as stack:
        found = asyncio.run(measured(said, server, build, settings, stack))
        if said.quick and not said.note and (worse := baseline.worse(found)):
            show(f"Fell, and is measured once more: {'; '.join(worse.values())}")
            said.only = list(worse)
            again = asyncio.run(measured(said, server, build, settings, stack))
            found = page.joined(found, again)
    if said.add and said.json.exists():
        found = page.joined(json.loads(said.json.read_text(encoding="utf-8")), found)
    said.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return tell(said, found)


def tell(said: argparse.Namespace, found: dict[str, Any]) -> int:
    """Show what was found; gives the exit code."""
    show(page.tables(found))
    show(f"\nAll samples are in {said.json}.")
    if said.page:
        page.write(found)
    if said.note:
        baseline.note(found)
    if found.get("fell"):
        show(f"It did not come to its end: {found['fell']}")
    fell = baseline.worse(found) if said.quick else {}
    for words in fell.values():
        show(f"Fell by more than a third: {words}")
    return 1 if fell or found.get("fell") else 0


if __name__ == "__main__":
    sys.exit(main())
