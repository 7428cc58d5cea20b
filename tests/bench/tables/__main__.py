"""`python -m tests.bench.tables`: large tables, long transactions, and what a job costs in the log."""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import replace
from pathlib import Path

from asyncjobs import embedded
from tests.bench.server import SETTINGS
from tests.bench.tables.measure import PARTS, QUARTER, QUICK, Sizes, measured
from tests.bench.terminal import show


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.tables", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, in two minutes or so")
    parser.add_argument(
        "--only",
        action="append",
        choices=PARTS,
        help="one part (all but steady, which takes an hour)",
    )
    parser.add_argument(
        "--seconds", type=float, help="of a steady load (pinned 600, steady 3600, quick: 20)"
    )
    parser.add_argument(
        "--aged",
        type=int,
        help="begin pinned with the dead rows of so many jobs (0, quick: 100000)",
    )
    parser.add_argument(
        "--waldump", type=Path, help="pg_waldump of this Postgres (beside its other binaries)"
    )
    parser.add_argument(
        "--json", type=Path, default=Path("build/tables.json"), metavar="PATH", help="%(default)s"
    )
    return parser.parse_args()


def main() -> None:
    """Measure on an embedded Postgres of its own."""
    said = options()
    sizes = QUICK if said.quick else Sizes()
    told = {"pinned": said.seconds, "steady": said.seconds, "aged": said.aged}
    sizes = replace(sizes, **{name: value for name, value in told.items() if value is not None})
    home = embedded.default_home().parent / "bench-tables"
    with embedded.start(home, settings=SETTINGS) as server:
        waldump = said.waldump or server.binaries / "pg_waldump"
        found = asyncio.run(measured(server, sizes, said.only or QUARTER, waldump))
    said.json.parent.mkdir(parents=True, exist_ok=True)
    said.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show(f"\nAll figures are in {said.json}.")


if __name__ == "__main__":
    main()
