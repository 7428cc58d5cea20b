"""The work: is there any that nobody does?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from asyncjobs.checkup.finding import Finding, well, wrong
from asyncjobs.checkup.look import Look, Row
from asyncjobs.checkup.processes import Process, processes_of
from asyncjobs.health import in_words

HEAD = 1_000  # ready jobs of each queue whose tasks are looked at
LATE = 10.0  # seconds after which a scheduled job should have become ready


async def work(look: Look) -> list[Finding]:
    """Tell what nobody does."""
    processes = await processes_of(look)
    ready = await look.rows("ready_tasks", HEAD)
    scheduled = await look.rows("next_scheduled")
    found = [*undone(processes, ready, scheduled[0]["due_in"] if scheduled else None)]
    return found or [well("work", "Whatever is ready has somebody who can run it.")]


def undone(
    processes: Sequence[Process], ready: Sequence[Row], next_due_in: float | None
) -> Iterator[Finding]:
    """Judge it; `next_due_in` in seconds, None when nothing is scheduled."""
    alive = [process for process in processes if process.is_alive]
    if ready and not alive:
        yield wrong(
            "work",
            "Jobs are ready and no process is alive:",
            "start your app, or `asyncjobs work module:jobs`.",
        )
    elif alive:
        yield from _unserved(alive, ready)
    if next_due_in is not None and next_due_in < -LATE:
        words = f"Scheduled jobs are overdue by {in_words(-next_due_in)}: nobody makes them ready."
        yield wrong("work", words, "" if alive else "Start a process that runs jobs.")


def _unserved(alive: Sequence[Process], ready: Sequence[Row]) -> Iterator[Finding]:
    for row in ready:
        task, queue = row["task"], row["queue"]
        knowing = [process for process in alive if task in process.tasks]
        jobs = f"{row['jobs']:,} {'job' if row['jobs'] == 1 else 'jobs'}"
        if not knowing:
            yield wrong(
                "work",
                f"No living process knows the task {task} ({jobs} ready in queue {queue}):",
                "it was renamed or removed, or its app is not running.",
            )
        elif not any(process.serves(queue) for process in knowing):
            yield wrong(
                "work",
                f"No living process that knows the task {task} serves the queue {queue} ({jobs} ready).",
                "Serve it somewhere: Jobs(queues=…), or `asyncjobs work --queues`.",
            )
