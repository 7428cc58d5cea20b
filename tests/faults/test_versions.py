"""Rolling deploys: two versions of us on one schema, and two versions of an app with tasks of other names."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.command import run
from tests.faults import crew
from tests.faults.field import Field
from tests.faults.plugin import Fields
from tests.faults.process import CHECKOUT, Process

CHAPTER = "12 Two versions side by side"
PREVIOUS = "72cecb8"  # the last commit whose only migration was the first


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a directory with the code of before, out of the history of this checkout."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("the code of before is in git, and there is none")
    packed = subprocess.run(
        [git, "archive", PREVIOUS, "asyncjobs"], cwd=CHECKOUT, capture_output=True, check=False
    )
    if packed.returncode:
        pytest.skip(f"the code of before is not in this checkout: {packed.stderr.decode()}")
    directory = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(directory, filter="data")
    return directory


async def old_worker(field: Field, previous: Path, name: str = "old") -> Process:
    """Start a worker that runs the code of before."""
    command = [sys.executable, "-P", "-m", "asyncjobs", "work", "tests.faults.crew:jobs"]
    path = f"{previous}:{CHECKOUT}"
    process = await field.start(name, command, environment={"PYTHONPATH": path})
    await field.until_up(process)
    return process


async def migrate(dsn: str, environment: dict[str, str] | None = None) -> None:
    code, said = await run("migrate", "--dsn", dsn, environment=environment)
    assert code == 0, said


async def migrate_as_before(dsn: str, previous: Path) -> None:
    command = [sys.executable, "-P", "-m", "asyncjobs", "migrate", "--dsn", dsn]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(previous)}, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


async def migrations(field: Field) -> int:
    [row] = await field.look("select count(*) as done from asyncjobs.migration")
    done: int = row["done"]
    return done


async def test_a_deploy_that_migrates_under_load_and_replaces_the_processes(
    fields: Fields, empty_database: str, previous: Path
) -> None:
    await migrate_as_before(empty_database, previous)
    async with fields(empty_database) as field:
        old = await old_worker(field, previous)
        before = await migrations(field)
        await field.until_finished(await store_as_before(field, previous, 20))

        storing = await store_as_before(field, previous, 200, "steady")
        await migrate(empty_database)
        assert await migrations(field) > before
        await field.worker("new")
        async with field.load():
            await field.until_finished(storing)
            await field.stop(old)
            await field.until_runs(300)


async def test_a_deploy_that_is_taken_back(
    fields: Fields, empty_database: str, previous: Path
) -> None:
    await migrate(empty_database)
    async with fields(empty_database) as field:
        new = await field.worker("new")
        async with field.load():
            await field.until_runs(50)
            await old_worker(field, previous)
            await field.stop(new)
            await field.until_runs(150)


async def test_a_process_killed_in_mid_job_is_rescued_by_one_of_the_other_version(
    fields: Fields, empty_database: str, previous: Path
) -> None:
    await migrate(empty_database)
    async with fields(empty_database) as field:
        gate = field.directory / "gate"
        old = await old_worker(field, previous)
        jobs = await field.enqueue("held_by", str(gate))
        await field.until_began(jobs)
        new = await field.worker("new")
        await field.kill(old)
        again = await field.until_began_again(jobs)
        await old_worker(field, previous, "old, again")
        await field.kill(new)
        await field.until_began_again(jobs, since=again)
        gate.touch()


async def test_new_code_on_the_schema_of_before_says_what_to_do_and_harms_nothing(
    fields: Fields, empty_database: str, previous: Path
) -> None:
    await migrate_as_before(empty_database, previous)
    async with fields(empty_database) as field:
        await old_worker(field, previous)
        await field.until_finished(await store_as_before(field, previous, 20))
        hasty = await field.start(
            "new, too early", [sys.executable, "-m", "asyncjobs", "work", "tests.faults.crew:jobs"]
        )
        assert await hasty.ended() == 1
        assert "asyncjobs migrate" in hasty.said
        hasty.was_killed = True
        await field.until_finished(await store_as_before(field, previous, 20))

        await migrate(empty_database)
        await field.worker("new, in time")
        await field.enqueue("steady", n=20)


async def store_as_before(field: Field, previous: Path, n: int, task: str = "steady") -> list[str]:
    """Store jobs with the code of before: the desk of the field is of today."""
    code = (
        "import asyncio, sys; from tests.faults import crew\n"
        "async def main():\n"
        "    jobs = crew.make(sys.argv[1])\n"
        "    async with jobs.connected():\n"
        "        task = jobs.tasks[sys.argv[2]]\n"
        "        for job in await jobs.enqueue_many([task.job() for _ in range(int(sys.argv[3]))]):\n"
        "            print(job.id)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, field.dsn, crew.named(task), str(n)],
        env={"PYTHONPATH": f"{previous}:{CHECKOUT}"}, check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    ids = done.stdout.decode().split()
    for id in ids:
        field.note_stored(id)
    return ids


async def test_a_task_that_was_renamed_runs_under_each_name_where_it_is_known(field: Field) -> None:
    before = await field.worker("before", environment={"FAULTS_RENAMED": "before"})
    after = await field.worker("after", environment={"FAULTS_RENAMED": "after"})
    for each in (before, after):
        each.allow("does not know; it waits for one that does")

    old = await field.enqueue_named("app.before", n=100)
    new = await field.enqueue_named("app.after", n=100)
    await field.until_finished()

    ran = {entry.job: entry.pid for entry in field.entries("began")}
    assert {ran[str(job)] for job in old} == {before.pid}
    assert {ran[str(job)] for job in new} == {after.pid}


async def test_jobs_of_a_task_that_was_removed_wait_and_are_named(field: Field) -> None:
    before = await field.worker("before", environment={"FAULTS_RENAMED": "before"})
    await field.until_finished(await field.enqueue_named("app.before", n=10))
    await field.stop(before)
    removed = await field.enqueue_named("app.before", n=10)
    field.leave(removed)
    await field.worker("after", environment={"FAULTS_RENAMED": "after"})
    await field.enqueue("steady", n=50)
    await field.until_finished()

    code, said = await run("status", "--dsn", field.dsn)

    assert code == 1
    assert "No living process knows the task app.before (10 jobs ready in queue default)" in said
    states = await field.look("select distinct state, attempt, crashes from asyncjobs.job")
    assert [tuple(row) for row in states] == [("ready", 0, 0)]
