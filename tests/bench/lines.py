"""What should be reached: a figure of ours beside another in the same run, and what their ratio should be."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.bench.course import Samples

Unit = Literal["/s", "ms", "µs", "bytes", "kB", "", "count"]
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
    ours is measured in. `at_least`, `below`: of the ratio.
    """

    what: str
    unit: Unit
    ours: Cell
    rival: Cell | float
    at_least: float | None = None
    below: float | None = None

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


def millionths(samples: Sequence[float]) -> float:
    """Give seconds as microseconds."""
    return rate(samples) * 1e6


def kilobytes(samples: Sequence[float]) -> float:
    """Give bytes as kB."""
    return rate(samples) / 1000


def _rates(series: str, who: str = "ours") -> Cell:
    return Cell(series, rate, who)


UV, LOOP_UV, SAQ = "ours on uvloop", "loop on uvloop", "saq on redis"

# What is to be reached. Peers run on uvloop, and so do ours beside them; the loops are those of the same event loop.
LINES = (
    Line("drain, 100 slots", "/s", _rates("drain-100", UV), _rates("drain-100", BEST), at_least=2),
    Line("… beside the loop, uvloop", "/s", _rates("drain-100", UV), _rates("drain-100", LOOP_UV), at_least=0.6),
    Line("… beside the loop, asyncio", "/s", _rates("drain-100"), _rates("drain-100", "loop")),
    Line("drain, 10 slots", "/s", _rates("drain-10", UV), _rates("drain-10", BEST), at_least=2),
    Line("… beside the loop, uvloop", "/s", _rates("drain-10", UV), _rates("drain-10", LOOP_UV)),
    Line("… beside the loop, asyncio", "/s", _rates("drain-10"), _rates("drain-10", "loop")),
    Line("drain, two processes beside one", "/s", _rates("drain-2-processes", UV), _rates("drain-100", UV)),
    Line(
        "drain, sixteen beside one", "/s", _rates("drain-16-processes", UV), _rates("drain-100", UV), at_least=1
    ),
    Line("enqueue one by one", "/s", _rates("enqueue-alone"), _rates("enqueue-alone", "loop")),
    Line(
        "enqueue, 50 callers", "/s", _rates("enqueue-together", UV), _rates("enqueue-together", BEST), at_least=6
    ),
    Line("… beside the loop, asyncio", "/s", _rates("enqueue-together"), _rates("enqueue-together", "loop")),
    Line("enqueue 10,000 at once", "/s", _rates("enqueue-bulk", UV), _rates("enqueue-bulk", BEST), at_least=1),
    Line("… beside the loop, asyncio", "/s", _rates("enqueue-bulk"), _rates("enqueue-bulk", "loop")),
    Line("in callers’ transactions, 16", "/s", _rates("beside-16"), _rates("beside-16", "loop, silent")),
    Line(
        "in callers’ transactions, 64", "/s", _rates("beside-64"), _rates("beside-64", "loop, silent"), at_least=0.9
    ),
    Line("enqueue to done, mixed load", "/s", _rates("mixed", UV), _rates("mixed", BEST), at_least=3),
    Line("enqueue to start here, p50", "ms", Cell("start-here", p50, UV), Cell("start-here", p50, BEST), below=0.5),
    Line("… beside SAQ on Redis", "ms", Cell("start-here", p50, UV), Cell("start-here", p50, SAQ), below=1),
    Line("… beside the loop, asyncio", "ms", Cell("start-here", p50), Cell("start-here", p50, "loop")),
    Line("its p99 beside its p50", "ms", Cell("start-here", p99), Cell("start-here", p50), below=3),
    Line(
        "to another process, p50", "ms", Cell("start-across", p50, UV), Cell("start-across", p50, BEST)
    ),
    Line("scheduled: how late, p99", "ms", Cell("late", p99), 10.0, below=1),
    Line("WAL of a small job", "kB", Cell("wal", kilobytes), 1.2, below=1),
    Line("statements a job, idle", "count", _rates("statements-idle"), 3.0, below=1),
    Line("statements a job, busy", "count", _rates("statements-busy"), 1.0, below=0.5),
)  # fmt: skip


def results(samples: Samples, peers: Sequence[str], lines: Sequence[Line] = LINES) -> list[Result]:
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
    ratios = [a / b for a, b in zip(ours, theirs, strict=False)]
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
