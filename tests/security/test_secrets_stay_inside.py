"""
However a job ends, what was secret among its arguments is found in one column and nowhere else.

Each story makes a job that does its best to tell; then everything that anybody could see is searched: all
columns of all tables but `arguments`, the log to its finest level, the pages, what a program is given and
how that prints itself, what listeners are told, `asyncjobs status`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import pytest
from pydantic import BaseModel, BeforeValidator, field_serializer

from asyncjobs import (
    Cancel,
    CurrentJob,
    Enqueued,
    Jobs,
    JobState,
    Secret,
    current_job,
    fixed,
    never,
)
from asyncjobs.errors import AsyncJobsError, NoResult
from asyncjobs.events import Event
from asyncjobs.postgres.failures import Refused
from tests.command import run
from tests.dashboard.conftest import anybody, mounted, visitor
from tests.moments import until_history, until_state

SECRET = "correct horse / battery"
Password = Annotated[str, Secret]

pytestmark = pytest.mark.usefixtures("quiet_asyncio")


@dataclass
class Login:
    user: str
    password: Password


class Witness:
    """Hears everything, and stands around every run."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def hears(self, event: Event) -> None:
        self.seen.append(repr(event))

    async def around(self, job: CurrentJob, call_next: Callable[[], Awaitable[object]]) -> object:
        self.seen += [repr(job), repr(call_next), repr(asyncio.current_task())]
        return await call_next()


