"""What a scenario measured, and the table of all of them."""

from __future__ import annotations

import json
import os
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from math import inf
from pathlib import Path

from tests.faults.oracle import Evidence, overlaps, runs_of

AGAIN = "run again after"
MOMENT = 0.5  # seconds within which a death is noted


@dataclass(slots=True)
class Figures:
    """Of one scenario, once through. Times in seconds."""

    story: str
    chapter: str
    seed: str
    jobs: int = 0
    runs: int = 0
    again: list[float] = field(default_factory=list)  # from the harm to the next begin, each job
    rescued: list[float] = field(
        default_factory=list
    )  # those of them whose process died while another lived
    standstill: float = 0.0  # the longest time in which no run ended while some were to be done
    twice: int = 0  # pairs of runs of one job that overlapped
    refused: int = 0  # outcomes that came too late and were refused
    took: float = 0.0
    notes: dict[str, float] = field(default_factory=dict)  # whatever else a scenario measured

    def write(self, directory: Path) -> None:
        """Leave them where the runner finds them."""
        directory.mkdir(parents=True, exist_ok=True)
        number = len(list(directory.iterdir()))
        name = "".join(each if each.isalnum() else "-" for each in f"{self.story} {self.seed}")
        (directory / f"{name[:150]} {os.getpid()} {number}.json").write_text(
            json.dumps(asdict(self))
        )

    def in_words(self) -> str:
        """Say them in a line."""
        return (
            f"{self.jobs} jobs, {self.runs} runs, {AGAIN} {percentiles(self.again)} s, "
            f"standstill {self.standstill:.1f} s, {self.twice} twice, {self.refused} late ones refused, "
            f"{self.took:.0f} s in all"
            + "".join(f"; {name}: {value:.3g}" for name, value in self.notes.items())
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
    again = [*_again(evidence, harms), *_again_after_deaths(evidence)]
    figures.again = sorted(seconds for seconds, _, _ in again)
    figures.rescued = sorted(
        seconds
        for seconds, at, pids in again
        if _have_died(evidence, at, pids) and _another_lived(evidence, at, pids)
    )
    ends = sorted(run.ended for run in runs if run.ended is not None)
    figures.standstill = max((b - a for a, b in pairwise(ends)), default=0.0)


Again = tuple[float, float, frozenset[int]]
"""Seconds until a job ran again; when what harm was done, and to whom."""


def _have_died(evidence: Evidence, at: float, pids: frozenset[int]) -> bool:
    """Whether the harm was their death."""
    return all(evidence.gone.get(pid, inf) < at + MOMENT for pid in pids)


def _another_lived(evidence: Evidence, at: float, pids: frozenset[int]) -> bool:
    return any(
        entry.at < at and evidence.gone.get(entry.pid, inf) > at + MOMENT
        for entry in evidence.entries
        if entry.what == "up" and entry.pid not in pids
    )


def _again(evidence: Evidence, harms: Sequence[tuple[float, frozenset[int]]]) -> Iterable[Again]:
    by_job = defaultdict(list)
    for run in runs_of(evidence):
        by_job[run.job].append(run)
    for at, pids in harms:
        for those in by_job.values():
            next_began = min((run.began for run in those if run.began > at), default=None)
            hit = [
                run
                for run in those
                if run.pid in pids
                and run.began <= at
                and (run.ended is None or run.ended >= at)
                and (run.how != "returned" or run.ended is None or run.ended >= (next_began or inf))
            ]
            if hit and next_began is not None:
                yield next_began - at, at, pids


def _again_after_deaths(evidence: Evidence) -> Iterable[Again]:
    """Those who died at a moment of their own said which jobs they hit; what ran there was hit too."""
    runs = runs_of(evidence)
    for death in evidence.entries:
        if death.what != "dies":
            continue
        hit = {run.job for run in runs if run.pid == death.pid and run.how == "killed"}
        for job in hit.union(death.more["jobs"]):
            later = [run.began for run in runs if run.job == job and run.began > death.at]
            if later:
                yield min(later) - death.at, death.at, frozenset([death.pid])


def percentiles(values: Sequence[float]) -> str:
    """Give the median, the 95th of a hundred and the greatest."""
    if not values:
        return "–"
    return f"{statistics.median(values):.1f} / {at_95(values):.1f} / {max(values):.1f}"


def at_95(values: Sequence[float]) -> float:
    """Give the value that 95 of a hundred do not exceed."""
    ranked = sorted(values)
    return ranked[round(0.95 * (len(ranked) - 1))]


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


def rescues(all_of_them: Iterable[Figures]) -> str:
    """Say how soon those ran again, in all scenarios together, whose process died while another lived."""
    seconds = [each for one in all_of_them for each in one.rescued]
    if not seconds:
        return ""
    return (
        f"Of {len(seconds):,} jobs whose process died while another lived, in all scenarios together, "
        f"half ran again within {statistics.median(seconds):.1f} s, "
        f"95 of a hundred within {at_95(seconds):.1f} s, the last after {max(seconds):.1f} s."
    )


def remarks(all_of_them: Iterable[Figures]) -> str:
    """List whatever else was measured: the greatest of all times."""
    greatest: dict[str, float] = {}
    for one in sorted(all_of_them, key=lambda one: (one.chapter, one.story)):
        for name, value in one.notes.items():
            greatest[name] = max(value, greatest.get(name, value))
    return "".join(f"\n- {name}: {value:.3g}" for name, value in greatest.items())


def _line(story: str, times: Sequence[Figures]) -> str:
    again = [each for one in times for each in one.again]
    return (
        f"| {story} | {len(times)} | {sum(one.jobs for one in times):,} | {sum(one.runs for one in times):,} "
        f"| {percentiles(again)} | {max(one.standstill for one in times):.1f} "
        f"| {sum(one.twice for one in times)} | {sum(one.refused for one in times)} |"
    )
