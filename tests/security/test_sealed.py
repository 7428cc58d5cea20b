"""Arguments and results at rest: sealed under keys that the database never sees."""

from __future__ import annotations

import json
import logging
import sys
from datetime import timedelta
from functools import partial
from typing import Annotated, Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from cryptography.fernet import Fernet

from asyncjobs import Enqueued, Jobs, JobState, Secret, fixed, never
from asyncjobs.engine import run as engine_run
from asyncjobs.errors import BadKeys, BadOption, BrokenSeal, JobFailed, NoKey
from asyncjobs.seal import Keys, Place, is_sealed
from tests.dashboard.conftest import anybody, mounted, visitor
from tests.dashboard.reading import read
from tests.moments import until, until_state

OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))
WORDS = "attack at dawn"
PLACE = Place("arguments", "a.task", UUID(int=7))


@pytest.fixture(autouse=True)
def no_keys_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASYNCJOBS_ENCRYPTION_KEYS", raising=False)


def jobs_with(database: str, *keys: str, **more: Any) -> Jobs:
    """Jobs with these keys, and the tasks of these tests."""
    jobs = Jobs(database, encryption_keys=keys, **more)

    @jobs.task(name="echo", encrypt=True, retry=never())
    async def echo(words: str, times: int = 1) -> dict[str, str]:
        return {"said": words * times}

    @jobs.task(name="fail", encrypt=True, retry=never())
    async def fail(words: str) -> None:
        try:
            raise ValueError(words)
        except ValueError as error:
            raise ExceptionGroup(words, [OSError(words), KeyError(words)]) from error

    return jobs


async def everything(eyes: asyncpg.Connection) -> str:
    """All that the database has, as a backup would."""
    tables = ("asyncjobs.job", "asyncjobs.finished", "asyncjobs.process")
    rows = [await eyes.fetch(f"select each::text from {table} as each") for table in tables]
    return "\n".join(row[0] for found in rows for row in found)


def test_what_is_sealed_is_opened_by_any_of_the_keys() -> None:
    sealed = Keys([OLD]).seal('{"a": 1}', PLACE)

    assert is_sealed(sealed)
    assert Keys([NEW, OLD]).open(sealed, PLACE) == '{"a": 1}'


def test_the_first_key_seals() -> None:
    sealed = Keys([NEW, OLD]).seal("{}", PLACE)

    assert Keys([NEW]).open(sealed, PLACE) == "{}"
    with pytest.raises(NoKey):
        Keys([OLD]).open(sealed, PLACE)


def test_the_same_value_is_never_sealed_alike() -> None:
    assert Keys([OLD]).seal("{}", PLACE) != Keys([OLD]).seal("{}", PLACE)


@pytest.mark.parametrize(
    "text", ["{}", '{"a": 1}', "null", '"$sealed"', '{"$sealed": 7}', '{"$sealed": "x"}', ""]
)
def test_what_is_not_sealed_is_given_as_it_is(text: str) -> None:
    assert Keys().open(text, PLACE) == text


@pytest.mark.parametrize(
    "place",
    [
        Place("result", "a.task", UUID(int=7)),
        Place("arguments", "another", UUID(int=7)),
        Place("arguments", "a.task", UUID(int=8)),
    ],
)
def test_what_was_sealed_for_something_else_is_not_opened(place: Place) -> None:
    keys = Keys([OLD])

    with pytest.raises(BrokenSeal):
        keys.open(keys.seal("{}", PLACE), place)


def test_what_was_changed_is_not_opened() -> None:
    keys = Keys([OLD])
    name, _, token = json.loads(keys.seal("{}", PLACE))["$sealed"].partition(":")

    for changed in (token[:-8] + "AAAAAA==", token[:40], "", "x"):
        with pytest.raises(BrokenSeal):
            keys.open(json.dumps({"$sealed": f"{name}:{changed}"}), PLACE)


@pytest.mark.parametrize(
    "keys",
    [
        "hunter2", b"hunter2", [OLD, "hunter2"], [OLD[:-1] + "hunter2"], [b"hunter2" * 5], [7], 7,
        [OLD.replace("=", "") + "!"], [None],
    ],
)  # fmt: skip
def test_a_key_that_is_none_is_refused_and_not_quoted(keys: Any) -> None:
    with pytest.raises(BadKeys) as caught:
        Jobs(encryption_keys=keys)

    assert "hunter2" not in str(caught.value)
    assert OLD[:10] not in str(caught.value)


