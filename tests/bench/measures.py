"""What is measured, how much of it, and what is expected of us."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from tests.bench.across import delays_across
from tests.bench.contestant import Contestant
from tests.bench.limit import Limit
from tests.bench.ours import Ours


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many jobs a sample has."""

    drained: int = 20_000
    alone: int = 1_000
    together: int = 10_000
    callers: int = 50
    here: int = 300
    across: int = 60
    pause: float = 0.1  # seconds between jobs for another process, which is idle then


QUICK = Sizes(drained=5_000, alone=200, together=5_000, here=100, across=25)


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing to do, by each contestant in turn; gives samples."""

    name: str
    run: Callable[[Contestant, Sizes], Awaitable[list[float]]]
    rivals: tuple[str, ...] = ("loop",)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: a figure of a measure, ours beside a rival's."""

    measure: str
    what: str
    unit: str  # "jobs/s", where more is better, or "ms"
    figure: Callable[[Sequence[float]], float]
    rival: str = "loop"
    at_least: float | None = None  # of ours / rival's
    below: float | None = None

    @property
    def expected(self) -> str:
        """What the ratio should be."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return "" if self.below is None else f"< {self.below:g}"

    def reached(self, ratio: float) -> bool | None:
        """Whether it is; None where nothing is expected."""
        if self.at_least is not None:
            return ratio >= self.at_least
        return None if self.below is None else ratio < self.below


def contestants(dsn: str) -> dict[str, Contestant]:
    """All of them, by name."""
    found: list[Contestant] = [
        Ours(dsn),
        Limit(dsn),
        Limit(dsn, "bare loop", bare=True),
        Limit(dsn, "loop, 50 connections", pool=50),
        Limit(dsn, "loop with NOTIFY", notifies=True),
    ]
    return {contestant.name: contestant for contestant in found}


async def _drain_10(contestant: Contestant, sizes: Sizes) -> list[float]:
    return await _drain(contestant, sizes.drained, slots=10)


async def _drain_100(contestant: Contestant, sizes: Sizes) -> list[float]:
    return await _drain(contestant, sizes.drained, slots=100)


async def _drain(contestant: Contestant, count: int, slots: int) -> list[float]:
    rate = await contestant.drain(count, slots)
    left = await contestant.left()
    if left:
        raise RuntimeError(f"{contestant.name} left {left} of {count} jobs behind")
    return [rate]


async def _enqueue_alone(contestant: Contestant, sizes: Sizes) -> list[float]:
    return [await contestant.enqueue_alone(sizes.alone)]


async def _enqueue_together(contestant: Contestant, sizes: Sizes) -> list[float]:
    return [await contestant.enqueue_together(sizes.together, sizes.callers)]


async def _start_here(contestant: Contestant, sizes: Sizes) -> list[float]:
    return await contestant.delays_here(sizes.here)


async def _start_across(contestant: Contestant, sizes: Sizes) -> list[float]:
    return await delays_across(contestant, sizes.across, sizes.pause)


def p50(samples: Sequence[float]) -> float:
    """Give the median, in milliseconds."""
    return statistics.median(samples) * 1000


def p99(samples: Sequence[float]) -> float:
    """Give what 99 of 100 stay under, in milliseconds."""
    return sorted(samples)[-1 - len(samples) // 100] * 1000


MEASURES = (
    Measure("drain-10", _drain_10, ("loop", "bare loop")),
    Measure("drain-100", _drain_100, ("loop", "bare loop")),
    Measure("enqueue-alone", _enqueue_alone),
    Measure(
        "enqueue-together",
        _enqueue_together,
        ("loop", "loop, 50 connections", "loop with NOTIFY"),
    ),
    Measure("start-here", _start_here),
    Measure("start-across", _start_across),
)

# An insert that tells nobody is no queue yet, so that what is expected of 50 callers is expected beside
# inserts that do; both are shown.
LINES = (
    Line("drain-10", "drain, 10 slots", "jobs/s", max),
    Line("drain-10", "  bare loop", "jobs/s", max, "bare loop"),
    Line("drain-100", "drain, 100 slots", "jobs/s", max, at_least=0.5),
    Line("drain-100", "  bare loop", "jobs/s", max, "bare loop"),
    Line("enqueue-alone", "enqueue one by one", "jobs/s", max),
    Line("enqueue-together", "enqueue, 50 callers", "jobs/s", max, "loop with NOTIFY", at_least=3),
    Line("enqueue-together", "  loop without NOTIFY", "jobs/s", max),
    Line("enqueue-together", "  and 50 connections", "jobs/s", max, "loop, 50 connections"),
    Line("start-here", "enqueue to start, p50", "ms", p50, below=1),
    Line("start-here", "  p99", "ms", p99, below=1),
    Line("start-across", "to another process, p50", "ms", p50),
    Line("start-across", "  p99", "ms", p99),
)
