"""
The oracle: what must be so after every scenario, whatever harm it did.

It looks at three things that know nothing of each other: the diary that the processes kept, what Postgres
has in the end, and how the processes ended. It is a pure function of them, so that it can itself be tested
with stories in which each of its rules is broken.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.faults.diary import Entry

HISTORY_KEEPS = 20  # earlier attempts
MOMENT = 0.002  # seconds by which two processes' notes of one handing-over may be out of order


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a job as the diary has it. `ended` is None for one that goes on, or that nobody saw end."""

    job: str
    pid: int
    fence: int
    began: float
    ended: float | None
    how: str | None  # 'returned', the name of what it raised, or 'killed'


@dataclass(frozen=True, slots=True)
class Kept:
    """What Postgres has of a finished job."""

    job: str
    state: str
    attempt: int
    crashes: int
    fence: int
    claimed_by: int | None
    history: Sequence[Mapping[str, Any]]


@dataclass(slots=True)
class Evidence:
    """All that is known when a scenario is over."""

    entries: Sequence[Entry]
    finished: Sequence[Kept]
    unfinished: Mapping[str, str]  # job: its state
    expected: Mapping[str, str]  # job: how it must end; the others must have succeeded
    left: frozenset[str] = frozenset()  # jobs that must be unfinished
    deleted: frozenset[str] = frozenset()  # jobs that must be nowhere
    edited: frozenset[str] = frozenset()  # jobs whose counts somebody changed by hand
    in_doubt: int = 0  # enqueues that raised: each may have stored its jobs or not
    may_overlap: str = ""  # why runs of one job may overlap here
    gone: Mapping[int, float] = field(default_factory=dict)  # pid: when it was dead for sure


def runs_of(evidence: Evidence) -> list[Run]:
    """Put begins and ends together; a run of a process that is gone ended with it."""
    begun: dict[tuple[str, int, int], Entry] = {}
    runs: list[Run] = []
    for entry in evidence.entries:
        if entry.what not in ("began", "ended") or entry.job is None:
            continue
        key = (entry.job, entry.pid, entry.more["fence"])
        if entry.what == "began":
            begun[key] = entry
        elif key in begun:
            began = begun.pop(key)
            runs.append(Run(*key, began.at, entry.at, entry.more["how"]))
    for key, began in begun.items():
        end = evidence.gone.get(began.pid)
        runs.append(Run(*key, began.at, end, None if end is None else "killed"))
    return sorted(runs, key=lambda run: (run.job, run.began))


