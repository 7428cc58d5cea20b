"""The story of one job: its attempts, and a drawing of when it waited and when it ran."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from asyncjobs.dashboard.lines import Note, crashes, ran, why_it_waits
from asyncjobs.dashboard.reader import Glance, Row
from asyncjobs.dashboard.words import ago, duration
from asyncjobs.job import JobState, read_history

WIDTH = 1000.0  # of the drawing, in its own units
NARROWEST = 5.0  # a run of milliseconds in a life of days is seen all the same


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run, as the page tells it. `is_current` says that it goes on, or was the last."""

    number: int
    outcome: str
    started_at: datetime | None
    waited: float | None
    ran: float | None
    process: str | None
    error: str | None = None
    traceback: str | None = None
    is_current: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A run in the drawing."""

    x: float
    width: float
    outcome: str
    words: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """The last error, whichever attempt it came from."""

    error: str
    traceback: str | None


@dataclass(frozen=True, slots=True)
class Story:
    """All that a job's page tells beside the columns of its row."""

    state: JobState
    notes: tuple[Note, ...]
    attempts: tuple[Attempt, ...]  # latest first
    current: Attempt | None
    bars: tuple[Bar, ...]
    lasted: str
    trouble: Trouble | None
    can_retry: bool
    can_cancel: bool
    can_delete: bool


def tell(row: Row, glance: Glance) -> Story:
    """Tell the row of `job.sql`."""
    state = JobState(row["state"])
    going_on = current(row, state)
    attempts = (*earlier(row), *([going_on] if going_on else []))
    end: datetime = row["finished_at"] or row["now"]
    return Story(
        state=state,
        notes=tuple(notes(row, state, glance)),
        attempts=attempts[::-1],
        current=going_on,
        bars=tuple(bars(attempts, row["created_at"], end)),
        lasted=duration((end - row["created_at"]).total_seconds()),
        trouble=trouble(row, state, attempts),
        can_retry=state in (JobState.FAILED, JobState.CANCELLED, JobState.SCHEDULED),
        can_cancel=not state.is_final,
        can_delete=state is not JobState.RUNNING,
    )


def earlier(row: Row) -> Iterator[Attempt]:
    names = process_names(row)
    for past in read_history(row["history"]):
        yield Attempt(
            number=past.attempt,
            outcome=past.outcome,
            started_at=past.started_at,
            waited=past.waited,
            ran=past.ran,
            process=named(names, past.process),
            error=past.error,
            traceback=past.traceback,
        )


def current(row: Row, state: JobState) -> Attempt | None:
    """Tell the attempt that lies in the row's own columns, if there is one."""
    if row["claimed_at"] is None or not (state is JobState.RUNNING or state.is_final):
        return None
    return Attempt(
        number=row["attempt"],
        outcome=state.value,
        started_at=row["claimed_at"],
        waited=max((row["claimed_at"] - row["run_at"]).total_seconds(), 0.0),
        ran=ran(row, state),
        process=named(process_names(row), row["claimed_by"]),
        error=row["error"],
        is_current=True,
    )


def process_names(row: Row) -> Mapping[str, str]:
    names: Mapping[str, str] = json.loads(row["processes"] or "{}")
    return names


def named(names: Mapping[str, str], process: int | None) -> str | None:
    return None if process is None else names.get(str(process), f"process {process}")


def trouble(row: Row, state: JobState, attempts: tuple[Attempt, ...]) -> Trouble | None:
    """Tell the error of a failed job, or what an unfinished one is being tried again for."""
    if state is JobState.FAILED and row["error"]:
        return Trouble(row["error"], row["traceback"])
    if state.is_final:
        return None
    last = next((attempt for attempt in reversed(attempts) if attempt.error), None)
    return Trouble(last.error, last.traceback) if last is not None and last.error else None


def notes(row: Row, state: JobState, glance: Glance) -> Iterator[Note]:
    if state is JobState.READY and (reason := why_it_waits(row, glance)):
        yield Note("warning", reason[:1].upper() + reason[1:] + ".")
    if row["crashes"] and not state.is_final:
        yield Note(
            "warning",
            f"Suspect: {crashes(row['crashes'])} while running this job. From its second crash on it runs with "
            "no other suspect beside it, and after too many the job fails.",
        )
    if state is JobState.RUNNING and row["cancel_asked_at"] is not None:
        yield Note(
            "warning",
            f"Asked to stop {ago(row['cancel_asked_at'], row['now'])}. It ends as cancelled when it obeys; "
            "a plain function has to look at current_job().cancelled.",
        )
    if state is JobState.CANCELLED and row["error"]:
        yield Note("quiet", row["error"])
    if state is JobState.HELD:
        yield Note("quiet", "Held: it may not start yet.")


def bars(attempts: tuple[Attempt, ...], begin: datetime, end: datetime) -> Iterator[Bar]:
    """Draw the runs on a line from the job's creation to its end, or to now."""
    whole = (end - begin).total_seconds()
    if whole <= 0:
        return
    for attempt in attempts:
        if attempt.started_at is None:
            continue
        seconds = attempt.ran if attempt.ran is not None else 0.0
        x = share(attempt.started_at - begin, whole)
        width = max(share(timedelta(seconds=seconds), whole), NARROWEST)
        words = f"attempt {attempt.number}: {attempt.outcome}"
        yield Bar(
            x=round(min(x, WIDTH - width), 1),
            width=round(width, 1),
            outcome=attempt.outcome,
            words=words + (f", ran {duration(attempt.ran)}" if attempt.ran is not None else ""),
        )


def share(part: timedelta, whole: float) -> float:
    return min(max(part.total_seconds() / whole * WIDTH, 0.0), WIDTH)
