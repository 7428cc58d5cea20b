"""One process is all there is, as on a single dyno: it is killed, and started again."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import httpx2 as httpx
import pytest

from tests.faults.field import Field, Web
from tests.moments import until_true

CHAPTER = "02 The only web process is killed and restarted"
EACH_BY_ITSELF = True

WITHIN = (
    2.0  # seconds from the new process being up to the last of its jobs running again: a promise
)

LAST = "seconds from a restarted web process being up to the last of its former jobs running again"

# Where the new process comes up; on another machine it cannot see that its predecessor is gone.
PLACES = pytest.mark.parametrize("place", ["on the same machine", "on another machine"])


@PLACES
async def test_in_mid_job(field: Field, place: str) -> None:
    gate = field.directory / "gate"
    web = await field.web(environment={"FAULTS_MACHINE": "first"})
    jobs = [await enqueue(field, web, "held_by", str(gate)) for _ in range(5)]
    jobs += [await enqueue(field, web, "thread_held_by", str(gate)) for _ in range(5)]
    await field.until_began(jobs)

    await field.kill(web)

    await again_in_time(field, await restarted(field, place), jobs)
    gate.touch()


async def test_in_mid_job_again_and_again(field: Field) -> None:
    # As often as a job may be there: the next death would be one too many.
    gate = field.directory / "gate"
    web = await field.web()
    jobs = [await enqueue(field, web, "held_by", str(gate))]
    await field.until_began(jobs)

    for _ in range(2):
        await field.kill(web)
        web = await field.web()
        await again_in_time(field, web, jobs)
    gate.touch()


@PLACES
async def test_under_load(field: Field, place: str) -> None:
    web = await field.web(environment={"FAULTS_MACHINE": "first"})
    async with field.load("steady", 0.3):
        await field.until_runs(20)
        await field.until_in_mid_job(web)
        await field.kill(web)
        hit = [run.job for run in field.runs() if run.how == "killed"]
        assert hit
        await again_in_time(field, await restarted(field, place), hit)


@pytest.mark.parametrize("moment", ["after-claim", "after-direct-start", "before-finish"])
async def test_at_the_worst_moment(field: Field, moment: str) -> None:
    web = await field.web(environment={"FAULTS_DIE": moment, "FAULTS_MACHINE": "first"})
    if moment == "after-direct-start":
        field.in_doubt += 1
        with pytest.raises(httpx.HTTPError):
            await web.post("/enqueue/steady", [0.1])
    else:
        await field.enqueue("steady", 0.1, n=10)
    await field.until_dead(web)
    [death] = field.entries("dies")
    hit = {UUID(job) for job in death.more["jobs"]} | {run.job for run in field.runs()}

    await again_in_time(field, await restarted(field, "on another machine"), hit)


async def enqueue(field: Field, web: Web, task: str, *arguments: object) -> str:
    """Let the web process itself store a job, as a request does."""
    answer = await web.post(f"/enqueue/{task}", arguments)
    job: str = answer.json()["id"]
    field.note_stored(job)
    return job


async def restarted(field: Field, place: str) -> Web:
    """Start the web process again."""
    machine = "first" if place == "on the same machine" else "second"
    return await field.web("again", environment={"FAULTS_MACHINE": machine})


async def again_in_time(field: Field, web: Web, jobs: Iterable[object]) -> None:
    """Wait until each of these has begun in the new process, and see that none waited for long."""
    [up] = field.entries("up", pid=web.pid)
    wanted = {str(job) for job in jobs}

    def begins() -> dict[str | None, float]:
        began = field.entries("began", pid=web.pid)
        return {entry.job: entry.at for entry in reversed(began) if entry.job in wanted}

    await until_true(lambda: begins().keys() == wanted)
    last = max(begins().values()) - up.at
    longest = field.figures.notes.get(LAST, last)
    field.figures.notes[LAST] = max(last, longest)
    assert last < WITHIN
