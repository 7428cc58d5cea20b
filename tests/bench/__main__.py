"""`python -m tests.bench`: measure, print the tables, keep the figures."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from asyncjobs import embedded
from tests.bench import baseline, course, page, redis, report, roll
from tests.bench.contestant import Contestant, connections
from tests.bench.court import Court
from tests.bench.environments import NotHereError, chosen, peers
from tests.bench.lines import results
from tests.bench.measures import MEASURES, QUICK, QUICKLY, Sizes

SETTINGS: dict[str, embedded.Setting] = {
    "fsync": True,
    "synchronous_commit": True,
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",  # no checkpoint in the middle of one contestant's turn
    "checkpoint_timeout": "30min",
    "max_connections": 400,
}


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
        choices=[measure.name for measure in MEASURES],
        help="one measure; may be said again",
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
    fell = baseline.worse(found) if said.quick else {}
    for words in fell.values():
        show(f"Fell by more than a third: {words}")
    return 1 if fell else 0


async def measured(
    said: argparse.Namespace,
    server: embedded.Server,
    build: Path,
    settings: dict[str, Any],
    stack: ExitStack,
) -> dict[str, Any]:
    sizes = QUICK if said.quick else Sizes()
    repeat = said.repeat or 5
    only = said.only or (QUICKLY if said.quick else [measure.name for measure in MEASURES])
    loop = "uvloop" if said.uvloop else "asyncio"
    skipped: dict[str, str] = {}
    notes = course.Notes()
    async with database(server) as dsn:
        contestants = there(said, dsn, build, loop, stack, skipped)
        court = Court(dsn, build / "bench-logs", server.log)
        try:
            await until_stopped(course.run(court, contestants, sizes, repeat, only, told, notes))
            postgres = await course.server_version(dsn)
        finally:
            await court.close()
    clear_told()
    known = peers()
    on_postgres = [one.name for one in contestants if one.kind == "peer"]
    return report.document(
        notes.samples,
        notes.remarks,
        skipped,
        results(notes.samples, on_postgres),
        {
            "command": command(sys.argv[1:]),
            "versions": report.versions(
                postgres,
                redis.version(),
                {one.name: known[one.name].version for one in contestants if one.name in known},
            ),
            "settings": {
                "postgres": settings, "sizes": asdict(sizes), "repeat": repeat, "loop": loop,
            },
            "contestants": {one.name: one.kind for one in contestants},
        },
    )  # fmt: skip


async def until_stopped(running: Coroutine[Any, Any, None]) -> None:
    """Go on until it ends, or until Ctrl-C or SIGTERM: what is found by then is kept."""
    task = asyncio.ensure_future(running)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def command(arguments: list[str]) -> str:
    """Tell how to do this again, wherever its JSON went."""
    said = list(arguments)
    if "--json" in said:
        at = said.index("--json")
        del said[at : at + 2]
    return " ".join(["nox -s bench", *(["--", *map(shlex.quote, said)] if said else [])])


def there(
    said: argparse.Namespace,
    dsn: str,
    build: Path,
    loop: str,
    stack: ExitStack,
    skipped: dict[str, str],
) -> list[Contestant]:
    """Gather who takes part; notes who cannot."""
    wanted = chosen(said.peers, peers())
    addresses = {"postgres": dsn}
    if any(peer.server == "redis" for peer in wanted):
        try:
            addresses["redis"] = stack.enter_context(redis.started(build / "bench-redis"))
        except NotHereError as error:
            told(str(error))
    uvloop = not said.quick and loop != "uvloop" and find_spec("uvloop") is not None
    if not uvloop and not said.quick and loop != "uvloop":
        skipped["ours on uvloop"] = "uvloop is not installed"
    own = roll.ours_and_limits(dsn, loop, uvloop=uvloop)
    return [
        *(one for one in own if not said.quick or one.name in ("ours", "loop")),
        *roll.of_peers(wanted, addresses, build / "bench-peers", skipped),
    ]


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


def clear_told() -> None:
    told("")


def show(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
