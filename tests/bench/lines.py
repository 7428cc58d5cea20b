"""A figure of ours beside another in the same run, and what their ratio should be."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.bench.course import Samples

Unit = Literal["/s", "ms", "kB", "MB", "", "count"]
BEST = "the best peer"


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure: of a series, a contestant's."""

    series: str
    figure: Callable[[Sequence[float]], float]
    who: str = "ours"


@dataclass(frozen=True, slots=True)
class Line:
    """
    One line: `ours` beside `rival`.

    `rival` is a cell, whose contestant may be BEST: the peer on Postgres with the best median; or a number, that
    ours is measured in. `at_least`, `below`: of the ratio. `why`: what stands in the way where it is missed.
    """

    what: str
    unit: Unit
    ours: Cell
    rival: Cell | float
    at_least: float | None = None
    below: float | None = None
    why: str = ""

    @property
    def expected(self) -> str:
        """What the ratio should be."""
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return "" if self.below is None else f"≤ {self.below:g}"

    def reached(self, ratio: float) -> bool | None:
        """Whether it is; None where nothing is expected."""
        if self.at_least is not None:
            return ratio >= self.at_least
        return None if self.below is None else ratio <= self.below


@dataclass(frozen=True, slots=True)
class Figure:
    """The median over the repeats, the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Sum up."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Result:
    """A line, measured. The ratio is the median of the ratios of neighbours."""

    line: Line
    ours: Figure
    rival: Figure | None
    beside: str
    ratio: Figure
    reached: bool | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reached", self.line.reached(self.ratio.median))


def rate(samples: Sequence[float]) -> float:
    """Give the one that there is."""
    [only] = samples
    return only


def p50(samples: Sequence[float]) -> float:
    """Give the median, in milliseconds."""
    return statistics.median(samples) * 1000


def p95(samples: Sequence[float]) -> float:
    """Give what 95 of 100 stay under, in milliseconds."""
    return _under(samples, 0.95) * 1000


def p99(samples: Sequence[float]) -> float:
    """Give what 99 of 100 stay under, in milliseconds."""
    return _under(samples, 0.99) * 1000


def _under(samples: Sequence[float], share: float) -> float:
    return sorted(samples)[min(len(samples) - 1, int(len(samples) * share))]


def highest(samples: Sequence[float]) -> float:
    """Give the most."""
    return max(samples)


def first_ms(samples: Sequence[float]) -> float:
    """Give the median of the first third, in milliseconds."""
    return statistics.median(samples[: _third(samples)]) * 1000


def last_ms(samples: Sequence[float]) -> float:
    """Give the median of the last third, in milliseconds."""
    return statistics.median(samples[-_third(samples) :]) * 1000


def first_mb(samples: Sequence[float]) -> float:
    """Give the median of the first third, in MB."""
    return statistics.median(samples[: _third(samples)]) / 1e6


def last_mb(samples: Sequence[float]) -> float:
    """Give the median of the last third, in MB."""
    return statistics.median(samples[-_third(samples) :]) / 1e6


def _third(samples: Sequence[float]) -> int:
    return max(1, len(samples) // 3)


def millionths(samples: Sequence[float]) -> float:
    """Give seconds as microseconds."""
    return rate(samples) * 1e6


def megabytes(samples: Sequence[float]) -> float:
    """Give bytes as MB."""
    return rate(samples) / 1e6


def kilobytes(samples: Sequence[float]) -> float:
    """Give bytes as kB."""
    return rate(samples) / 1000


def results(samples: Samples, peers: Sequence[str], lines: Sequence[Line]) -> list[Result]:
    """Work out every line that was measured; `peers`: those on Postgres."""
    found = [_result(line, samples, peers) for line in lines]
    return [result for result in found if result is not None]


def _result(line: Line, samples: Samples, peers: Sequence[str]) -> Result | None:
    ours = taken(samples, line.ours, line.ours.who)
    if isinstance(line.rival, float):
        theirs, beside = [line.rival] * len(ours), ""
    else:
        beside = line.rival.who
        if beside == BEST:
            beside = best(samples, line.rival, peers, higher=line.unit == "/s")
        theirs = taken(samples, line.rival, beside)
    ratios = [a / b for a, b in zip(ours, theirs, strict=False) if b]
    if not ratios:
        return None
    rival = None if isinstance(line.rival, float) else Figure.of(theirs)
    return Result(line, Figure.of(ours), rival, beside, Figure.of(ratios))


def taken(samples: Samples, cell: Cell, who: str) -> list[float]:
    """Give the figure of each repeat."""
    return [cell.figure(one) for one in samples.get(cell.series, {}).get(who, [])]


def best(samples: Samples, cell: Cell, peers: Sequence[str], *, higher: bool) -> str:
    """Name the one with the best median; an empty name where nobody was measured."""
    medians = {
        who: statistics.median(figures) for who in peers if (figures := taken(samples, cell, who))
    }
    if not medians:
        return ""
    return (max if higher else min)(medians, key=lambda who: medians[who])
