"""Rows, results and exceptions that a job system would rather not see, among jobs that must not suffer by them."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from tests.faults import crew
from tests.faults.field import Field
from tests.moments import until

CHAPTER = "09 Poison"

IMPOSSIBLE = {
    "a word for a number": {"seconds": "no number"},
    "no object": [1, 2],
    "nothing": None,
    "a parameter too many": {"seconds": 0.01, "hours": 3},
    "a number as text in a list": {"seconds": ["0.01"]},
}


async def by_hand(field: Field, task: str, arguments: object) -> UUID:
    """Store a job as psql would."""
    [row] = await field.look(
        "select asyncjobs.enqueue($1, $2::jsonb) as id", task, json.dumps(arguments)
    )
    job: UUID = row["id"]
    field.note_stored(job)
    return job


async def error_of(field: Field, job: UUID) -> tuple[str, int, int]:
    [row] = await field.look(
        "select error, attempt, length(traceback) as long from asyncjobs.finished where id = $1",
        job,
    )
    return row["error"], row["attempt"], row["long"] or 0


async def test_arguments_that_do_not_parse(field: Field) -> None:
    bad = [await by_hand(field, crew.named("steady"), each) for each in IMPOSSIBLE.values()]
    field.expect(bad, "failed")
    await field.enqueue("steady", n=50)

    await field.worker()
    await field.until_finished()

    for job in bad:
        error, attempt, _ = await error_of(field, job)
        assert error.startswith("ArgumentsDoNotFit"), error
        assert attempt == 1


async def test_a_task_that_no_process_knows(field: Field) -> None:
    strange = [await by_hand(field, "of.another.app", {}) for _ in range(200)]
    field.leave(strange)
    worker = await field.worker()
    worker.allow("is of task 'of.another.app'")

    await field.enqueue("steady", n=100)
    await field.until_finished()

    rows = await field.look("select distinct state, attempt, crashes from asyncjobs.job")
    assert [tuple(row) for row in rows] == [("ready", 0, 0)]


@pytest.mark.parametrize(
    ("edit", "again"),
    [
        ("state = 'ready', claimed_by = null", True),
        ("fence = fence + 1", True),
        ("claimed_by = 4711", True),
        ("attempt = 99, crashes = 0, priority = 5", False),
        ("arguments = '{}', queue = 'elsewhere'", False),
    ],
    ids=["made ready", "another fence", "another owner", "other counts", "other arguments"],
)
async def test_a_running_row_edited_by_hand(field: Field, edit: str, again: bool) -> None:
    field.may_overlap = "somebody changes in psql whose the job is"
    await field.worker("first", slots=1)
    gate = field.directory / "gate"
    [job] = await field.enqueue("held_by", str(gate))
    await field.until_began([job])
    await field.worker("second", slots=1)

    field.edited.add(str(job))
    await field.look(f"update asyncjobs.job set {edit} where id = $1", job)
    if again:
        await until(lambda: _is_run_again(field, job))
    gate.touch()
    await field.until_finished()

    runs = [run for run in field.runs() if run.job == str(job)]
    assert len(runs) == 1 + again


async def _is_run_again(field: Field, job: UUID) -> bool:
    return len([each for each in field.entries("began") if each.job == str(job)]) > 1


async def test_results_that_cannot_be_stored(field: Field) -> None:
    kinds = ["an object", "a surrogate", "a nul", "too much", "itself"]
    bad = [job for kind in kinds for job in await field.enqueue("returns", kind)]
    field.expect(bad, "failed")
    await field.enqueue("steady", n=50)

    await field.worker()
    await field.until_finished()

    for job in bad:
        error, attempt, _ = await error_of(field, job)
        assert error.startswith("ResultNotStorable"), error
        assert attempt == 1


async def test_exceptions_that_others_let_through(field: Field) -> None:
    kinds = {
        "unspeakable": "Unspeakable: <its str() raised RuntimeError>",
        "base exception": "Beyond: through every except Exception",
        "system exit": "SystemExit: 3",
        "keyboard interrupt": "KeyboardInterrupt",
        "generator exit": "GeneratorExit",
        "group": "BaseExceptionGroup: several (2 sub-exceptions)",
        "cancelled": "CancelledError",
        "a megabyte": "ValueError: ",
    }
    bad = {kind: (await field.enqueue("raises", kind))[0] for kind in kinds}
    threads = [
        job
        for kind in ("system exit", "stop iteration", "base exception")
        for job in await field.enqueue("raises_in_a_thread", kind)
    ]
    deep = await field.enqueue("recurses")
    field.expect([*bad.values(), *threads, *deep], "failed")
    await field.enqueue("steady", n=50)
    worker = await field.worker()

    await field.until_finished()

    for kind, words in kinds.items():
        error, _, long = await error_of(field, bad[kind])
        assert error.startswith(words), error
        assert len(error) < 2_200
        assert long < 17_000
    assert worker.returncode is None


async def test_a_job_that_swallows_its_timeout(field: Field) -> None:
    gate = field.directory / "gate"
    [stubborn] = await field.enqueue("overstays", str(gate))
    field.expect([stubborn], "succeeded")
    await field.worker(slots=2)
    await field.until_began([stubborn])

    others = await field.enqueue("steady", n=50)
    await field.until_finished(others)
    assert [run.ended for run in field.runs() if run.job == str(stubborn)] == [None]
    gate.touch()


async def test_a_job_that_closes_the_default_executor_of_the_loop(field: Field) -> None:
    await field.worker(slots=2)
    closing = await field.enqueue("closes_the_default_executor")
    await field.until_finished(closing)

    await field.enqueue("steady", n=20)
    await field.enqueue("threaded", n=20)
    await field.until_finished()
    await field.look(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'asyncjobs%'"
        " and datname = current_database() and pid <> pg_backend_pid()"
    )
    await field.enqueue("threaded", n=20)
    await field.until_finished()


async def test_a_job_that_cancels_every_task_of_ours_while_another_process_lives(
    field: Field,
) -> None:
    victim = await field.worker("victim", slots=2)
    await field.until_began(await field.enqueue("cancels_all_tasks_of", victim.pid))
    await field.worker("other", slots=2)

    await field.enqueue("steady", n=20)
    victim.allow(".")
    await field.until_finished()
