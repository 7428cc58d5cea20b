"""What the ratios of ours to the loop were: the quick form fails where one fell by more than a third."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.course import Samples
from tests.bench.lines import Cell, p50, rate, taken

NOTED = Path(__file__).parent / "baseline.json"
MAY_FALL = 1 / 3

# Higher is better for each: where less is better, the loop's figure is divided by ours.
RATES = ("drain-10", "drain-100", "enqueue-alone", "enqueue-together", "enqueue-bulk")
DELAYS = ("start-here",)


def ratios(samples: Samples) -> dict[str, float]:
    """Give how well we do beside the loop: the median over the repeats of the ratios of neighbours."""
    found = {name: _ratio(samples, Cell(name, rate)) for name in RATES if name in samples}
    found |= {name: 1 / _ratio(samples, Cell(name, p50)) for name in DELAYS if name in samples}
    return found


def _ratio(samples: Samples, cell: Cell) -> float:
    pairs = zip(taken(samples, cell, "ours"), taken(samples, cell, "loop"), strict=False)
    return statistics.median(ours / loop for ours, loop in pairs)


def fallen(now: Mapping[str, float], noted: Mapping[str, float]) -> dict[str, str]:
    """Tell which fell by more than they may, by measure."""
    return {
        name: f"{name}: {now[name]:.2f} of the loop’s, where {was:.2f} is noted"
        for name, was in noted.items()
        if name in now and now[name] < was * (1 - MAY_FALL)
    }


def worse(found: dict[str, Any]) -> dict[str, str]:
    """Hold a run against what is noted."""
    return fallen(ratios(found["samples"]), json.loads(NOTED.read_text(encoding="utf-8")))


def note(found: dict[str, Any]) -> None:
    """Note a run's ratios, for the next to be held against."""
    noted = {name: round(value, 2) for name, value in ratios(found["samples"]).items()}
    NOTED.write_text(json.dumps(noted, indent=1) + "\n", encoding="utf-8")
