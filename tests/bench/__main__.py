"""`python -m tests.bench`: measure, print the table, keep the figures."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from asyncjobs import embedded
from tests.bench import course, report
from tests.bench.contestant import connections
from tests.bench.loops import new_loop
from tests.bench.measures import MEASURES, QUICK, Sizes

SETTINGS: dict[str, embedded.Setting] = {
    "fsync": True,
    "synchronous_commit": True,
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",  # no checkpoint in the middle of one contestant's turn
    "checkpoint_timeout": "30min",
    "max_connections": 200,
}


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller, in a minute or less")
    parser.add_argument("--repeat", type=int, metavar="N", help="how often (5, quick: 3)")
    parser.add_argument(
        "--only",
        action="append",
        choices=[measure.name for measure in MEASURES],
        help="one measure",
    )
    parser.add_argument(
        "--json", type=Path, default=Path("build/bench.json"), metavar="PATH", help="%(default)s"
    )
    parser.add_argument("--uvloop", action="store_true", help="on uvloop, if it is installed")
    parser.add_argument(
        "--no-fsync", action="store_true", help="commits that a power cut may take back"
    )
    return parser.parse_args()


def main() -> None:
    """Measure on an embedded Postgres of its own."""
    said = options()
    loop = "uvloop" if said.uvloop else "asyncio"
    settings = SETTINGS | {"fsync": not said.no_fsync}
    sizes = QUICK if said.quick else Sizes()
    repeat = said.repeat or (3 if said.quick else 5)
    only = said.only or [measure.name for measure in MEASURES]
    # Beside the default home, which is on a disk: a temporary directory may be memory, where fsync is free.
    home = embedded.default_home().parent / ("bench-careless" if said.no_fsync else "bench")
    with (
        embedded.start(home, settings=settings) as server,
        asyncio.Runner(loop_factory=new_loop(loop)) as runner,
    ):
        found = runner.run(measured(server, sizes, repeat, only, loop, settings))
    said.json.parent.mkdir(parents=True, exist_ok=True)
    said.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    show(report.table(report.results(found["samples"])))
    show(f"\nAll samples are in {said.json}.")


async def measured(
    server: embedded.Server,
    sizes: Sizes,
    repeat: int,
    only: list[str],
    loop: str,
    settings: dict[str, Any],
) -> dict[str, Any]:
    async with database(server) as dsn:
        samples = await course.run(dsn, sizes, repeat, only, told)
        postgres = await course.server_version(dsn)
    return report.document(samples, sizes, repeat, loop, postgres, settings)


@asynccontextmanager
async def database(server: embedded.Server) -> AsyncIterator[str]:
    """Make a database for this run, and drop it."""
    name = f"bench_{os.getpid()}"
    async with connections(server.dsn, 1) as [connection]:
        await connection.execute(f"create database {name}")
        try:
            yield server.dsn_of(name)
        finally:
            await connection.execute(f"drop database {name} with (force)")


def told(words: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{words}")
        sys.stderr.flush()


def show(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
