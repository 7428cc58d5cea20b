"""One run: its time, its cancellation, its thread, and whatever it raises."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from asyncjobs import Cancel, Jobs, JobState, Snooze, current_job, exponential, never
from asyncjobs.engine import run
from asyncjobs.errors import JobCancelled, JobFailed
from tests.moments import until, until_state, until_true


async def test_a_timeout_cancels_a_coroutine_and_its_cleanup_may_await(jobs: Jobs) -> None:
    cleaned: list[str] = []

    @jobs.task(timeout=timedelta(milliseconds=50), retry=never())
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            # A level-triggered scope would cancel this one too.
            await asyncio.sleep(0.01)
            cleaned.append("up")

    async with jobs.running():
        handle = await work.enqueue()
        with pytest.raises(JobFailed, match=r"JobTimedOut: ran longer than its timeout of 0\.05 s"):
            await handle.result(20)

    assert cleaned == ["up"]


async def test_a_job_that_swallows_cancellation_keeps_its_slot_and_row_and_does_not_spin(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "CANCEL_AGAIN_AFTER", 0.05)
    cancels: list[float] = []

    @jobs.task(timeout=timedelta(milliseconds=10), retry=never())
    async def work() -> str:
        while len(cancels) < 3:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancels.append(time.monotonic())
                assert await handle.status() is JobState.RUNNING
                assert current_job().cancelled
        return "ended of its own accord"

    async with jobs.running():
        assert jobs.executor is not None
        handle = await work.enqueue()
        assert await handle.result(20) == "ended of its own accord"

    assert all(later - earlier > 0.04 for earlier, later in pairwise(cancels))


async def test_a_plain_function_is_told_and_never_stopped(jobs: Jobs) -> None:
    released = threading.Event()
    told: list[bool] = []

    @jobs.task(timeout=timedelta(milliseconds=30))
    def work() -> str:
        job = current_job()
        while not job.cancelled:
            time.sleep(0.005)
        told.append(True)
        released.wait(20)
        return "done"

    async with jobs.running():
        assert jobs.executor is not None
        handle = await work.enqueue()
        await until_true(lambda: told)
        # Its time is over and its body is not: the slot and the row are still taken.
        assert jobs.executor.running == [handle.id]
        assert await handle.status() is JobState.RUNNING
        released.set()
        assert await handle.result(20) == "done"


async def test_a_plain_function_that_obeys_counts_as_cancelled(jobs: Jobs) -> None:
    began = threading.Event()

    @jobs.task
    def work() -> None:
        began.set()
        while True:
            current_job().raise_if_cancelled()
            time.sleep(0.005)

    async with jobs.running():
        handle = await work.enqueue()
        await until_true(began.is_set)
        assert await jobs.cancel(handle.id)
        with pytest.raises(JobCancelled):
            await handle.result(20)


async def test_plain_functions_do_not_hold_up_the_event_loop(jobs: Jobs) -> None:
    gate = threading.Event()

    @jobs.task
    def work() -> int:
        gate.wait(20)
        return threading.get_ident()

    async with jobs.running():
        handle = await work.enqueue()
        await until_state(handle, JobState.RUNNING)
        gate.set()
        assert await handle.result(20) != threading.get_ident()


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit(), asyncio.CancelledError()]
)
async def test_no_exception_of_a_job_ends_more_than_the_job(
    jobs: Jobs, error: BaseException
) -> None:
    @jobs.task(retry=never())
    async def work() -> None:
        raise error

    async with jobs.running():
        with pytest.raises(JobFailed, match=type(error).__name__):
            await (await work.enqueue()).result(20)
        snapshot = await jobs.get((await work.enqueue()).id)
        assert snapshot.task == work.name


async def test_a_cancellation_that_nobody_asked_for_is_a_failure_and_is_tried_again(
    jobs: Jobs,
) -> None:
    tries = 0

    @jobs.task(retry=exponential(3, base=timedelta(0)))
    async def work() -> int:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise asyncio.CancelledError
        return tries

    async with jobs.running():
        job = await work.enqueue()
        assert await job.result(20) == 3
        seen = await jobs.get(job.id)

    assert seen.attempt == 3
    assert [attempt.outcome for attempt in seen.history] == ["failed", "failed"]


@pytest.mark.skipif(
    not hasattr(asyncio, "eager_task_factory"), reason="Python 3.12 brought eager tasks"
)
async def test_a_loop_with_eager_tasks_runs_times_out_and_cancels_as_any(jobs: Jobs) -> None:
    @jobs.task(timeout=timedelta(milliseconds=50), retry=never())
    async def hang() -> None:
        await asyncio.Event().wait()

    @jobs.task
    async def work(number: int) -> int:
        return number

    loop: Any = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    try:
        async with jobs.running():
            late = await hang.enqueue()
            stored = [await work.enqueue(number) for number in range(20)]
            assert [await job.result(20) for job in stored] == list(range(20))
            with pytest.raises(JobFailed, match="JobTimedOut"):
                await late.result(20)
    finally:
        loop.set_task_factory(None)


async def test_an_error_whose_str_raises_and_a_text_that_postgres_cannot_hold_are_recorded(
    jobs: Jobs,
) -> None:
    class Rude(Exception):
        def __str__(self) -> str:
            raise ValueError("no")

    @jobs.task(retry=never())
    async def rude() -> None:
        raise Rude

    @jobs.task(retry=never())
    async def odd() -> None:
        raise ValueError("nul \0 half \ud800 " + "long " * 100_000)

    async with jobs.running():
        with pytest.raises(JobFailed, match=r"Rude: <its str\(\) raised ValueError>"):
            await (await rude.enqueue()).result(20)
        with pytest.raises(JobFailed, match=r"nul \\0 half \\ud800") as caught:
            await (await odd.enqueue()).result(20)

    assert len(caught.value.traceback or "") < 20_000


async def test_the_traceback_begins_in_the_jobs_own_code(jobs: Jobs) -> None:
    @jobs.task(retry=never())
    async def work() -> None:
        raise LookupError("here")

    async with jobs.running():
        with pytest.raises(JobFailed) as caught:
            await (await work.enqueue()).result(20)

    lines = (caught.value.traceback or "").splitlines()
    assert __file__ in lines[1]
    assert "asyncjobs/engine" not in (caught.value.traceback or "")


async def test_a_snooze_costs_no_attempt_and_a_cancel_has_a_reason(jobs: Jobs) -> None:
    naps = 0

    @jobs.task
    async def sleepy() -> str | Snooze:
        nonlocal naps
        naps += 1
        return Snooze(timedelta(milliseconds=5)) if naps < 4 else "awake"

    @jobs.task
    async def unwilling() -> Cancel:
        return Cancel("no user any more")

    async with jobs.running():
        handle = await sleepy.enqueue()
        assert await handle.result(20) == "awake"
        snapshot = await jobs.get(handle.id)
        with pytest.raises(JobCancelled, match="no user any more"):
            await (await unwilling.enqueue()).result(20)

    assert snapshot.attempt == 1
    assert [attempt.outcome for attempt in snapshot.history] == ["snoozed"] * 3


async def test_a_policy_says_what_is_tried_again_and_what_is_not(jobs: Jobs) -> None:
    tries = 0

    @jobs.task(retry=exponential(5, base=timedelta(0), discard_on=(KeyError,)))
    async def work() -> None:
        nonlocal tries
        tries += 1
        raise ValueError if tries == 1 else KeyError

    async with jobs.running():
        with pytest.raises(JobFailed, match="KeyError"):
            await (await work.enqueue()).result(20)

    assert tries == 2


async def test_progress_is_stored_while_the_job_runs(jobs: Jobs) -> None:
    gate = threading.Event()

    @jobs.task
    async def work() -> None:
        await current_job().progress(0.25, "a quarter")
        stored = await jobs.get(current_job().id)
        assert (stored.progress, stored.progress_note) == (0.25, "a quarter")

    @jobs.task
    def plain() -> None:
        current_job().report(0.5, "half")
        gate.wait(20)

    async with jobs.running():
        await (await work.enqueue()).result(20)
        handle = await plain.enqueue()

        async def half() -> bool:
            return (await jobs.get(handle.id)).progress == 0.5

        await until(half)
        gate.set()
        await handle.result(20)


async def test_a_run_starts_in_the_executors_context_and_not_in_the_requests(jobs: Jobs) -> None:
    from contextvars import ContextVar

    request: ContextVar[str] = ContextVar("request", default="none")

    @jobs.task
    async def work() -> str:
        return request.get()

    async with jobs.running():
        request.set("of a user")
        assert await (await work.enqueue()).result(20) == "none"


async def test_a_late_attempt_is_not_made_when_its_window_has_closed(jobs: Jobs) -> None:
    @jobs.task(retry=exponential(5, base=timedelta(minutes=1), within=timedelta(seconds=1)))
    async def work() -> None:
        raise ValueError

    async with jobs.running():
        with pytest.raises(JobFailed):
            await (await work.enqueue()).result(20)


async def test_the_deadline_is_known_to_the_job(jobs: Jobs, eyes: asyncpg.Connection) -> None:
    @jobs.task(timeout=timedelta(hours=1))
    async def work() -> float:
        deadline = current_job().deadline
        assert deadline is not None
        return deadline.timestamp() - time.time()

    async with jobs.running():
        left = await (await work.enqueue()).result(20)

    assert 3590 < left <= 3600