def test_keys_are_never_shown() -> None:
    jobs = Jobs(encryption_keys=[OLD])
    keys = Keys([OLD])

    for shown in (repr(keys), str(keys), repr(vars(jobs)), repr(jobs)):
        assert OLD not in shown
        assert OLD[:12] not in shown


def test_keys_may_come_from_the_environment() -> None:
    keys = Keys.of_environment({"ASYNCJOBS_ENCRYPTION_KEYS": f" {NEW} ,{OLD}\n"})

    assert Keys([NEW]).open(keys.seal("{}", PLACE), PLACE) == "{}"
    assert keys.open(Keys([OLD]).seal("{}", PLACE), PLACE) == "{}"
    assert not Keys.of_environment({})


async def test_without_a_key_a_process_with_sealed_tasks_does_not_start(database: str) -> None:
    with pytest.raises(BadKeys, match="ASYNCJOBS_ENCRYPTION_KEYS"):
        async with jobs_with(database).connected():
            pass


async def test_a_task_that_is_declared_later_finds_no_key_either(database: str) -> None:
    jobs = Jobs(database)

    async with jobs.connected():

        @jobs.task(encrypt=True)
        async def late(words: str) -> None: ...

        with pytest.raises(BadKeys, match="there are none"):
            await late.enqueue(WORDS)


async def test_without_the_package_it_is_said_what_to_install(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)

    with pytest.raises(BadKeys, match=r"asyncjobs-pg\[encryption\]"):
        async with jobs_with(database, OLD).connected():
            pass


def test_encrypt_is_yes_or_no() -> None:
    with pytest.raises(BadOption, match="encrypt"):
        Jobs().task(encrypt="yes")(lambda: None)  # type: ignore[call-overload]


