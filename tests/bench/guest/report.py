"""What came out: ratios to the same app alone, in a table, and all of it for JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.bench.guest.work import BURN

Samples = Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]
"""By guest and load: a stay for each repeat."""

COLUMNS = (
    "guest", "jobs", "p50 alone", "beside", "ratio", "p99 alone", "beside", "ratio", "jobs/s", "answers/s", "left over", "late p99",
)  # fmt: skip


def line(guest: str, load: str, stays: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """
    Sum one guest and one load up: medians over the repeats, times in milliseconds.

    `left_over` is, for jobs of a known cost, how much they got of the processor time of one core that the app alone
    leaves over.
    """
    found: dict[str, Any] = {"guest": guest, "load": load}
    for percent in (50, 99):
        alone = [percentile(taken(each["alone"]), percent) * 1000 for each in stays]
        beside = [percentile(taken(each["beside"]), percent) * 1000 for each in stays]
        ratios = [b / a for a, b in zip(alone, beside, strict=True)]
        found[f"p{percent}"] = {
            "alone": statistics.median(alone),
            "beside": statistics.median(beside),
            "added": statistics.median(b - a for a, b in zip(alone, beside, strict=True)),
            "ratio": statistics.median(ratios),
        }
    found["jobs"] = statistics.median(each["beside"]["jobs"] for each in stays)
    found["answers"] = statistics.median(
        len(taken(each["beside"])) / each["beside"]["seconds"] for each in stays
    )
    found["late"] = (
        statistics.median(percentile(each["beside"]["late"], 99) for each in stays) * 1000
    )
    found["left_over"] = (
        statistics.median(
            each["beside"]["jobs"] * BURN / (1 - each["alone"]["cpu"]) for each in stays
        )
        if load == "burn"
        else None
    )
    return found


def lines(samples: Samples) -> list[dict[str, Any]]:
    """Sum all up."""
    return [line(name, load, stays) for name, by in samples.items() for load, stays in by.items()]


def table(found: Iterable[Mapping[str, Any]]) -> str:
    """Set it out in columns."""
    rows = [COLUMNS]
    for each in found:
        p50, p99, left = each["p50"], each["p99"], each["left_over"]
        rows.append(
            (
                each["guest"], each["load"],
                f"{p50['alone']:.2f} ms", f"{p50['beside']:.2f} ms", f"{p50['ratio']:.2f}",
                f"{p99['alone']:.2f} ms", f"{p99['beside']:.2f} ms", f"{p99['ratio']:.2f}",
                f"{each['jobs']:,.0f}", f"{each['answers']:.0f}",
                "" if left is None else f"{left:.0%}", f"{each['late']:.2f} ms",
            )
        )  # fmt: skip
    return columns(rows)


def idle_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Set out what idling costs; the memory is what the guest adds to the bare app."""
    bare = found["none"]
    rows = [("idle", "CPU s", "added", "statements", "connections added", "MB added")]
    for name, each in found.items():
        rows.append(
            (
                f"{name}, {each['seconds']:.0f} s",
                f"{each['cpu']:.3f}",
                f"{each['cpu'] - bare['cpu']:.3f}",
                str(each["statements"]),
                str(each["connections"] - bare["connections"]),
                f"{(each['resident'] - bare['resident']) / 1e6:.1f}",
            )
        )
    return columns(rows)


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Align."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def taken(window: Mapping[str, Any]) -> list[float]:
    """Give the times of all routes together."""
    return [each for times in window["took"].values() for each in times]


def percentile(samples: Sequence[float], percent: int) -> float:
    """Give what so many of a hundred stay under."""
    return sorted(samples)[min(len(samples) - 1, len(samples) * percent // 100)]
