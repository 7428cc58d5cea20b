"""kill -9, and what becomes of the jobs of whoever was killed."""

from __future__ import annotations

from tests.faults.field import Field

CHAPTER = "01 Processes are killed (kill -9)"


async def test_a_worker_in_mid_job_while_another_lives(field: Field) -> None:
    victim = await field.worker("victim", slots=10)
    gate = field.directory / "gate"
    jobs = await field.enqueue("held_by", str(gate), n=10)
    await field.until_began(jobs)
    await field.worker("survivor", slots=10)

    await field.kill(victim)
    gate.touch()

    await field.until_finished(jobs)
