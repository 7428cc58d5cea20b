"""`run=` where it cannot be."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from asyncjobs import Jobs
from asyncjobs.errors import BadOption, BadSignature
from tests.jobs import workshop


async def on_the_loop() -> None: ...


class Caller:
    def __call__(self) -> None: ...


def factory() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


renamed = workshop.where


def hidden() -> None: ...


real_hidden, hidden = hidden, factory()


@pytest.mark.parametrize("run", ["loop", "Process", "", 5, True, b"process"], ids=repr)
def test_a_place_that_is_none_is_refused(run: Any) -> None:
    with pytest.raises(BadOption, match="run must be 'thread' or 'process', not"):
        Jobs().task(run=run)(workshop.where)


@pytest.mark.parametrize("run", ["thread", "process", "loop"])
def test_an_async_function_runs_on_the_loop_and_nowhere_else(run: Any) -> None:
    with pytest.raises(BadOption, match="run must be left out for an `async def` function"):
        Jobs().task(run=run)(on_the_loop)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda: None, "a lambda has none"),
        (factory(), "this one is made inside another function"),
        (functools.partial(workshop.compute, 1.0), "not partial objects"),
        (Caller(), "not Caller objects"),
    ],
    ids=["lambda", "closure", "partial", "object"],
)
def test_what_no_other_process_could_find_is_refused_at_its_declaration(
    function: Any, words: str
) -> None:
    with pytest.raises(BadSignature, match=words):
        Jobs().task(run="process", name="work")(function)


async def test_a_function_whose_name_leads_elsewhere_is_refused_at_the_start(
    database: str,
) -> None:
    jobs = Jobs(database)
    jobs.task(run="process")(real_hidden)

    with pytest.raises(
        BadSignature, match=r"hidden in tests\.bad_input\.test_run is not this function"
    ):
        async with jobs.running():
            pass


def test_a_function_under_a_second_name_is_found_by_its_own() -> None:
    task = Jobs().task(run="process")(renamed)

    assert task.place is not None
    assert (task.place.module, task.place.name) == ("tests.jobs.workshop", "where")
    task.prepare()


def test_where_a_task_runs_is_known() -> None:
    jobs = Jobs()

    assert jobs.task(name="1")(on_the_loop).runs_in == "loop"
    assert jobs.task(name="2")(workshop.where).runs_in == "thread"
    assert jobs.task(name="3", run="thread")(workshop.where).runs_in == "thread"
    assert jobs.task(name="4", run="process")(workshop.where).runs_in == "process"
