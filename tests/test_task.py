"""Tasks: their names and options, and the jobs that are made of them."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncjobs import Jobs, JobState, Task, Tasks, exponential, fixed
from asyncjobs.errors import BadOption, BadSignature, NotConnected
from asyncjobs.task import AsyncTask, PlainTask


async def bake(flour: int, *, eggs: int = 2) -> str:
    """Bake a cake."""
    return f"{flour} g and {eggs} eggs"


def stir(spoons: int = 1) -> int:
    return spoons


async def numbers() -> AsyncIterator[int]:
    yield 1


@pytest.fixture
def tasks() -> Tasks:
    return Tasks()


def test_a_task_is_named_by_module_and_function(tasks: Tasks) -> None:
    assert tasks.task(bake).name == f"{__name__}.bake"


def test_a_task_inside_a_function_is_named_without_the_locals(tasks: Tasks) -> None:
    @tasks.task
    async def inner() -> None: ...

    place = "test_a_task_inside_a_function_is_named_without_the_locals"
    assert inner.name == f"{__name__}.{place}.inner"


def test_a_task_may_have_a_name_of_its_own(tasks: Tasks) -> None:
    task = tasks.task(name="cakes.bake")(bake)

    assert task.name == "cakes.bake"
    assert dict(tasks.tasks) == {"cakes.bake": task}


def test_a_decorated_function_keeps_its_name_and_its_kind(tasks: Tasks) -> None:
    @functools.wraps(bake)
    def decorated(*args: Any, **kwargs: Any) -> Any:
        return bake(*args, **kwargs)

    task: Any = tasks.task(decorated)

    assert task.name == f"{__name__}.bake"
    assert task.is_async


def test_a_coroutine_function_and_a_plain_one_are_told_apart(tasks: Tasks) -> None:
    cook, mix = tasks.task(bake), tasks.task(stir)

    assert isinstance(cook, AsyncTask)
    assert cook.is_async
    assert isinstance(mix, PlainTask)
    assert not mix.is_async


async def test_calling_a_task_calls_its_function(tasks: Tasks) -> None:
    cook, mix = tasks.task(bake), tasks.task(stir)

    assert await cook(500, eggs=3) == "500 g and 3 eggs"
    assert mix(4) == 4


def test_a_task_keeps_the_docstring_of_its_function(tasks: Tasks) -> None:
    task = tasks.task(bake)

    assert task.__doc__ == "Bake a cake."
    assert task.name in repr(task)


def test_a_task_without_options_has_sensible_ones(tasks: Tasks) -> None:
    task = tasks.task(bake)

    assert (task.queue, task.priority, task.timeout, task.keep) == ("default", 0, None, None)
    assert task.retry.max_attempts == exponential().max_attempts


def test_a_task_has_the_options_that_it_was_given(tasks: Tasks) -> None:
    retry = fixed(timedelta(seconds=1))

    task = tasks.task(
        queue="oven", priority=-3, retry=retry, timeout=timedelta(hours=1), keep=timedelta(days=2)
    )(bake)

    assert (task.queue, task.priority, task.retry) == ("oven", -3, retry)
    assert (task.timeout, task.keep) == (timedelta(hours=1), timedelta(days=2))


@pytest.mark.parametrize(
    ("keep", "state", "days"),
    [
        (None, JobState.SUCCEEDED, 7),
        (None, JobState.CANCELLED, 7),
        (None, JobState.FAILED, 30),
        (timedelta(0), JobState.FAILED, 0),
        (timedelta(days=3), JobState.FAILED, 3),
        (timedelta(hours=1), JobState.SUCCEEDED, 1),
        (timedelta(days=1, seconds=1), JobState.SUCCEEDED, 2),
    ],
)
def test_jobs_are_kept_for_whole_days(
    tasks: Tasks, keep: timedelta | None, state: JobState, days: int
) -> None:
    assert tasks.task(keep=keep)(bake).keep_days(state) == days


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("queue", ""),
        ("queue", "a\nb"),
        ("queue", "x" * 201),
        ("queue", 5),
        ("queue", None),
        ("name", ""),
        ("name", 5),
        ("name", "a\0b"),
        ("priority", "high"),
        ("priority", 40_000),
        ("priority", -40_000),
        ("priority", 1.5),
        ("priority", None),
        ("timeout", 5),
        ("timeout", timedelta(0)),
        ("timeout", timedelta(seconds=-1)),
        ("timeout", timedelta(days=5000)),
        ("keep", 7),
        ("keep", timedelta(seconds=-1)),
        ("keep", timedelta(days=5000)),
        ("retry", 3),
        ("retry", exponential),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(tasks: Tasks, option: str, value: Any) -> None:
    with pytest.raises(BadOption, match=f"^{option} must be") as caught:
        tasks.task(**{option: value})(bake)

    assert (caught.value.option, caught.value.found) == (option, value)
    assert not tasks.tasks


@pytest.mark.parametrize("what", [5, "bake", numbers], ids=["a number", "a string", "a generator"])
def test_only_a_function_can_be_a_task(tasks: Tasks, what: Any) -> None:
    with pytest.raises(BadSignature, match="a function"):
        tasks.task()(what)


def test_options_leave_the_task_itself_alone(tasks: Tasks) -> None:
    task = tasks.task(bake)

    other = task.options(queue="oven", priority=5)

    assert task.job(1).options.queue is None
    assert (other.job(1).options.queue, other.job(1).options.priority) == ("oven", 5)
    assert type(other) is type(task)


def test_options_add_up(tasks: Tasks) -> None:
    task = tasks.task(bake).options(queue="oven").options(priority=5)

    assert (task.job(1).options.queue, task.job(1).options.priority) == ("oven", 5)


def test_the_last_word_on_the_time_counts(tasks: Tasks) -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)

    options = (
        tasks.task(bake).options(delay=timedelta(hours=1)).options(run_at=moment).job(1).options
    )

    assert (options.delay, options.run_at) == (None, moment)


def test_a_priority_of_zero_is_an_option_too(tasks: Tasks) -> None:
    task = tasks.task(priority=5)(bake)

    assert task.options(priority=0).job(1).options.priority == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("queue", ""),
        ("queue", 5),
        ("priority", 1.5),
        ("priority", 32_768),
        ("delay", timedelta(microseconds=-1)),
        ("delay", 60),
        ("delay", timedelta(days=5000)),
        ("run_at", datetime(2030, 1, 1)),  # noqa: DTZ001
        ("run_at", "2030-01-01T00:00:00Z"),
        ("run_at", 1893456000),
    ],
)
def test_an_option_of_a_job_that_makes_no_sense_is_refused(
    tasks: Tasks, option: str, value: Any
) -> None:
    with pytest.raises(BadOption, match=f"^{option} must be"):
        tasks.task(bake).options(**{option: value})


def test_a_delay_and_a_moment_at_once_are_refused(tasks: Tasks) -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)

    with pytest.raises(BadOption, match="run_at"):
        tasks.task(bake).options(delay=timedelta(hours=1), run_at=moment)


async def enqueue(task: Task[[int], str]) -> object:
    return await task.enqueue(1)


async def make_and_enqueue(task: Task[[int], str]) -> object:
    return await task.job(1).enqueue()


async def enqueue_later(task: Task[[int], str]) -> object:
    return await task.options(delay=timedelta(hours=1)).enqueue(1)


@pytest.mark.parametrize("store", [enqueue, make_and_enqueue, enqueue_later])
async def test_a_task_of_unconnected_jobs_says_how_to_connect(store: Callable[..., Any]) -> None:
    task = Jobs().task(bake)

    with pytest.raises(NotConnected, match=r"lifespan=jobs\.lifespan.*jobs\.running\(\)"):
        await store(task)


async def test_a_task_of_a_registry_that_nobody_included_says_so(tasks: Tasks) -> None:
    task = tasks.task(bake)

    with pytest.raises(NotConnected, match=r"jobs\.include\(tasks\)"):
        await task.enqueue(1)


async def test_a_task_of_an_included_registry_says_how_to_connect(tasks: Tasks) -> None:
    task = tasks.task(bake)
    Jobs().include(tasks)

    with pytest.raises(NotConnected, match=r"lifespan=jobs\.lifespan"):
        await task.enqueue(1)


def test_a_job_is_made_without_a_connection(tasks: Tasks) -> None:
    job = tasks.task(bake).job(500, eggs=3)

    assert job.arguments == '{"flour":500,"eggs":3}'
