"""Registries of tasks: what is included, what is refused, what is loaded again."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from asyncjobs import Jobs, Tasks
from asyncjobs.errors import BadOption, DuplicateTask


async def bake(flour: int, *, eggs: int = 2) -> str:
    """Bake a cake."""
    return f"{flour} g and {eggs} eggs"


def stir(spoons: int = 1) -> int:
    return spoons


@pytest.fixture
def tasks() -> Tasks:
    return Tasks()


def test_an_included_registry_brings_its_tasks(tasks: Tasks) -> None:
    jobs = Jobs()
    task = tasks.task(bake)

    jobs.include(tasks)

    assert dict(jobs.tasks) == {task.name: task}


def test_a_task_declared_after_the_include_comes_too(tasks: Tasks) -> None:
    jobs = Jobs()
    jobs.include(tasks)

    task = tasks.task(bake)

    assert jobs.tasks[task.name] is task


def test_registries_may_be_included_in_one_another() -> None:
    jobs, outer, inner = Jobs(), Tasks(), Tasks()
    outer.include(inner)
    jobs.include(outer)

    task = inner.task(bake)

    assert jobs.tasks[task.name] is task


def test_including_a_registry_twice_is_including_it_once(tasks: Tasks) -> None:
    jobs = Jobs()
    tasks.task(bake)

    jobs.include(tasks)
    jobs.include(tasks)

    assert len(jobs.tasks) == 1


def test_a_registry_has_one_home(tasks: Tasks) -> None:
    Jobs().include(tasks)

    with pytest.raises(BadOption, match="not included elsewhere"):
        Jobs().include(tasks)


def test_registries_do_not_include_each_other_in_a_ring() -> None:
    one, other = Tasks(), Tasks()
    one.include(other)

    with pytest.raises(BadOption):
        other.include(one)


def test_what_is_no_registry_is_not_included() -> None:
    with pytest.raises(BadOption):
        Jobs().include([bake])  # type: ignore[arg-type]


def test_the_tasks_of_a_registry_cannot_be_changed_from_outside(tasks: Tasks) -> None:
    task = tasks.task(bake)

    with pytest.raises(TypeError):
        tasks.tasks["other"] = task  # type: ignore[index]


def test_two_tasks_of_one_name_are_refused(tasks: Tasks) -> None:
    tasks.task(name="cake")(bake)

    with pytest.raises(DuplicateTask, match=r"'cake'.*name=") as caught:
        tasks.task(name="cake")(stir)

    assert caught.value.task == "cake"
    assert tasks.tasks["cake"].function is bake


def test_two_tasks_of_one_name_in_two_registries_are_refused() -> None:
    jobs, tasks = Jobs(), Tasks()
    jobs.task(name="cake")(bake)
    tasks.task(name="cake")(stir)

    with pytest.raises(DuplicateTask):
        jobs.include(tasks)


def test_a_refused_registry_brings_nothing() -> None:
    jobs, tasks = Jobs(), Tasks()
    jobs.task(name="cake")(bake)
    tasks.task(name="bread")(bake)
    tasks.task(name="cake")(stir)

    with pytest.raises(DuplicateTask):
        jobs.include(tasks)

    assert set(jobs.tasks) == {"cake"}


@pytest.mark.parametrize("elsewhere", ["in the home", "in a sibling"])
def test_a_name_that_is_taken_elsewhere_is_refused_after_the_include(elsewhere: str) -> None:
    jobs, one, other = Jobs(), Tasks(), Tasks()
    jobs.include(one)
    jobs.include(other)
    (jobs if elsewhere == "in the home" else other).task(name="cake")(bake)

    with pytest.raises(DuplicateTask):
        one.task(name="cake")(stir)


def test_a_name_of_an_included_registry_is_refused_in_its_home() -> None:
    jobs, tasks = Jobs(), Tasks()
    jobs.include(tasks)
    tasks.task(name="cake")(bake)

    with pytest.raises(DuplicateTask):
        jobs.task(name="cake")(stir)


def load(path: Path, tasks: Tasks) -> ModuleType:
    """Import a file, again if it was imported before."""
    spec = importlib.util.spec_from_file_location("reloaded_tasks", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    module.__dict__["tasks"] = tasks
    spec.loader.exec_module(module)
    return module


def test_a_module_that_is_loaded_again_brings_its_tasks_again(tmp_path: Path, tasks: Tasks) -> None:
    path = tmp_path / "reloaded_tasks.py"
    path.write_text("@tasks.task\ndef chop() -> int: return 1\n")
    load(path, tasks)

    again = load(path, tasks)

    assert tasks.tasks["reloaded_tasks.chop"] is again.chop


def test_a_module_that_was_edited_and_is_loaded_again_brings_its_tasks_again(
    tmp_path: Path, tasks: Tasks
) -> None:
    path = tmp_path / "reloaded_tasks.py"
    path.write_text("@tasks.task\ndef chop() -> int: return 1\n")
    load(path, tasks)
    path.write_text("# a new first line\n\n@tasks.task\ndef chop() -> int: return 2\n")

    again = load(path, tasks)

    assert tasks.tasks["reloaded_tasks.chop"] is again.chop