def overlaps(runs: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Find pairs of runs of one job that went on at the same time."""
    found = []
    by_job = defaultdict(list)
    for run in runs:
        by_job[run.job].append(run)
    for those in by_job.values():
        those.sort(key=lambda run: run.began)
        for earlier, later in pairwise(those):
            if earlier.ended is None or earlier.ended > later.began + MOMENT:
                found.append((earlier, later))
    return found


def complaints(evidence: Evidence) -> Iterator[str]:
    """Say everything that is not as it must be; nothing, when all is well."""
    runs = runs_of(evidence)
    yield from _none_lost(evidence)
    yield from _none_run_twice(evidence, runs)
    yield from _none_finished_twice(evidence)
    yield from _what_is_recorded_happened(evidence, runs)
    yield from _attempts_are_right(evidence, runs)


def _none_lost(evidence: Evidence) -> Iterator[str]:
    stored = {entry.job for entry in evidence.entries if entry.what == "stored"}
    known = stored | set(evidence.expected)
    finished = {kept.job: kept.state for kept in evidence.finished}
    for job in known - evidence.left - evidence.deleted:
        want = evidence.expected.get(str(job), "succeeded")
        if job in evidence.unfinished:
            yield f"job {job} is not finished: it is {evidence.unfinished[str(job)]}"
        elif job not in finished:
            yield f"job {job} is lost: neither unfinished nor in the archive"
        elif finished[job] != want:
            yield f"job {job} has {finished[job]}, and should have {want}"
    for job in evidence.left - set(evidence.unfinished):
        yield f"job {job} should have been left, and is not there"
    for job in evidence.deleted & (set(finished) | set(evidence.unfinished)):
        yield f"job {job} was deleted or rolled back, and is there"
    strangers = (set(finished) | set(evidence.unfinished)) - known - evidence.left
    strangers -= evidence.deleted
    if len(strangers) > evidence.in_doubt:
        yield f"{len(strangers)} jobs are there that nobody stored, where {evidence.in_doubt} may be"


def _none_run_twice(evidence: Evidence, runs: Sequence[Run]) -> Iterator[str]:
    for run in runs:
        if run.ended is None:
            yield f"job {run.job} began in {run.pid} (fence {run.fence}), and nobody saw it end"
    claims = Counter((run.job, run.fence) for run in runs)
    for (job, fence), times in claims.items():
        if times > 1:
            yield f"job {job} was run {times} times under the fence {fence}"
    if evidence.may_overlap:
        return
    for earlier, later in overlaps(runs):
        yield (
            f"two runs of job {later.job} overlapped: in {earlier.pid} (fence {earlier.fence}) to "
            f"{earlier.ended or 0:.3f}, in {later.pid} (fence {later.fence}) from {later.began:.3f}"
        )


def _none_finished_twice(evidence: Evidence) -> Iterator[str]:
    rows = Counter(kept.job for kept in evidence.finished)
    for job, times in rows.items():
        if times > 1:
            yield f"job {job} is {times} times in the archive"
    final = ("succeeded", "failed", "cancelled")
    told = Counter(
        entry.job
        for entry in evidence.entries
        if entry.what == "told Finished" and entry.more["state"] in final
    )
    for ended, times in told.items():
        if times > 1:
            yield f"the end of job {ended} was told {times} times"


def _what_is_recorded_happened(evidence: Evidence, runs: Sequence[Run]) -> Iterator[str]:
    """The run whose fence stands in the archive is the last one, and it ended in what is recorded."""
    by_fence = {(run.job, run.fence): run for run in runs}
    last = {run.job: run for run in sorted(runs, key=lambda run: run.fence)}
    process = {entry.pid: entry.more["process"] for entry in evidence.entries if entry.what == "up"}
    for kept in evidence.finished:
        if kept.state != "succeeded":
            continue
        run = by_fence.get((kept.job, kept.fence))
        if run is None:
            yield f"job {kept.job} is recorded under the fence {kept.fence}, under which nobody ran it"
        elif run.how != "returned":
            yield f"job {kept.job} has succeeded, but its run ended so: {run.how}"
        elif run is not last[kept.job]:
            yield f"job {kept.job} was recorded by a stale run (fence {kept.fence})"
        elif kept.claimed_by != process.get(run.pid) and not _reborn(evidence, run.pid):
            yield f"job {kept.job} is recorded for process {kept.claimed_by}, and ran in {run.pid}"


def _reborn(evidence: Evidence, pid: int) -> bool:
    """Whether that process may have come back under another number, having been declared dead."""
    return any(
        entry.what == "may be reborn" and entry.more["of"] == pid for entry in evidence.entries
    )


def _attempts_are_right(evidence: Evidence, runs: Sequence[Run]) -> Iterator[str]:
    """Only runs that raised count, and the one that ended it; what was given back does not."""
    raised = Counter(run.job for run in runs if run.how not in ("returned", "killed", None))
    for kept in evidence.finished:
        if len(kept.history) >= HISTORY_KEEPS or kept.job in evidence.edited:
            continue
        stories = Counter(earlier["outcome"] for earlier in kept.history)
        if kept.state == "succeeded" and kept.attempt != stories["failed"] + 1:
            yield (
                f"job {kept.job} has attempt {kept.attempt}, after {stories['failed']} that failed "
                f"({dict(stories)})"
            )
        if stories["failed"] > raised[kept.job]:
            yield f"job {kept.job} has {stories['failed']} failures in its history, and raised {raised[kept.job]} times"
        if kept.crashes > stories["crashed"] + (kept.state == "failed"):
            yield f"job {kept.job} is charged with {kept.crashes} crashes, of which {stories['crashed']} are told"
