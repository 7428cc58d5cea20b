"""Who is watched: whoever is at work, with one long job or with many short ones, and until it rests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncjobs import Jobs
from asyncjobs.engine import presence
from tests.engine.harm import Count, inside, until_at_rest
from tests.moments import until_true


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work is long, and rest is rest, after moments."""
    monkeypatch.setattr(presence, "BUSY_AFTER", 0.1)
    monkeypatch.setattr(presence, "REST_AFTER", 0.3)
    monkeypatch.setattr(presence, "TICK", 0.02)


def listen(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write down when it says that it is busy, or calm."""
    said: list[str] = []
    say = inside(jobs)._presence._say

    def heard(**words: Any) -> None:
        said.extend(word for word in words if word in ("busy", "calm"))
        say(**words)

    monkeypatch.setattr(inside(jobs)._presence, "_say", heard)
    return said


async def test_who_runs_short_jobs_one_after_another_says_busy_once_and_calm_when_it_rests(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    @jobs.task
    async def short() -> None:
        await asyncio.sleep(0.01)

    async with jobs.running():
        await until_at_rest(jobs)
        said = listen(jobs, monkeypatch)
        while "busy" not in said:
            await (await short.enqueue()).result(10)
        for _ in range(5):
            await (await short.enqueue()).result(10)
        at_work = list(said)
        await until_true(lambda: "calm" in said)

    assert at_work == ["busy"]
    assert said == ["busy", "calm"]


async def test_who_holds_one_job_for_long_says_busy(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = asyncio.Event()

    @jobs.task
    async def long() -> None:
        await go.wait()

    async with jobs.running():
        await until_at_rest(jobs)
        said = listen(jobs, monkeypatch)
        await long.enqueue()
        await until_true(lambda: said == ["busy"])
        go.set()
        await until_true(lambda: said == ["busy", "calm"])


async def test_a_word_that_jobs_are_ready_makes_others_look_and_many_words_no_more_than_one(
    jobs: Jobs,
) -> None:
    async with jobs.running():
        await until_at_rest(jobs)
        inside(jobs)._rescuer._watch_until = 0.0
        await until_true(lambda: not inside(jobs)._rescuer._is_watching)
        looks = Count(inside(jobs)._ledger, "look")
        for _ in range(20):
            inside(jobs).on_message('{"from": 0, "ready": ["default"]}')
        await until_true(lambda: looks.calls)
        for _ in range(20):
            inside(jobs).on_message('{"from": 0, "ready": ["default"]}')
            await asyncio.sleep(0)

        assert looks.calls == 1
        assert inside(jobs)._rescuer._is_watching
