"""SIGTERM, SIGINT and Ctrl-C: what serves the app ends in its time, and no job loses anything by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import httpx2 as httpx
import pytest

from tests.faults.field import Field, Web
from tests.faults.process import Process
from tests.faults.serving import (
    GUNICORN,
    HOSTS,
    SLOTS,
    UVICORN,
    WAYS,
    WEB_HOSTS,
    Host,
    ended,
    tell,
)
from tests.moments import until, until_true

CHAPTER = "03 Processes are told to end (SIGTERM, SIGINT, Ctrl-C)"
EACH_BY_ITSELF = True

ENDS_WITHIN = 10.0  # seconds, with drains of two at most; a platform waits for as long

full = pytest.mark.full

# gunicorn that is told alone by SIGINT is a story of its own, below.
EVERY = [(host, way) for host in HOSTS for way in WAYS if (host, way) != ("gunicorn", "SIGINT")]


def each(*in_short: tuple[str, str]) -> pytest.MarkDecorator:
    """Every host in every way; those that tell most in the short form too."""
    cases = [pytest.param(*case, marks=() if case in in_short else full) for case in EVERY]
    return pytest.mark.parametrize(("host", "way"), cases)


@each(
    ("uvicorn", "SIGTERM"),
    ("uvicorn with 4 workers", "Ctrl-C"),
    ("gunicorn", "SIGTERM"),
    ("asyncjobs work with 2 processes", "SIGTERM"),
)
async def test_with_short_jobs_and_long_ones(field: Field, host: str, way: str) -> None:
    process = await HOSTS[host].start(field, drain=2)
    short, long = gates(field)
    quick = await field.enqueue("held_by", str(short), n=HOSTS[host].slots // 2)
    slow = await field.enqueue("held_by", str(long), n=HOSTS[host].slots // 2)
    await field.until_began([*quick, *slow])
    waiting = await field.enqueue("steady", n=3)

    tell(process, way)
    await until_draining(field, process)
    short.touch()
    code, took = await ended(field, process, within=20)

    assert code == expected_code(host, way)
    assert took < ENDS_WITHIN
    assert all(len(field.runs_of(job)) == 1 for job in [*quick, *slow])
    assert not any(field.runs_of(job) for job in waiting)
    if not may_be_forced(host, way):
        assert await left(field) == dict.fromkeys([*slow, *waiting], "ready")
    await next_one(field, long)


@each(
    ("uvicorn", "Ctrl-C"),
    ("asyncjobs work", "SIGTERM"),
    ("asyncjobs work with 2 processes", "Ctrl-C"),
)
async def test_twice_in_a_row(field: Field, host: str, way: str) -> None:
    at_once = host.startswith("asyncjobs")
    process = await HOSTS[host].start(field, drain=8 if at_once else 1)
    if host in WEB_HOSTS:
        process.allow(
            "Traceback"
        )  # uvicorn's own, of a lifespan that it cuts short at the second SIGINT
    _, long = gates(field)
    slow = await field.enqueue("held_by", str(long), n=HOSTS[host].slots)
    await field.until_began(slow)

    tell(process, way)
    await until_draining(field, process)
    tell(process, way)
    code, took = await ended(field, process, within=20)

    assert code == expected_code(host, way, twice=True)
    assert took < ENDS_WITHIN
    if at_once:  # with its jobs in its hands
        assert took < 5
        assert await left(field) == dict.fromkeys(slow, "running")
    await next_one(field, long)
    await none_is_charged(field)


@each(
    ("uvicorn", "SIGINT"),
    ("gunicorn", "SIGTERM"),
    ("asyncjobs work", "SIGTERM"),
)
async def test_with_a_job_that_ignores_cancellation(field: Field, host: str, way: str) -> None:
    await ends_with_overdue(field, host, way, "deaf")


@each(
    ("uvicorn", "SIGINT"),
    ("uvicorn with 4 workers", "SIGTERM"),
    ("asyncjobs work with 2 processes", "SIGTERM"),
)
async def test_with_a_function_stuck_in_its_thread(field: Field, host: str, way: str) -> None:
    await ends_with_overdue(field, host, way, "thread_held_by")


async def ends_with_overdue(field: Field, host: str, way: str, task: str) -> None:
    """Let it end with jobs that do not; the next process starts them, and it is nobody's fault."""
    process = await HOSTS[host].start(field, drain=0.2)
    _, long = gates(field)
    slots = HOSTS[host].slots
    overdue = await field.enqueue(task, str(long), n=slots // 2)
    slow = await field.enqueue("held_by", str(long), n=slots // 2)
    await field.until_began([*overdue, *slow])

    tell(process, way)
    code, took = await ended(field, process, within=20)

    assert code == expected_code(host, way, overdue=True)
    assert took < ENDS_WITHIN
    if not may_be_forced(host, way):
        there = await left(field)
        assert there.keys() == {*overdue, *slow}
        assert all(there[job] == "ready" for job in slow)
    await next_one(field, long)
    if not may_be_forced(host, way):
        await none_is_charged(field)


@pytest.mark.parametrize(
    "host", [pytest.param(host, marks=() if host == "uvicorn" else full) for host in WEB_HOSTS]
)
async def test_while_a_dashboard_is_open(field: Field, host: str) -> None:
    web = await HOSTS[host].start(field, drain=0.5)
    assert isinstance(web, Web)
    _, long = gates(field)
    slow = await field.enqueue("held_by", str(long), n=HOSTS[host].slots)
    await field.until_began(slow)
    async with open_dashboard(web) as pages:
        await until_true(lambda: len(pages) > 3)
        tell(web, "SIGTERM")
        code, took = await ended(field, web, within=20)

    assert code == expected_code(host, "SIGTERM")
    assert took < ENDS_WITHIN
    assert await left(field) == dict.fromkeys(slow, "ready")
    await next_one(field, long)


async def test_with_a_response_that_never_ends(field: Field) -> None:
    # uvicorn waits for it for ever, unless it is told not to: so it never comes to the drain.
    host = Host(UVICORN)
    web = await host.start(field)
    assert isinstance(web, Web)
    _, long = gates(field)
    slow = await field.enqueue("held_by", str(long), n=host.slots // 2)
    await field.until_began(slow)
    async with open_stream(web):
        tell(web, "SIGTERM")
        await until_draining(field, web)
        waiting = await field.enqueue("steady", n=3)
        await field.lasts(full=10, short=1)  # the patience of the platform
        await field.kill(web)

    assert not any(field.runs_of(job) for job in waiting)
    await next_one(field, long)
    await none_is_charged(field)


@pytest.mark.parametrize("host", ["uvicorn", pytest.param("uvicorn with 4 workers", marks=full)])
async def test_with_a_response_that_never_ends_and_a_limit(field: Field, host: str) -> None:
    limited = [*(HOSTS[host].command or ()), "--timeout-graceful-shutdown", "1"]
    web = await Host(limited, HOSTS[host].processes).start(field, drain=0.5)
    assert isinstance(web, Web)
    web.allow("Traceback", "CancelledError")  # uvicorn's, about the response that it cut off
    _, long = gates(field)
    slow = await field.enqueue("held_by", str(long), n=HOSTS[host].slots)
    await field.until_began(slow)
    async with open_stream(web):
        tell(web, "SIGTERM")
        code, took = await ended(field, web, within=20)

    assert code == expected_code(host, "SIGTERM")
    assert took < ENDS_WITHIN
    assert await left(field) == dict.fromkeys(slow, "ready")
    await next_one(field, long)


async def test_gunicorn_alone_by_sigint(field: Field) -> None:
    # It passes SIGQUIT on, which its uvicorn workers do not understand, and kills them when its patience is over.
    host = Host([*GUNICORN, "--graceful-timeout", "2"], 2)
    web = await host.start(field)
    _, long = gates(field)
    slow = await field.enqueue("held_by", str(long), n=host.slots)
    await field.until_began(slow)
    field.harm(*field.pids_of(web))

    tell(web, "SIGINT")
    code, took = await ended(field, web, within=20)

    assert code == 0
    assert took < ENDS_WITHIN
    await next_one(field, long)


async def test_a_reload_because_a_file_has_changed(field: Field) -> None:
    watched = field.directory / "watched.py"
    watched.touch()
    web = await HOSTS["uvicorn that reloads"].start(field, drain=0.2)
    _, long = gates(field)
    slow = await field.enqueue("held_by", str(long), n=SLOTS)
    await field.until_began(slow)
    [before] = field.pids_of(web)
    field.harm(before)

    watched.touch()
    await field.until_up(web, 2)
    await field.until_gone(before)

    await field.until_began_again(slow)
    long.touch()
    await field.until_finished(slow)
    await none_is_charged(field)


def gates(field: Field) -> tuple[Path, Path]:
    """What short jobs wait for, and what long ones do."""
    return field.directory / "short", field.directory / "long"


def expected_code(host: str, way: str, *, twice: bool = False, overdue: bool = False) -> int:
    """Tell with which exit code it ends."""
    match host:
        case "uvicorn" if way == "SIGTERM":
            return -WAYS[way]  # it ends itself by the signal that it got
        case "uvicorn":
            return int(overdue)  # something was left behind
        case "asyncjobs work" if twice:
            return -WAYS[way]
        case "asyncjobs work with 2 processes":
            return int(twice)  # something was killed
        case _:
            return 0


def may_be_forced(host: str, way: str) -> bool:
    """
    Tell whether uvicorn may take one Ctrl-C for two, and end without a drain.

    Its children hear the terminal, and then SIGTERM from their parent. Mostly in this order.
    """
    return way == "Ctrl-C" and host in ("uvicorn with 4 workers", "uvicorn that reloads")


async def until_draining(field: Field, process: Process) -> None:
    """Wait until all that run jobs have said in Postgres that they drain."""
    number = len(field.pids_of(process))
    say = "select count(*) = $1 from asyncjobs.process where draining"

    async def all_say_so() -> bool:
        [[they_do]] = await field.look(say, number)
        return bool(they_do)

    await until(all_say_so)


async def left(field: Field) -> dict[UUID, str]:
    """Give the state of each unfinished job; what was given back has all its attempts."""
    rows = await field.look("select id, state, attempt, crashes from asyncjobs.job")
    assert all(
        (row["attempt"], row["crashes"]) == (0, 0) for row in rows if row["state"] == "ready"
    )
    return {row["id"]: row["state"] for row in rows}


async def next_one(field: Field, long: Path) -> None:
    """Start another, which finishes what there is."""
    long.touch()
    await field.worker("next")
    await field.until_finished(within=20)


async def none_is_charged(field: Field) -> None:
    """See that no job is held guilty of an end that others decided on."""
    assert not await field.look("select id from asyncjobs.finished where crashes > 0")


@asynccontextmanager
async def open_dashboard(web: Web) -> AsyncIterator[list[int]]:
    """Be a browser with the list of jobs open: it asks again and again, and keeps its connection."""
    answers: list[int] = []

    async def ask() -> None:
        async with httpx.AsyncClient(base_url=web.url, timeout=5) as client:
            while True:
                answers.append((await client.get("/jobs/")).status_code)
                await asyncio.sleep(0.1)

    asking = asyncio.create_task(ask())
    try:
        yield answers
    finally:
        asking.cancel()
        await asyncio.wait([asking])
    assert set(answers) == {200}


@asynccontextmanager
async def open_stream(web: Web) -> AsyncIterator[None]:
    """Be a browser with a page open whose response never ends."""
    async with (
        httpx.AsyncClient(base_url=web.url, timeout=5) as client,
        client.stream("GET", "/stream") as response,
    ):
        await anext(response.aiter_bytes())
        yield
