"""One run of all that is wanted: who takes part, the measures, the parts, and what came out."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import signal
import sys
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from asyncjobs import embedded
from tests.bench import course, parts, redis, report, roll
from tests.bench.contestant import Contestant
from tests.bench.court import Court
from tests.bench.environments import NotHereError, Peer, chosen, peers
from tests.bench.lines import results
from tests.bench.loops import quickest
from tests.bench.measures import MEASURES, QUICK, QUICKLY, Sizes
from tests.bench.server import database
from tests.bench.targets import LINES
from tests.bench.terminal import told

NAMES = (*(measure.name for measure in MEASURES), *parts.PARTS)
"""All that can be measured, in the order of a run."""

WHOLE = tuple(name for name in NAMES if name != parts.HOUR)
"""What is measured where nothing is said: all but the part that takes an hour."""


async def measured(
    said: argparse.Namespace,
    server: embedded.Server,
    build: Path,
    settings: dict[str, Any],
    stack: ExitStack,
) -> dict[str, Any]:
    """
    Measure what was asked for; gives the document of `report.py`.

    What is found is kept where the run is stopped, by Ctrl-C or SIGTERM, and where it falls: then `fell` tells why.
    """
    sizes = QUICK if said.quick else Sizes()
    repeat = said.repeat or 5
    only = said.only or (QUICKLY if said.quick else WHOLE)
    loop = "uvloop" if said.uvloop else "asyncio"
    skipped: dict[str, str] = {}
    notes = course.Notes()
    async with database(server) as dsn:
        wanted = chosen(said.peers, peers())
        contestants = there(said, wanted, dsn, build, loop, stack, skipped)
        court = Court(dsn, build / "bench-logs", server.log)
        run = parts.Run(server, build, repeat, wanted, skipped, notes)

        async def everything() -> None:
            await course.run(court, contestants, sizes, repeat, only, told, notes)
            await court.close()  # nobody else is there while the parts are measured
            await parts.run(run, only)

        try:
            fell = await until_stopped(everything())
            postgres = await course.server_version(dsn)
        finally:
            await court.close()
    told("")
    known = peers()
    kinds = {one.name: one.kind for one in contestants}
    return report.document(
        notes.samples,
        notes.remarks,
        skipped,
        results(notes.samples, [name for name, kind in kinds.items() if kind == "peer"], LINES),
        {
            "command": command(sys.argv[1:]),
            "fell": fell,
            "versions": report.versions(
                postgres,
                redis.version(),
                {name: known[name].version for name in kinds if name in known},
            ),
            "settings": {
                "postgres": settings, "sizes": asdict(sizes), "repeat": repeat, "loop": loop,
            },
            "contestants": kinds,
            "details": notes.details,
        },
    )  # fmt: skip


async def until_stopped(running: Coroutine[Any, Any, None]) -> str | None:
    """Go on until it ends, or until Ctrl-C or SIGTERM; tells why where it fell."""
    task = asyncio.ensure_future(running)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        try:
            await task
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return None


def command(arguments: Sequence[str]) -> str:
    """Tell how to do this again, wherever its JSON went."""
    said = list(arguments)
    if "--json" in said:
        at = said.index("--json")
        del said[at : at + 2]
    return " ".join(["nox -s bench", *(["--", *map(shlex.quote, said)] if said else [])])


def there(
    said: argparse.Namespace,
    wanted: list[Peer],
    dsn: str,
    build: Path,
    loop: str,
    stack: ExitStack,
    skipped: dict[str, str],
) -> list[Contestant]:
    """Gather who takes part; notes who cannot."""
    addresses = {"postgres": dsn}
    if any(peer.server == "redis" for peer in wanted):
        try:
            addresses["redis"] = stack.enter_context(redis.started(build / "bench-redis"))
        except NotHereError as error:
            told(str(error))
    on_both = not said.quick and loop != "uvloop"
    if on_both and quickest() != "uvloop":
        skipped["ours on uvloop"] = "uvloop is not installed"
    own = roll.ours_and_limits(dsn, loop, uvloop=on_both and quickest() == "uvloop")
    return [
        *(one for one in own if not said.quick or one.name in ("ours", "loop")),
        *roll.of_peers(wanted, addresses, build / "bench-peers", skipped),
    ]
