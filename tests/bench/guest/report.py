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
    """Sum all up that was measured."""
    return [
        line(name, load, stays)
        for name, by_load in samples.items()
        for load, stays in by_load.items()
        if stays
    ]


def series(
    samples: Samples, idles: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, list[list[float]]]]:
    """Give the series of the bench: what was added to a request and by which factor in each stay, jobs/s, what idling cost."""
    found: dict[str, dict[str, list[list[float]]]] = {}

    def note(name: str, who: str, value: float) -> None:
        found.setdefault(name, {}).setdefault(who, []).append([value])

    for who, by_load in samples.items():
        for load, stays in by_load.items():
            for each in stays:
                one = line(who, load, [each])
                note(f"guest-{load}", who, one["jobs"])
                for percent in ("p50", "p99"):
                    note(f"guest-{load}-{percent}-ratio", who, one[percent]["ratio"])
                    note(f"guest-{load}-{percent}-added", who, one[percent]["added"])
                if one["left_over"] is not None:
                    note(f"guest-{load}-left", who, one["left_over"])
    for who, added in _added(idles).items():
        for what, value in added.items():
            note(f"idle-{what}", who, value)
    return found


def _added(idles: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Tell what each guest adds to the bare app, in a minute of idleness."""
    bare = idles.get("none", {})
    return {
        who: {
            "cpu": (each["cpu"] - bare["cpu"]) * 60 / each["seconds"],
            "statements": each["statements"] * 60 / each["seconds"],
            "connections": each["connections"] - bare["connections"],
            "memory": each["resident"] - bare["resident"],
        }
        for who, each in idles.items()
        if who != "none"
    }


def table(found: Iterable[Mapping[str, Any]]) -> str:
    """Set it out in columns."""
    return columns(rows(found))


def rows(found: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Give its cells, the heads first."""
    cells: list[tuple[str, ...]] = [COLUMNS]
    for each in found:
        p50, p99, left = each["p50"], each["p99"], each["left_over"]
        cells.append(
            (
                each["guest"], each["load"],
                f"{p50['alone']:.2f} ms", f"{p50['beside']:.2f} ms", f"{p50['ratio']:.2f}",
                f"{p99['alone']:.2f} ms", f"{p99['beside']:.2f} ms", f"{p99['ratio']:.2f}",
                f"{each['jobs']:,.0f}", f"{each['answers']:.0f}",
                "" if left is None else f"{left:.0%}", f"{each['late']:.2f} ms",
            )
        )  # fmt: skip
    return cells


def idle_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Set out what idling costs; the memory is what the guest adds to the bare app."""
    cells = [
        ("idle", "CPU ms a minute, added", "statements a minute", "connections added", "MB added")
    ]
    for name, each in _added(found).items():
        cells.append(
            (
                name,
                f"{each['cpu'] * 1000:.0f}",
                f"{each['statements']:g}",
                str(each["connections"]),
                f"{each['memory'] / 1e6:.1f}",
            )
        )
    return columns(cells)


def columns(cells: Sequence[tuple[str, ...]]) -> str:
    """Align."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def taken(window: Mapping[str, Any]) -> list[float]:
    """Give the times of all routes together."""
    return [each for times in window["took"].values() for each in times]


def percentile(samples: Sequence[float], percent: int) -> float:
    """Give what so many of a hundred stay under."""
    return sorted(samples)[min(len(samples) - 1, len(samples) * percent // 100)]
