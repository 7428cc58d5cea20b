"""A plain function's run is over when the function has ended, whoever cancels the task that waits for it."""

from __future__ import annotations

import asyncio
import threading

import anyio
import pytest

from asyncjobs.engine.thread import Inside, in_thread
from tests.moments import until_true


async def test_who_is_cancelled_while_the_function_runs_waits_for_its_end() -> None:
    began, go = threading.Event(), threading.Event()

    def body() -> None:
        began.set()
        go.wait(20)

    run = asyncio.ensure_future(in_thread(body, anyio.CapacityLimiter(1)))
    await until_true(began.is_set)
    for _ in range(3):
        run.cancel()
        await asyncio.wait([run], timeout=0.01)
    went_on = not run.done()
    go.set()

    with pytest.raises(asyncio.CancelledError):
        await run
    assert went_on


async def test_a_function_that_has_not_begun_when_its_task_is_cancelled_never_runs() -> None:
    called: list[int] = []
    inside = Inside(lambda: called.append(1))

    goes_on = inside.goes_on()
    inside()

    assert not goes_on
    assert not called


async def test_what_waits_for_a_thread_can_be_cancelled() -> None:
    threads, called = anyio.CapacityLimiter(1), threading.Event()
    await threads.acquire_on_behalf_of("somebody else")
    run = asyncio.ensure_future(in_thread(called.set, threads))
    await until_true(lambda: threads.statistics().tasks_waiting)

    run.cancel()

    with pytest.raises(asyncio.CancelledError):
        await run
    assert not called.is_set()
