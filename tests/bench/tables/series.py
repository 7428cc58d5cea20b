"""What the tables have shown, as series of the bench."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.bench.course import Samples


def of(found: Mapping[str, Any]) -> Samples:
    """Give the series of those parts that were measured; a repeat is one drain, or the whole of the run."""
    series: dict[str, list[list[float]]] = {}
    if "crowded" in found:
        rates = found["crowded"]["rates"]
        series["drain-empty"] = [[empty] for empty, _ in rates]
        series["drain-crowded"] = [[crowded] for _, crowded in rates]
        series["late-crowded"] = [found["crowded"]["late"]]
    for part in ("pinned", "steady"):
        for moment in found.get(part, ()):
            told = {
                "rate": moment["rate"],
                "backlog": moment["backlog"],
                "claim": moment["claim_p50"],
                "slow-claim": moment["claim_p99"],
                "size": moment["table"] + moment["indexes"],
            }
            for what, value in told.items():
                series.setdefault(f"{part}-{what}", [[]])[0].append(value)
    for cost in found.get("log", ()):
        if cost["shape"] in SHAPES:
            kept = "kept" if cost["keeps"] else "forgotten"
            series[f"log-{SHAPES[cost['shape']]}-{kept}"] = [[cost["wal"]]]
    return {name: {"ours": repeats} for name, repeats in series.items()}


SHAPES = {"in bulk": "claimed", "50 callers": "direct"}
"""How jobs of this shape start."""
