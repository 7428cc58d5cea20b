"""Options that make no sense."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from asyncjobs import Jobs, Snooze
from asyncjobs.errors import (
    BadOption,
    BadSignature,
    DuplicateTask,
)

STORED = "select count(*) from asyncjobs.job"


@pytest.mark.parametrize(
    "options",
    [
        {"delay": timedelta(seconds=-1)},
        {"delay": 5},
        {"run_at": datetime(2030, 1, 1)},  # noqa: DTZ001
        {"queue": ""},
        {"priority": 100_000},
    ],
    ids=str,
)
async def test_an_option_that_makes_no_sense_stores_nothing(
    jobs: Jobs, eyes: asyncpg.Connection, options: dict[str, Any]
) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.connected():
        with pytest.raises(BadOption):
            await work.options(**options).enqueue()

        assert await eyes.fetchval(STORED) == 0


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("dsn", 5),
        ("pool", "postgresql://localhost/db"),
        ("pool", object()),
        ("slots", 0),
        ("slots", -1),
        ("slots", 1.5),
        ("slots", "5"),
        ("slots", None),
        ("queues", "mail"),
        ("queues", []),
        ("queues", {}),
        ("queues", 5),
        ("queues", [""]),
        ("queues", ["a\nb"]),
        ("queues", [5]),
        ("queues", {"mail": 0}),
        ("queues", {"mail": "all"}),
        ("queues", {"": 1}),
        ("schema", ""),
        ("schema", "Jobs"),
        ("schema", "my-jobs"),
        ("schema", "1jobs"),
        ("schema", 'jobs"; drop table x; --'),
        ("schema", "x" * 60),
        ("schema", 5),
        ("schema", None),
        ("migrate", "yes"),
        ("gives_way", "yes"),
        ("drain", 5),
        ("drain", timedelta(seconds=-1)),
        ("drain", None),
        ("blocked_after", 0.2),
        ("blocked_after", timedelta(0)),
        ("blocked_after", timedelta(milliseconds=19)),
        ("max_crashes", 0),
        ("max_crashes", "3"),
        ("extensions", 5),
        ("extensions", [object()]),
        ("extensions", [Snooze]),
    ],
)
def test_an_option_of_jobs_that_makes_no_sense_is_refused(option: str, value: Any) -> None:
    with pytest.raises(BadOption, match=option):
        Jobs(**{option: value})


def test_two_tasks_of_one_name_are_refused() -> None:
    jobs = Jobs()

    @jobs.task(name="work")
    async def work() -> None: ...

    with pytest.raises(DuplicateTask):

        @jobs.task(name="work")
        async def other() -> None: ...


async def test_a_hint_that_cannot_be_stored_is_told_before_anything_is_connected() -> None:
    jobs = Jobs("postgresql://nowhere.invalid/")

    @jobs.task
    async def work(connection: asyncpg.Connection) -> None: ...

    with pytest.raises(BadSignature, match="work"):
        async with jobs.running():
            pass
