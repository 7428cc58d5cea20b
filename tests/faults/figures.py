"""What a scenario measured, and the table of all of them."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.faults.oracle import Evidence, overlaps, runs_of

AGAIN = "run again after"


@dataclass(slots=True)
class Figures:
    """Of one scenario, once through. Times in seconds."""

    story: str
    chapter: str
    seed: str
    jobs: int = 0
    runs: int = 0
    again: list[float] = field(default_factory=list)  # from the harm to the next begin, each job
    standstill: float = 0.0  # the longest time in which no run ended while some were to be done
    twice: int = 0  # pairs of runs of one job that overlapped
    refused: int = 0  # outcomes that came too late and were refused
    took: float = 0.0

    def write(self, directory: Path) -> None:
        """Leave them where the runner finds them."""
        directory.mkdir(parents=True, exist_ok=True)
        number = len(list(directory.iterdir()))
        name = "".join(each if each.isalnum() else "-" for each in f"{self.story} {self.seed}")
        (directory / f"{name[:150]} {number}.json").write_text(json.dumps(asdict(self)))

    def in_words(self) -> str:
        """Say them in a line."""
        return (
            f"{self.jobs} jobs, {self.runs} runs, {AGAIN} {percentiles(self.again)} s, "
            f"standstill {self.standstill:.1f} s, {self.twice} twice, {self.refused} late ones refused, "
            f"{self.took:.0f} s in all"
        )


def measure(
    figures: Figures, evidence: Evidence, harms: Sequence[tuple[float, frozenset[int]]]
) -> None:
    """Work the figures out of the evidence; `harms`: when, and to which pids it was done."""
    runs = runs_of(evidence)
    figures.jobs = len({entry.job for entry in evidence.entries if entry.what == "stored"})
    figures.runs = len(runs)
    figures.twice = len(overlaps(runs))
    figures.refused = sum(1 for entry in evidence.entries if entry.what == "told Lost")
    figures.again = sorted(_again(evidence, harms))
    ends = sorted(run.ended for run in runs if run.ended is not None)
    figures.standstill = max((b - a for a, b in pairwise(ends)), default=0.0)


def _again(evidence: Evidence, harms: Sequence[tuple[float, frozenset[int]]]) -> Iterable[float]:
    by_job = defaultdict(list)
    for run in runs_of(evidence):
        by_job[run.job].append(run)
    for at, pids in harms:
        for those in by_job.values():
            hit = [
                run
                for run in those
                if run.pid in pids
                and run.began <= at
                and (run.ended is None or run.ended >= at)
                and run.how != "returned"
            ]
            later = [run.began for run in those if run.began > at]
            if hit and later:
                yield min(later) - at


def percentiles(values: Sequence[float]) -> str:
    """Give the median, the 95th of a hundred and the greatest."""
    if not values:
        return "–"
    ranked = sorted(values)
    at_95 = ranked[min(len(ranked) - 1, round(0.95 * (len(ranked) - 1)))]
    return f"{statistics.median(ranked):.1f} / {at_95:.1f} / {ranked[-1]:.1f}"


def read(directory: Path) -> list[Figures]:
    """Read what was written."""
    return [Figures(**json.loads(path.read_text())) for path in sorted(directory.glob("*.json"))]


def table(all_of_them: Iterable[Figures]) -> str:
    """Draw the table, a line a story, the repetitions of a story together."""
    chapters: dict[str, dict[str, list[Figures]]] = {}
    for one in all_of_them:
        chapters.setdefault(one.chapter, {}).setdefault(one.story, []).append(one)
    lines = [
        f"| what is done to them | times | jobs | runs | {AGAIN}, s: p50 / p95 / max "
        "| longest standstill, s | ran twice | late ends refused |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for chapter in sorted(chapters):
        lines.append(f"| **{chapter.partition(' ')[2]}** | | | | | | | |")
        stories = chapters[chapter]
        lines += [_line(story, stories[story]) for story in sorted(stories)]
    return "\n".join(lines)


def _line(story: str, times: Sequence[Figures]) -> str:
    again = [each for one in times for each in one.again]
    return (
        f"| {story} | {len(times)} | {sum(one.jobs for one in times):,} | {sum(one.runs for one in times):,} "
        f"| {percentiles(again)} | {max(one.standstill for one in times):.1f} "
        f"| {sum(one.twice for one in times)} | {sum(one.refused for one in times)} |"
    )
