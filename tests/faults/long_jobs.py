"""Jobs that go on until a gate opens, and what becomes of them when their process is cut off."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from tests.faults.connections import watching
from tests.faults.field import Field
from tests.faults.process import Process
from tests.moments import until_true

RESCUED_WITHIN = 40.0  # seconds, at the very most


async def with_long_jobs(field: Field) -> list[UUID]:
    """Let the one process that there is run some, and start another that looks each second whether it lives."""
    jobs = await field.enqueue("held_by", str(gate(field)), n=5)
    await field.until_began(jobs)
    await watching(field, "other", queues=["default"])
    return jobs


def gate(field: Field) -> Path:
    """Give the file for which they wait."""
    return field.directory / "gate"


async def until_cancelled(
    field: Field, jobs: Sequence[UUID], process: Process, within: float = 30.0
) -> float:
    """Wait until it has cancelled each of these; gives when the last had ended (`time.monotonic()`)."""

    def ended() -> list[float]:
        runs = [run for job in jobs for run in field.runs_of(job) if run.pid == process.pid]
        return [run.ended for run in runs if run.ended is not None and run.how == "CancelledError"]

    await until_true(lambda: len(ended()) == len(jobs), within)
    return max(ended())


async def until_rescued(
    field: Field, jobs: Sequence[UUID], process: Process, number: int | None = None
) -> float:
    """Wait until others have begun each of these, or so many; gives when (`time.monotonic()`)."""

    def began() -> list[float]:
        runs = [run for job in jobs for run in field.runs_of(job) if run.pid != process.pid]
        return [run.began for run in runs]

    await until_true(lambda: len(began()) >= (number or len(jobs)), RESCUED_WITHIN)
    return max(began())