@pytest.fixture
def quiet_asyncio(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def jobs(database: str, witness: Witness) -> Jobs:
    return Jobs(database, extensions=[witness])


class Story:
    """A job that tells, and everything that could be seen of it."""

    def __init__(
        self, jobs: Jobs, witness: Witness, eyes: asyncpg.Connection, log: pytest.LogCaptureFixture
    ) -> None:
        self.jobs, self.witness, self.eyes, self.log = jobs, witness, eyes, log
        self.told: list[str] = []

    async def ends(self, job: Enqueued[Any]) -> None:
        try:
            self.tells(await job.result(20))
        except NoResult as error:
            self.tells(*traceback.format_exception(error))
        await self.is_looked_at(job.id)

    def tells(self, *seen: object) -> None:
        self.told += [f"{each!r} {each}" for each in seen]

    async def is_looked_at(self, id: UUID) -> None:
        snapshot = await self.jobs.get(id)
        self.tells(snapshot, snapshot.arguments, snapshot.history)
        async with visitor(mounted(self.jobs.dashboard(allow=anybody))) as client:
            for path in ("", "?state=failed", "?state=ready", f"job/{id}", "processes"):
                for headers in ({}, {"hx-request": "true"}):
                    self.tells((await client.get(f"/jobs/{path}", headers=headers)).text)

    async def everything(self) -> str:
        rows = [
            await self.eyes.fetch(
                f"select (to_jsonb(each) - 'arguments')::text from {table} as each"
            )
            for table in ("asyncjobs.job", "asyncjobs.finished", "asyncjobs.process")
        ]
        stored = [row[0] for table in rows for row in table]
        return "\n".join([*stored, *self.told, *self.witness.seen, self.log.text])


@pytest.fixture
def story(
    jobs: Jobs, witness: Witness, eyes: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> Story:
    return Story(jobs, witness, eyes, caplog)


def traces_of(secret: str, text: str) -> list[str]:
    """Give what of it is found there, in whatever disguise."""
    words = [*secret.split(), secret[:9], secret[-9:], "Y29ycmVjdCBob3JzZ"]
    return [word for word in words if word in text and word != "/"]


async def raises(password: str) -> None:
    raise ValueError(f"{password} is wrong")


async def raises_it_quoted(password: str) -> None:
    raise KeyError(password, password.encode(), {"password": [password]})


async def raises_for_another_reason(password: str) -> None:
    try:
        raise ValueError(password)
    except ValueError as error:
        error.add_note(f"tried {password}")
        raise RuntimeError("no way in") from error


async def raises_a_group(password: str) -> None:
    raise ExceptionGroup(password, [ValueError(password), OSError(5, password)])


async def raises_so_much_that_it_is_cut(password: str) -> None:
    raise ValueError("-" * 900 + password * 20_000 + "-" * 500)


async def raises_at_the_edge_of_the_cut(password: str) -> None:
    raise ValueError("-" * (1000 - len("ValueError: ") - 10) + password + "-" * 5000)


async def raises_what_is_no_exception(password: str) -> None:
    raise SystemExit(password)


async def cancels_itself(password: str) -> Cancel:
    return Cancel(f"{password} does not work")


async def returns_what_cannot_be_stored(password: str) -> Any:
    class Odd(BaseModel):
        name: str

        @field_serializer("name")
        def tell(self, value: str) -> str:
            raise ValueError(value)

    return Odd(name=password)


async def reports(password: str) -> None:
    await current_job().progress(0.5, f"trying {password}")


def raises_in_a_thread(password: str) -> None:
    current_job().report(0.5, password)
    raise ConnectionError(f"postgresql://ada:{password}@db/shop")


STORIES = [
    raises, raises_it_quoted, raises_for_another_reason, raises_a_group, raises_so_much_that_it_is_cut,
    raises_at_the_edge_of_the_cut, raises_what_is_no_exception, cancels_itself, returns_what_cannot_be_stored,
    reports, raises_in_a_thread,
]  # fmt: skip


@pytest.mark.parametrize("function", STORIES, ids=[each.__name__ for each in STORIES])
async def test_however_a_job_ends_it_does_not_tell(
    jobs: Jobs, story: Story, function: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = jobs.task(secret=("password",), retry=never())(function)

    async with jobs.running():
        asyncio.get_running_loop().set_debug(True)
        job = task.job(SECRET)
        enqueued = await job.enqueue()
        story.tells(job, enqueued, task)
        await story.ends(enqueued)
        stored = await story.eyes.fetchval(
            "select arguments ->> 'password' from asyncjobs.finished"
        )
        asyncio.get_running_loop().set_debug(False)

    assert stored == SECRET
    assert traces_of(SECRET, await story.everything()) == []


async def test_the_attempts_before_do_not_tell_either(jobs: Jobs, story: Story) -> None:
    @jobs.task(retry=fixed(timedelta(milliseconds=5), max_attempts=3))
    async def log_in(login: Login, *keys: Password) -> None:
        raise ValueError(f"{login} {keys}")

    async with jobs.running():
        job = await log_in.enqueue(Login("ada", SECRET), f"{SECRET}2")
        await until_history(jobs, job.id, 2)
        await until_state(job, JobState.FAILED)
        await story.ends(job)
        [page] = [text for text in story.told if "Attempts</h2>" in text and "<html" in text]

    seen = await story.everything()
    assert traces_of(SECRET, seen) == []
    assert "user: &#34;ada&#34;" in seen
    assert "Login(user=&#39;ada&#39;, password=&#39;•••&#39;)" in page


async def test_a_retry_keeps_the_secret_and_its_mask(jobs: Jobs, story: Story) -> None:
    got: list[str] = []

    @jobs.task(retry=never())
    async def log_in(password: Password) -> None:
        got.append(password)
        if len(got) == 1:
            raise ValueError(password)

    async with jobs.running():
        job = await log_in.enqueue(SECRET)
        await until_state(job, JobState.FAILED)
        assert await jobs.retry(job.id)
        await until_state(job, JobState.SUCCEEDED)
        await story.ends(job)

    assert got == [SECRET, SECRET]
    assert traces_of(SECRET, await story.everything()) == []


async def test_a_waiting_job_shows_a_mask_to_a_process_that_does_not_know_its_task(
    database: str, story: Story
) -> None:
    there = Jobs(database)

    @there.task
    async def log_in(user: str, login: Login, password: Password) -> None: ...

    async with there.connected():
        waiting = await log_in.enqueue("ada", Login("ada", SECRET), SECRET)
        later = await log_in.options(delay=timedelta(hours=1)).enqueue("a", Login("b", SECRET), "x")
        many = await there.enqueue_many([log_in.job("ada", Login("c", SECRET), SECRET)] * 2)
        async with story.eyes.transaction():
            on_callers = await log_in.options(connection=story.eyes).enqueue(
                "ada", Login("d", SECRET), SECRET
            )
        async with story.jobs.connected():
            for job in (waiting, later, *many, on_callers):
                await story.is_looked_at(job.id)
            _, status = await run("status", "--dsn", database)
            seen = (await story.jobs.get(waiting.id)).arguments

    assert seen == {"user": "ada", "login": {"user": "ada", "password": "•••"}, "password": "•••"}
    story.tells(status)
    assert traces_of(SECRET, await story.everything()) == []


async def test_a_job_that_was_stored_with_sql_is_masked_where_its_task_is_known(
    jobs: Jobs, story: Story
) -> None:
    @jobs.task(name="log_in")
    async def log_in(user: str, password: Password) -> None:
        raise ValueError(password)

    arguments = json.dumps({"user": "ada", "password": SECRET})
    await story.eyes.execute("select asyncjobs.enqueue('log_in', $1::jsonb)", arguments)
    broken = json.dumps({"password": SECRET, "what": 1})
    await story.eyes.execute("select asyncjobs.enqueue('log_in', $1::jsonb)", broken)
    async with jobs.connected():
        ids = [
            row["id"] for row in await story.eyes.fetch("select id from asyncjobs.job order by id")
        ]
        for id in ids:
            await story.is_looked_at(id)
        seen = [(await jobs.get(id)).arguments for id in ids]
    async with jobs.running():
        for id in ids:
            await until_state(Enqueued(id, log_in), JobState.SCHEDULED, JobState.FAILED)
            await story.is_looked_at(id)

    assert seen == [{"user": "ada", "password": "•••"}, {}]
    assert any("Hidden: the task takes secrets" in text for text in story.told)
    assert traces_of(SECRET, await story.everything()) == []


def stumbling(value: str) -> str:
    if value != "":
        raise RuntimeError(f"cannot read {value}")
    return value


async def test_arguments_that_cannot_be_read_any_more_are_not_told(
    database: str, jobs: Jobs, story: Story
) -> None:
    before = Jobs(database)

    @before.task(name="as_number")
    async def as_text(password: Password) -> None: ...

    @before.task(name="stumbles")
    async def reads(password: Password) -> None: ...

    @jobs.task(name="as_number")
    async def as_number(password: Annotated[int, Secret]) -> None: ...

    @jobs.task(name="stumbles")
    async def stumbles(password: Annotated[str, BeforeValidator(stumbling), Secret]) -> None: ...

    async with before.connected():
        ids = [(await task.enqueue(SECRET)).id for task in (as_text, reads)]
    async with jobs.running():
        for id in ids:
            await story.ends(Enqueued(id, as_number))

    seen = await story.everything()
    assert "password does not fit, and is or holds a secret" in seen
    assert "RuntimeError: cannot read •••" in seen
    assert traces_of(SECRET, seen) == []


@pytest.mark.parametrize("way", ["alone", "many", "transaction"])
async def test_what_postgres_says_of_a_row_that_it_refuses_does_not_tell(
    jobs: Jobs, story: Story, way: str
) -> None:
    # `DETAIL: Failing row contains (…)`.
    await story.eyes.execute(
        "alter table asyncjobs.job add constraint few check (task <> 'log_in')"
    )

    @jobs.task(name="log_in")
    async def log_in(password: Password) -> None: ...

    async with jobs.running():
        with pytest.raises((Refused, asyncpg.PostgresError), match="violates check") as caught:
            if way == "alone":
                await log_in.enqueue(SECRET)
            elif way == "many":
                await jobs.enqueue_many([log_in.job(SECRET), log_in.job(SECRET)])
            else:
                async with story.eyes.transaction():
                    await log_in.options(connection=story.eyes).enqueue(SECRET)

    story.tells(caught.value, *traceback.format_exception(caught.value))
    assert "few" in "".join(story.told)
    assert traces_of(SECRET, await story.everything()) == []


async def test_an_outcome_that_postgres_refuses_does_not_tell_what_it_was_called_with(
    jobs: Jobs, story: Story
) -> None:
    for table in ("archive", "archive_spill"):
        check = f"alter table asyncjobs.{table} add constraint few check (error is not null)"
        await story.eyes.execute(check)

    @jobs.task
    async def log_in(password: Password) -> None: ...

    async with jobs.running():
        job = await log_in.enqueue(SECRET)
        await story.ends(job)

    seen = await story.everything()
    assert "was refused and is recorded as failed" in seen
    assert traces_of(SECRET, seen) == []


async def test_what_a_caller_is_told_at_enqueue_does_not_tell(jobs: Jobs, story: Story) -> None:
    @jobs.task
    async def log_in(user: int, login: Login, password: Password) -> None: ...

    calls: list[dict[str, Any]] = [
        {"user": 1, "login": SECRET, "password": SECRET},
        {"user": 1, "login": {"user": SECRET}, "password": [SECRET]},
        {"user": 1, "login": {"user": "", "password": 1, SECRET: 1}, "password": "\0" + SECRET},
        {"user": 1, "login": Login("", "\ud800" + SECRET), "password": SECRET},
        {"user": 1, "login": Login("", SECRET), "password": SECRET * 100_000},
    ]
    async with jobs.connected():
        for call in calls:
            with pytest.raises(AsyncJobsError) as caught:
                await log_in.enqueue(**call)
            story.tells(caught.value, *traceback.format_exception(caught.value))

    assert traces_of(SECRET, await story.everything()) == []


def test_no_log_call_is_given_arguments() -> None:
    """Whatever is logged is an id, a name, a number or an error: never a request, an outcome, a row."""
    package = Path(__file__).parent.parent.parent / "asyncjobs"
    for path in package.rglob("*.py"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if "log." in line:
                assert not any(word in line for word in ("arguments)", "kwargs", "outcome)")), line
