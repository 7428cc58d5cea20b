"""The processes: who lives, who is gone, and who is of another version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asyncjobs.checkup.finding import Finding, advice, well, wrong
from asyncjobs.checkup.look import Look, Row

MOST = 10_000


@dataclass(frozen=True, slots=True)
class Process:
    """An executor that has not ended, as far as anybody knows."""

    id: int
    name: str
    kind: str
    version: str
    slots: int
    queues: frozenset[str] | None
    tasks: frozenset[str]
    running: int
    age: float
    is_draining: bool
    is_alive: bool  # by its lock, or by a lease

    def serves(self, queue: str) -> bool:
        """Whether it takes jobs of this queue."""
        return self.queues is None or queue in self.queues


async def processes_of(look: Look) -> list[Process]:
    """List those that have not ended, the oldest first."""
    return [_process(row) for row in await look.rows("processes", MOST)]


async def processes(look: Look) -> list[Finding]:
    """Tell what is wrong with them."""
    found = await processes_of(look)
    alive = sum(process.is_alive for process in found)
    words = f"{alive} {'is' if alive == 1 else 'are'} alive."
    return [*unwell(found)] or [well("processes", words)]


def unwell(processes: Sequence[Process]) -> Iterator[Finding]:
    """Judge them."""
    alive = [process for process in processes if process.is_alive]
    if alive and all(process.is_draining for process in alive):
        yield wrong(
            "processes",
            "All processes that are alive are draining: they take no more jobs.",
            "Start others.",
        )
    for process in processes:
        if not process.is_alive and process.running:
            jobs = f"{process.running:,} {'job' if process.running == 1 else 'jobs'}"
            how = "which takes seconds." if alive else "by another."
            yield wrong(
                "processes",
                f"Process {process.id} ({process.name}) is gone; what it ran ({jobs}) waits to be rescued"
                + (f", {how}" if alive else f" {how}"),
                "" if alive else "Start one.",
            )
        elif not process.is_alive and alive:
            words = f"Process {process.id} ({process.name}) is silent, and runs nothing."
            yield advice("processes", words, "The others find it dead within half a minute.")
    versions = sorted({process.version for process in alive})
    if len(versions) > 1:
        yield advice(
            "processes",
            f"Processes of several versions are alive: asyncjobs {', '.join(versions)}.",
            "While you deploy that is as it should be, and otherwise somebody was left behind.",
        )


def _process(row: Row) -> Process:
    return Process(
        id=row["id"],
        name=row["name"],
        kind=row["kind"],
        version=row["version"],
        slots=row["slots"],
        queues=None if row["queues"] is None else frozenset(row["queues"]),
        tasks=frozenset(row["tasks"]),
        running=row["running"],
        age=row["age"],
        is_draining=row["draining"],
        is_alive=row["is_alive"] or row["is_leased"],
    )
