"""Jobs that end the whole process they run in, and what becomes of those beside them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest

from tests.faults.field import Field
from tests.moments import until_true

CHAPTER = "08 A job kills its process"
EACH_BY_ITSELF = True

# How it does so. `memory` takes all that the process may have (a limit on its address space), and then ends as
# the kernel ends whoever has run out of it, by SIGKILL.
HOW = pytest.mark.parametrize(
    "how", ["segfault", "memory", pytest.param("exit", marks=pytest.mark.full)]
)

MAX_CRASHES = 3  # the default


@HOW
async def test_under_a_supervisor(field: Field, how: str) -> None:
    supervisor = await field.worker("supervisor", processes=2)
    supervisor.allow("starts again in")  # it says so of each worker that died
    beside = await neighbours(field)

    [guilty] = await field.enqueue("deadly", how)
    await until_deaths(field, guilty, 2)
    (field.directory / "gate").touch()

    await has_failed(field, guilty)
    await are_spared(field, beside)


@HOW
async def test_in_the_only_web_process(field: Field, how: str) -> None:
    web = await field.web()
    beside = await neighbours(field)

    [guilty] = await field.enqueue("deadly", how)
    for deaths in range(1, MAX_CRASHES + 1):
        await until_deaths(field, guilty, deaths)
        await field.until_dead(web)
        if deaths == 2:
            (field.directory / "gate").touch()
        web = await field.web("again")

    await has_failed(field, guilty)
    await are_spared(field, beside)


async def test_many_of_them_among_many_others(field: Field) -> None:
    field.finished_within = 120
    supervisor = await field.worker("supervisor", processes=2)
    supervisor.allow("starts again in")
    number = int(field.seconds(full=3, short=1))
    async with field.load("steady", 0.1, every=0.05):
        guilty = await field.enqueue("deadly", "exit", n=number)
        # Those that run side by side are charged with each other's deaths, so not each has three of its own.
        field.expect(guilty, "failed")
        await field.until_finished(guilty, within=100)

    for each in guilty:
        await has_failed(field, each)
    beside = {run.job for run in field.runs()} - {str(job) for job in guilty}
    await are_spared(field, [UUID(job) for job in beside])


@pytest.mark.full
async def test_a_job_that_takes_all_memory_and_lives(field: Field) -> None:
    # Nobody can say whom the lack of memory hits. Whatever fails for it starts again.
    supervisor = await field.worker("supervisor", processes=1)
    supervisor.allow("")
    async with field.load("steady", 0.05):
        await field.until_runs(20)
        [guilty] = await field.enqueue("hungry", 1.5)
        field.expect([guilty], "failed")
        await field.until_finished([guilty])
        await field.until_runs(len(field.entries("ended")) + 50)

    rows = await field.look("select error from asyncjobs.finished where id = $1", guilty)
    assert rows[0]["error"].startswith("MemoryError")


async def neighbours(field: Field) -> list[UUID]:
    """Let others run beside it: some for long, until the gate is there, and many short ones."""
    long = await field.enqueue("held_by", str(field.directory / "gate"), n=4)
    short = await field.enqueue("steady", 0.2, n=20)
    await field.until_began(long)
    return [*long, *short]


async def until_deaths(field: Field, job: object, number: int) -> None:
    """Wait until so many processes have died of it."""

    def deaths() -> int:
        pids = {entry.pid for entry in field.entries("dies")}
        return len({run.pid for run in field.runs_of(job)} & pids)

    await until_true(lambda: deaths() >= number, within=40)


async def has_failed(field: Field, job: UUID) -> None:
    """See that it is found out, and what is said of it."""
    field.expect([job], "failed")
    await field.until_finished([job])
    say = "select state, crashes, attempt, error from asyncjobs.finished where id = $1"
    [row] = await field.look(say, job)
    assert (row["state"], row["crashes"]) == ("failed", MAX_CRASHES)
    assert row["error"].startswith("ProcessDied: 3 processes died while running it")


async def are_spared(field: Field, jobs: Sequence[UUID]) -> None:
    """See that these have succeeded in their first attempt, and may only show that they were suspects."""
    await field.until_finished(jobs)
    say = (
        "select state, attempt, crashes, history::text from asyncjobs.finished where id = any ($1)"
    )
    rows = await field.look(say, jobs)
    assert len(rows) == len(jobs)
    assert {(row["state"], row["attempt"]) for row in rows} == {("succeeded", 1)}
    assert max(row["crashes"] for row in rows) < MAX_CRASHES