async def test_arguments_and_result_are_sealed_at_rest_and_plain_in_the_job(
    database: str, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASYNCJOBS_ENCRYPTION_KEYS", NEW)
    jobs = jobs_with(database, NEW)
    echo = jobs.tasks["echo"]

    async with jobs.running():
        direct = await echo.enqueue(WORDS, times=2)
        assert await direct.result(20) == {"said": WORDS * 2}
        [bulk, _] = await jobs.enqueue_many([echo.job(WORDS), echo.job(WORDS)])
        assert await bulk.result(20) == {"said": WORDS}
        async with eyes.transaction():
            callers = await echo.options(connection=eyes).enqueue(WORDS)
        assert await callers.result(20) == {"said": WORDS}
        snapshot = await jobs.get(direct.id)

    assert WORDS not in await everything(eyes)
    assert set(snapshot.arguments) == {"$sealed"}
    assert set(snapshot.result) == {"$sealed"}


async def test_the_pages_say_that_it_is_sealed(database: str) -> None:
    jobs = jobs_with(database, OLD)

    async with jobs.running():
        job = await jobs.tasks["echo"].enqueue(WORDS)
        await until_state(job, JobState.SUCCEEDED)
        async with visitor(mounted(jobs.dashboard(allow=anybody))) as client:
            page = read(await client.get(f"/jobs/job/{job.id}"))
            listed = read(await client.get("/jobs/?state=succeeded"))

    assert "Arguments Sealed: the database and this page cannot read them." in page.text
    assert "Result Sealed: the database and this page cannot read it." in page.text
    assert "echo sealed" in listed.text
    assert "$sealed" not in page.text + listed.text


async def test_what_a_sealed_task_says_when_it_fails_is_not_stored(
    database: str, eyes: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    jobs = jobs_with(database, OLD)

    async with jobs.running():
        job = await jobs.tasks["fail"].enqueue(WORDS)
        with pytest.raises(JobFailed) as caught:
            await job.result(20)

    assert WORDS not in await everything(eyes) + caplog.text + repr(caught.value)
    assert caught.value.error.startswith("ExceptionGroup (what it says is not stored")
    traceback = caught.value.traceback or ""
    for told in (
        "ValueError (what",
        "which led to:",
        "raise ExceptionGroup(words",
        "KeyError (what",
    ):
        assert told in traceback


async def test_an_outcome_of_a_sealed_task_that_is_ours_says_why(database: str) -> None:
    jobs = Jobs(database, encryption_keys=[OLD])

    @jobs.task(encrypt=True, retry=never())
    async def odd() -> object:
        return object()

    async with jobs.running():
        with pytest.raises(JobFailed, match="ResultNotStorable"):
            await (await odd.enqueue()).result(20)


async def test_a_sealed_result_may_hold_secrets(database: str) -> None:
    jobs = Jobs(database, encryption_keys=[OLD])

    @jobs.task(encrypt=True)
    async def look_up(password: Annotated[str, Secret]) -> Annotated[str, Secret]:
        return password[::-1]

    async with jobs.running():
        assert await (await look_up.enqueue("hunter2")).result(20) == "2retnuh"


async def test_a_job_retried_and_a_job_tried_again_are_opened_again(database: str) -> None:
    jobs = Jobs(database, encryption_keys=[OLD])
    got: list[str] = []

    @jobs.task(encrypt=True, retry=fixed(timedelta(milliseconds=5), max_attempts=2))
    async def stumble(words: str) -> str:
        got.append(words)
        if len(got) < 3:
            raise ValueError(words)
        return words

    async with jobs.running():
        job = await stumble.enqueue(WORDS)
        await until_state(job, JobState.FAILED)
        assert await jobs.retry(job.id)
        assert await job.result(20) == WORDS

    assert got == [WORDS] * 3


async def test_keys_are_changed_without_losing_what_waits(
    database: str, eyes: asyncpg.Connection
) -> None:
    async with jobs_with(database, OLD).connected() as before:
        waiting = [await before.tasks["echo"].enqueue(WORDS) for _ in range(3)]
    counted = """
        select split_part(arguments ->> '$sealed', ':', 1) as key, count(*)
        from asyncjobs.job group by key
    """
    [row] = await eyes.fetch(counted)
    jobs = jobs_with(database, NEW, OLD)
    echo = jobs.tasks["echo"]
    async with jobs.connected():
        await echo.enqueue(WORDS)
        counts = {each["key"]: each["count"] for each in await eyes.fetch(counted)}
    async with jobs.running():
        for job in waiting:
            assert await Enqueued(job.id, echo).result(20) == {"said": WORDS}

    assert len(counts) == 2
    assert counts[row["key"]] == 3


async def test_a_process_without_the_key_leaves_the_job_to_one_that_has_it(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    poor, rich = jobs_with(database, OLD), jobs_with(database, NEW, OLD)
    async with rich.connected():
        closed = [await rich.tasks["echo"].enqueue(WORDS) for _ in range(3)]
    async with poor.running():
        for job in closed:
            await until(partial(given_back, poor, job.id))
        # What it can open, it runs meanwhile: the task is not turned away.
        assert await (await poor.tasks["echo"].enqueue("hello")).result(20) == {"said": "hello"}
        left = await poor.get(closed[0].id)
        async with rich.running():
            for job in closed:
                assert await Enqueued(job.id, rich.tasks["echo"]).result(20) == {"said": WORDS}
            ended = await rich.get(closed[0].id)
        with pytest.raises(NoKey):
            await Enqueued(ended.id, poor.tasks["echo"]).result(20)

    assert (left.state, left.attempt) == (JobState.READY, 0)
    assert [attempt.outcome for attempt in left.history] == ["released"]
    assert "which this process does not have" in str(left.history[0].error)
    assert ended.attempt == 1
    assert caplog.text.count("jobs under it are left to others") == 1


async def given_back(jobs: Jobs, id: UUID) -> bool:
    return bool((await jobs.get(id)).history)


async def test_a_scheduled_job_goes_to_the_process_that_has_its_key_without_waiting_for_a_poll(
    database: str,
) -> None:
    poor, rich = jobs_with(database, OLD), jobs_with(database, NEW, OLD)
    async with poor.running():
        async with rich.connected():
            closed = await rich.tasks["echo"].enqueue(WORDS)
            await until(partial(given_back, poor, closed.id))
        async with rich.running():
            await until_state(Enqueued(closed.id, rich.tasks["echo"]), JobState.SUCCEEDED)
            # Known to the one without the key only, until it says that it is ready.
            later = await poor.tasks["echo"].options(delay=timedelta(seconds=1)).enqueue(WORDS)
            arguments, extra = await sealed_by(rich, later.id)
            await poor.database.fetch(
                "update asyncjobs.job set arguments = $2::jsonb, extra = $3::jsonb where id = $1 returning id",
                later.id, arguments, extra,
            )  # fmt: skip
            assert await Enqueued(later.id, rich.tasks["echo"]).result(20) == {"said": WORDS}
            ended = await rich.get(later.id)

    assert ended.history == ()


async def sealed_by(jobs: Jobs, id: UUID) -> tuple[str, str]:
    keys = jobs.connection._plan.terms.keys
    text = json.dumps({"words": WORDS})
    return keys.seal(text, Place("arguments", "echo", id)), json.dumps({"key": keys.newest})


async def test_a_row_that_names_no_key_is_not_claimed_again_and_again(
    database: str, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_run, "ON_ITS_WAY", 0.0)
    async with jobs_with(database, OTHER).connected() as other:
        first = await other.tasks["echo"].enqueue(WORDS)
        edited = await other.tasks["echo"].options(delay=timedelta(days=1)).enqueue(WORDS)
    await eyes.execute("update asyncjobs.job set extra = null where id = $1", edited.id)
    jobs = jobs_with(database, OLD)

    async with jobs.running():
        await until(partial(given_back, jobs, first.id))
        assert await jobs.retry(edited.id)
        await until(partial(given_back, jobs, edited.id))
        snapshot = await jobs.get(edited.id)

    assert (snapshot.state, snapshot.attempt) == (JobState.SCHEDULED, 0)
    assert (snapshot.run_at - snapshot.created_at).total_seconds() > 50


async def test_jobs_under_a_lost_key_keep_nobody_from_starting_directly(
    database: str, eyes: asyncpg.Connection
) -> None:
    async with jobs_with(database, OTHER).connected() as other:
        lost = await other.tasks["echo"].enqueue(WORDS)
    jobs = jobs_with(database, OLD)

    async def is_born_running() -> bool:
        job = await jobs.tasks["echo"].enqueue("hi")
        assert await job.result(20) == {"said": "hi"}
        # Claimed at the very moment that it was stored.
        started = "select claimed_at = created_at from asyncjobs.finished where id = $1"
        return bool(await eyes.fetchval(started, job.id))

    async with jobs.running():
        await until(partial(given_back, jobs, lost.id))
        await until(is_born_running)
        assert (await jobs.get(lost.id)).state is JobState.READY


@pytest.mark.parametrize("harm", ["changed", "moved to another job", "moved to another task"])
async def test_a_sealed_row_that_somebody_has_touched_fails_with_that_reason(
    database: str, eyes: asyncpg.Connection, harm: str
) -> None:
    jobs = jobs_with(database, OLD)
    told: list[Any] = []

    @jobs.task(name="tell")
    async def tell(**words: Any) -> str:
        told.append(words)
        return str(words)

    async with jobs.connected():
        job = await jobs.tasks["echo"].enqueue(WORDS)
    if harm == "changed":
        change = """
            update asyncjobs.job
            set arguments = jsonb_build_object('$sealed', overlay(arguments ->> '$sealed' placing 'XXXX' from 60))
        """
    elif harm == "moved to another job":
        change = f"update asyncjobs.job set id = '{uuid4()}'"
    else:
        change = "update asyncjobs.job set task = 'tell'"
    await eyes.execute(change)
    id = await eyes.fetchval("select id from asyncjobs.job")
    async with jobs.running():
        with pytest.raises(JobFailed, match="BrokenSeal: the arguments of job"):
            await Enqueued(id, tell).result(20)

    assert job.id == id or harm == "moved to another job"
    assert told == []


async def test_jobs_from_before_the_task_was_sealed_and_from_sql_are_run(
    database: str, eyes: asyncpg.Connection
) -> None:
    jobs = jobs_with(database, OLD)
    id = await eyes.fetchval("select asyncjobs.enqueue('echo', '{\"words\": \"hi\"}')")

    async with jobs.running():
        assert await Enqueued(id, jobs.tasks["echo"]).result(20) == {"said": "hi"}

    assert is_sealed(await eyes.fetchval("select result from asyncjobs.finished"))


async def test_jobs_that_were_sealed_are_opened_when_their_task_is_no_more(database: str) -> None:
    async with jobs_with(database, OLD).connected() as before:
        id = (await before.tasks["echo"].enqueue(WORDS)).id
    jobs = Jobs(database, encryption_keys=[OLD])

    @jobs.task(name="echo")
    async def echo(words: str) -> str:
        return words

    async with jobs.running():
        assert await Enqueued(id, echo).result(20) == WORDS
        assert (await jobs.get(id)).result == WORDS


async def test_a_plain_result_that_looks_sealed_is_refused(database: str) -> None:
    jobs = Jobs(database)

    @jobs.task(retry=never())
    async def forge() -> dict[str, str]:
        return {"$sealed": "3f9a1c22:gAAAA"}

    async with jobs.running():
        with pytest.raises(JobFailed, match="would be taken for a sealed value"):
            await (await forge.enqueue()).result(20)
