"""A job in one line of a list, and what is remarkable about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asyncjobs.dashboard.reader import Glance, Row
from asyncjobs.dashboard.values import Tasks, preview
from asyncjobs.dashboard.words import duration
from asyncjobs.job import JobState


@dataclass(frozen=True, slots=True)
class Note:
    """Something remarkable: `tone` is quiet, warning or error."""

    tone: str
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """What a list shows of a job. `moment` is when it did what its state says, or will."""

    id: UUID
    task: str
    queue: str
    priority: int  # 0 when it orders nothing any more
    state: JobState
    attempt: int
    preview: str
    progress: float | None
    notes: tuple[Note, ...]
    moment: datetime
    deed: str
    ran: str


def line(row: Row, glance: Glance, tasks: Tasks) -> Line:
    """Tell a row of a page statement as a line; `tasks`: those that this process knows."""
    state = JobState(row["state"])
    moment, deed = moment_of(row, state)
    return Line(
        id=row["id"],
        task=row["task"],
        queue=row["queue"],
        priority=0 if state.is_final else row["priority"],
        state=state,
        attempt=row["attempt"],
        preview=preview(row, tasks),
        progress=row["progress"] if state is JobState.RUNNING else None,
        notes=tuple(notes(row, state, glance)),
        moment=moment,
        deed=deed,
        ran=duration(ran(row, state)),
    )


def moment_of(row: Row, state: JobState) -> tuple[datetime, str]:
    if state.is_final:
        return row["finished_at"], "finished"
    if state is JobState.RUNNING:
        return row["claimed_at"], "started"
    if state is JobState.SCHEDULED:
        return row["run_at"], "runs not before"
    if state is JobState.READY:
        return max(row["run_at"], row["created_at"]), "ready since"
    return row["created_at"], "created"


def ran(row: Row, state: JobState) -> float | None:
    """Tell how long the job ran, or has been running, in seconds."""
    if state is JobState.RUNNING:
        return float((row["now"] - row["claimed_at"]).total_seconds())
    seconds = row.get("ran")
    return None if seconds is None else float(seconds)


def notes(row: Row, state: JobState, glance: Glance) -> Iterator[Note]:
    error: str | None = row.get("error")
    if error:
        yield Note("error" if state is JobState.FAILED else "quiet", error)
    if state is JobState.RUNNING and row["progress_note"]:
        yield Note("quiet", row["progress_note"])
    if state is JobState.RUNNING and row["cancel_asked_at"] is not None:
        yield Note("warning", "asked to stop")
    if state is JobState.READY and (reason := why_it_waits(row, glance)):
        yield Note("warning", reason)
    if row["crashes"] and not state.is_final:
        yield Note("warning", f"suspect: {crashes(row['crashes'])} while it ran")
    if state is JobState.SCHEDULED and row["attempt"]:
        yield Note("quiet", f"tries again after attempt {row['attempt']}")


def why_it_waits(row: Row, glance: Glance) -> str | None:
    """Tell why nobody can run a ready job; None when somebody can."""
    if not glance.serving:
        return "waits: no process is running"
    if not glance.is_known(row["task"]):
        return f"waits: no running process knows task {row['task']}"
    if not glance.is_served(row["task"], row["queue"]):
        return (
            f"waits: no running process that knows task {row['task']} serves queue {row['queue']}"
        )
    return None


def crashes(count: int) -> str:
    return "1 process died" if count == 1 else f"{count} processes died"
