"""One run: every measure, by each contestant in turn, again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.bench.contestant import Contestant, ask
from tests.bench.court import Court
from tests.bench.measures import MEASURES, Measure, Sizes
from tests.bench.peers.player import CannotError
from tests.bench.remote import FailedError

SAMPLE_WITHIN = 180.0  # seconds
PREPARED_WITHIN = 60.0

Samples = dict[str, dict[str, list[list[float]]]]
"""By series and contestant: for each repeat its samples."""

Remarks = dict[str, dict[str, str]]
"""By contestant and measure: why there is nothing."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What a run has found by now; one that is stopped keeps it."""

    samples: Samples = field(default_factory=dict)
    remarks: Remarks = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    """All that a part of `parts.py` has seen, by its name."""


async def run(
    court: Court,
    contestants: Sequence[Contestant],
    sizes: Sizes,
    repeat: int,
    only: Iterable[str],
    told: Callable[[str], None],
    notes: Notes,
) -> None:
    """
    Measure in an empty database.

    Contestants take turns (A B A B), because a machine is never as quick in one minute as in the next:
    what can be compared are neighbours.
    """
    wanted = [measure for measure in MEASURES if measure.name in set(only)]
    remarks = notes.remarks
    await court.execute("order_create")
    present = [one for one in contestants if any(takes_part(one, measure) for measure in wanted)]
    there = [one for one in present if await _prepared(court, one, remarks)]
    for number in range(repeat):
        for measure in wanted:
            for contestant in there:
                failed = measure.name in remarks.get(contestant.name, {})
                if failed or not takes_part(contestant, measure):
                    continue
                told(f"{number + 1}/{repeat} {measure.name}: {contestant.name}")
                await _one(court, contestant, measure, sizes, notes)


def takes_part(contestant: Contestant, measure: Measure) -> bool:
    """Tell whether this measure is for this contestant."""
    if contestant.kind not in measure.who:
        return False
    names = measure.who[contestant.kind]
    return names is None or contestant.name in names


async def _prepared(court: Court, contestant: Contestant, remarks: Remarks) -> bool:
    try:
        async with asyncio.timeout(PREPARED_WITHIN):
            await court.prepare(contestant)
    except (FailedError, TimeoutError) as error:
        await _fell(court, contestant, error, remarks, "everything")
        return False
    return True


async def _one(
    court: Court,
    contestant: Contestant,
    measure: Measure,
    sizes: Sizes,
    notes: Notes,
) -> None:
    samples, remarks = notes.samples, notes.remarks
    try:
        async with asyncio.timeout(SAMPLE_WITHIN):
            await court.clear(contestant)
            found = await measure.run(court, contestant, sizes)
    except CannotError as error:
        remarks.setdefault(contestant.name, {})[measure.name] = str(error)
    except (FailedError, RuntimeError, TimeoutError) as error:
        await _fell(court, contestant, error, remarks, measure.name)
    else:
        for series, taken in found.items():
            samples.setdefault(series, {}).setdefault(contestant.name, []).append(taken)


async def _fell(
    court: Court, contestant: Contestant, error: Exception, remarks: Remarks, what: str
) -> None:
    """Go on without it; ours, and the loops, must not fall."""
    if contestant.kind in ("ours", "limit"):
        raise error
    said = str(error).strip() or "not done in time"
    remarks.setdefault(contestant.name, {})[what] = f"failed: {said.splitlines()[-1]}"
    await court.part(contestant, at_once=True)


async def server_version(dsn: str) -> str:
    """Ask Postgres what it is."""
    version: str = await ask(dsn, "show server_version")
    return version
