"""kill -9, and what becomes of the jobs of whoever was killed."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest

from tests.faults.field import Field
from tests.faults.figures import at_95
from tests.faults.process import Process

CHAPTER = "01 Processes are killed (kill -9)"

# Another machine, as far as anybody can tell: the survivor has no proof of the death but the lock.
ELSEWHERE = {"FAULTS_MACHINE": "elsewhere"}


async def test_a_worker_in_mid_job_while_another_lives(field: Field) -> None:
    victim = await field.worker("victim", environment=ELSEWHERE)
    gate = field.directory / "gate"
    jobs = await field.enqueue("held_by", str(gate), n=10)
    await field.until_began(jobs)
    await field.worker("survivor")

    await field.kill(victim)

    await field.until_began_again(jobs, within=5)
    gate.touch()


async def test_an_idle_worker(field: Field) -> None:
    survivor = await field.worker("survivor")
    victim = await field.worker("victim")

    await field.kill(victim)
    jobs = await field.enqueue("steady", n=50)

    await field.until_finished(jobs, within=5)
    assert {run.pid for run in field.runs()} == {survivor.pid}


async def test_a_worker_between_claim_and_start(field: Field) -> None:
    await dies_and_is_rescued(field, "after-claim")


async def test_a_worker_between_the_return_of_functions_and_their_finish(field: Field) -> None:
    await dies_and_is_rescued(field, "before-finish")


async def test_a_worker_between_a_finish_and_its_answer(field: Field) -> None:
    hit = await dies_and_is_rescued(field, "after-finish")

    assert all(len(field.runs_of(job)) == 1 for job in hit)


async def dies_and_is_rescued(field: Field, moment: str) -> list[str]:
    """Let a worker die then, beside one that has been at rest; gives the jobs that the death hit."""
    await field.worker("survivor", slots=2)
    victim = await field.worker("victim", environment={**ELSEWHERE, "FAULTS_DIE": moment})
    await field.lasts(full=6, short=0)  # until nobody looks because somebody is new

    jobs = await field.enqueue("steady", 0.1, n=30)
    await field.until_dead(victim)

    await field.until_finished(jobs)
    [death] = field.entries("dies")
    hit: list[str] = death.more["jobs"]
    assert hit
    return hit


async def test_a_web_process_between_a_direct_start_and_its_run(field: Field) -> None:
    # Nobody else has heard of the job, and its process had no time to say that it is at work. Whoever is new
    # looks at once; among those that have been here for long it is the safety poll that finds it.
    await field.worker("survivor", queues=["mail", "default"])
    victim = await field.web(
        "victim", environment={**ELSEWHERE, "FAULTS_DIE": "after-direct-start"}
    )
    await field.lasts(full=6, short=0)

    field.in_doubt += 1
    with pytest.raises(httpx.HTTPError):
        await victim.post("/enqueue/steady", [0.1])
    await field.until_dead(victim)

    [death] = field.entries("dies")
    await field.until_began([UUID(job) for job in death.more["jobs"]], within=40)


async def test_one_of_four_web_workers(field: Field) -> None:
    web = await field.web(workers=4, slots=5)
    gate = field.directory / "gate"
    jobs = await field.enqueue("held_by", str(gate), n=20)
    await field.until_began(jobs)
    victim = field.pids_of(web)[0]

    await field.kill_pid(victim)
    await field.until_up(web, 5)  # uvicorn starts another

    await field.until_began_again([run.job for run in field.runs() if run.pid == victim])
    gate.touch()


async def test_the_supervisor(field: Field) -> None:
    supervisor = await field.worker("supervisor", processes=2, slots=5, drain=0.2)
    gate = field.directory / "gate"
    jobs = await field.enqueue("held_by", str(gate), n=10)
    await field.until_began(jobs)
    workers = field.pids_of(supervisor)

    await field.kill(supervisor)
    await field.until_gone(*workers, within=10)

    rows = await field.look("select state, attempt, crashes from asyncjobs.job")
    assert {tuple(row) for row in rows} == {("ready", 0, 0)}
    gate.touch()
    await field.worker("next")


async def test_every_process_at_once(field: Field) -> None:
    workers = await several(field, 3, "first")
    gate = field.directory / "gate"
    jobs = await field.enqueue("held_by", str(gate), n=30)
    await field.until_began(jobs)

    await field.kill(*workers)
    await several(field, 3, "second")

    await field.until_began_again(jobs)
    gate.touch()


async def test_again_and_again_every_second_under_load(field: Field) -> None:
    field.finished_within = 90
    # Whoever is hit by dozens of kills has not killed anybody.
    workers = await several(field, 3, "worker", max_crashes=1000)
    async with field.load("steady", 0.3, every=0.05):
        for number in range(int(field.seconds(full=60, short=5))):
            victim = workers.pop(field.random.randrange(len(workers)))
            await field.kill(victim)
            workers.append(await field.worker(f"new {number}", wait=False, max_crashes=1000))
            await field.lasts(1)
    for worker in workers:
        await field.until_up(worker)


async def test_a_worker_with_many_short_jobs_while_one_elsewhere_lives(field: Field) -> None:
    victim = await field.worker("victim", environment=ELSEWHERE)
    await field.worker("survivor")
    async with field.load("steady", 0.2):
        await field.lasts(full=8, short=2)  # in the full form nobody is new here any more
        await field.until_in_mid_job(victim)
        began = time.monotonic()
        await field.kill(victim)
        hit = [run.job for run in field.runs() if run.pid == victim.pid and run.how == "killed"]
        assert await field.until_began_again(hit) - began < 4


@pytest.mark.full
async def test_forty_workers_while_one_elsewhere_lives(field: Field) -> None:
    await field.worker("survivor")

    took = [each for number in range(4) for each in await ten_killed(field, number)]

    assert len(took) == 400
    assert at_95(took) < 3


async def ten_killed(field: Field, number: int) -> list[float]:
    """Kill ten, each with ten jobs, at random moments; gives the time to the next begin of each job."""
    busy = field.directory / f"the survivor {number}"
    gates = [field.directory / f"victim {number} {each}" for each in range(10)]
    # The survivor has its hands full until the victims have their jobs, and then none of its own.
    own = await field.enqueue("held_by", str(busy), n=10)
    await field.until_began(own)
    victims = await asyncio.gather(
        *(field.worker(gate.name, environment=ELSEWHERE, queues=[gate.name]) for gate in gates)
    )
    jobs = [await field.enqueue("held_by", str(gate), n=10, queue=gate.name) for gate in gates]
    await field.until_began(itertools.chain(*jobs))
    busy.touch()
    await field.until_finished(own)

    took: list[float] = []
    for victim, gate, those in zip(victims, gates, jobs, strict=True):
        await field.lasts(field.random.random())
        at = time.monotonic()
        await field.kill(victim)
        gate.touch()
        await field.until_began_again(those)
        took += [max(run.began for run in field.runs_of(job)) - at for job in those]
    return took


@pytest.mark.full
async def test_nobody_and_what_watching_costs(field: Field) -> None:
    resting = await field.worker("resting", queues=["default"], environment={"FAULTS_COUNT": "1"})
    await field.lasts(45)  # until it has got over being new
    at_rest = await per_minute(field, resting, seconds=60)

    gate = field.directory / "gate"
    working = await field.worker("working", queues=["own"], environment={"FAULTS_COUNT": "1"})
    jobs = await field.enqueue("held_by", str(gate), queue="own")
    await field.until_began(jobs)
    watching, at_work = await asyncio.gather(
        *(per_minute(field, process, seconds=30) for process in (resting, working))
    )
    gate.touch()

    field.figures.notes = {
        "statements a minute: a process at rest": at_rest,
        "statements a minute: one that watches another at work": watching,
        "statements a minute: one that runs one long job": at_work,
    }
    assert at_rest <= 4
    assert watching <= 70


async def per_minute(field: Field, process: Process, seconds: float) -> float:
    """Count the statements that it sends to Postgres."""
    before = len(field.entries("sent", pid=process.pid))
    await field.lasts(seconds)
    return (len(field.entries("sent", pid=process.pid)) - before) * 60 / seconds


async def several(field: Field, number: int, name: str, **more: Any) -> list[Process]:
    """Start so many workers at once."""
    return await asyncio.gather(
        *(field.worker(f"{name} {each}", **more) for each in range(1, number + 1))
    )
