"""The status in words: what there is, then what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator

from asyncjobs.job import JobState
from asyncjobs.standalone.status import EXACT, Process, Status

LATE = 10.0  # seconds after which a scheduled job should have become ready


def lines(status: Status) -> Iterator[str]:
    """Tell what there is."""
    server = status.server
    yield f"Postgres {server['version']}, database {server['database']}"
    yield f"schema {status.schema}, at {server['migration']}"
    yield ""
    yield f"{_many(len(status.alive), 'process', 'processes')} alive"
    for process in status.alive:
        yield f"  {_of(process)}"
        for row in status.running:
            if row["claimed_by"] == process.id:
                yield f"      {row['jobs']} x {row['task']}, the oldest for {in_words(row['longest'])}"
    yield ""
    for state in JobState:
        yield f"{state.value:<12}{_count(status.counts[state]):>12}{_more(status, state)}"


def troubles(status: Status) -> Iterator[str]:
    """Tell what is wrong, and what to do."""
    if status.ready and not status.alive:
        yield "Jobs are ready and no process is alive: start your app, or `asyncjobs work module:jobs`."
    elif status.alive:
        yield from _unserved(status)
    if status.alive and all(process.is_draining for process in status.alive):
        yield "All processes that are alive are draining: they take no more jobs."
    for process in status.processes:
        if not process.is_alive and process.running:
            yield (
                f"Process {process.id} ({process.name}) is gone; what it ran "
                f"({_many(process.running, 'job', 'jobs')}) waits to be rescued"
                + (", which takes seconds." if status.alive else " by another.")
            )
    if status.next_due_in is not None and status.next_due_in < -LATE:
        yield f"Scheduled jobs are overdue by {in_words(-status.next_due_in)}: nobody makes them ready."


def _unserved(status: Status) -> Iterator[str]:
    for row in status.ready:
        task, queue = row["task"], row["queue"]
        knowing = [process for process in status.alive if task in process.tasks]
        jobs = _many(row["jobs"], "job", "jobs")
        if not knowing:
            yield (
                f"No living process knows the task {task} ({jobs} ready in queue {queue}): "
                "it was renamed or removed, or its app is not running."
            )
        elif not any(process.serves(queue) for process in knowing):
            yield (
                f"No living process that knows the task {task} serves the queue {queue} ({jobs} ready)."
            )


def _of(process: Process) -> str:
    queues = "all queues" if process.queues is None else ", ".join(sorted(process.queues))
    busy = f"{process.running} of {process.slots} slots busy"
    draining = ", draining" if process.is_draining else ""
    return (
        f"{process.id}  {process.kind}  {process.name}  up {in_words(process.age)}{draining}  "
        f"{busy}  {queues}  asyncjobs {process.version}"
    )


def _more(status: Status, state: JobState) -> str:
    if state is JobState.READY and status.oldest_wait is not None:
        return f"   the oldest has waited for {in_words(status.oldest_wait)}"
    if state is JobState.SCHEDULED and status.next_due_in is not None:
        when = f"in {in_words(status.next_due_in)}" if status.next_due_in > 0 else "now"
        return f"   the next is due {when}, {status.next_task}"
    if state is JobState.FAILED and status.failed_lately:
        return f"   {_count(status.failed_lately)} in the last 24 hours"
    return ""


def _count(number: int) -> str:
    return f"{number:,}" if number <= EXACT else f"over {EXACT:,}"


def _many(number: int, one: str, more: str) -> str:
    return f"{_count(number) if number else 'no'} {one if number == 1 else more}"


def in_words(seconds: float) -> str:
    """Say how long that is, in the largest unit that fits."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
