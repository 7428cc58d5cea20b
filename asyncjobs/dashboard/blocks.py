"""The blocks of event loops, as the rows of processes tell them. Anybody may have edited those: what makes no sense is left out."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

LONGEST = 300  # characters of a line of code
OTHERS: Mapping[str, str] = {
    "app": "the app’s own code",
    "asyncjobs": "asyncjobs itself",
}
COMPUTES = 0.25
"""The share of a block from which on it computed rather than waited: on a busy machine nobody gets all of a processor."""


@dataclass(frozen=True, slots=True)
class Block:
    """
    How often jobs of one task have blocked the loop of one process, and the worst of it.

    `task`: None, no task's. `job`: whose the worst was, which may not be kept any more.
    """

    task: str | None
    who: str
    times: int
    worst: float  # seconds
    job: UUID | None
    has_computed: bool
    line: str | None
    inside: str | None


def blocks(stored: str | None) -> list[Block]:
    """Read what a process has noted, the worst first."""
    noted = _mapping(_read(stored))
    found = [
        *_read_all(_mapping(noted.get("tasks")), of_tasks=True),
        *(
            block
            for block in _read_all(_mapping(noted.get("others")), of_tasks=False)
            if block.who in OTHERS.values()
        ),
    ]
    return sorted(found, key=lambda block: -block.worst)


def block_of(task: str, stored: str | None) -> Block | None:
    """Read what a process has noted of one task."""
    return next(_read_all({task: _read(stored)}, of_tasks=True), None)


def _read_all(noted: Mapping[str, Any], *, of_tasks: bool) -> Iterator[Block]:
    for name, each in noted.items():
        entry = _mapping(each)
        worst = _mapping(entry.get("worst"))
        times, seconds = _number(entry.get("times")), _number(worst.get("seconds"))
        if times is None or seconds is None:
            continue
        computed = _number(worst.get("computed")) or 0.0
        yield Block(
            task=name if of_tasks else None,
            who=name if of_tasks else OTHERS.get(name, name),
            times=int(times),
            worst=seconds,
            job=_id(worst.get("job")),
            has_computed=computed >= seconds * COMPUTES,
            line=_text(worst.get("line")),
            inside=_text(worst.get("inside")),
        )


def _read(stored: str | None) -> object:
    # Numbers that no float holds are read as infinity, and are nonsense here.
    return None if stored is None else json.loads(stored)


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value < 1e12 and math.isfinite(value) else None


def _id(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _text(value: object) -> str | None:
    return value[:LONGEST] if isinstance(value, str) and value else None
