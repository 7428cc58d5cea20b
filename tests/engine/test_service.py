"""A service goes on whatever happens to it, and ends only when it is cancelled or has ended itself."""

from __future__ import annotations

import asyncio
import logging

import anyio
import pytest

from asyncjobs.engine import service
from asyncjobs.engine.service import Troubles, keep
from asyncjobs.errors import Unavailable
from asyncjobs.health import Verdict


class Clock:
    """Stands in for sleeping: writes down how long, and lets nobody wait."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.now = 0.0

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(service, "anyio", clock)
    monkeypatch.setattr(service, "time", clock)
    return clock


class Patient:
    """Fails so many times, each after it has worked for a while; then ends."""

    def __init__(self, clock: Clock, failures: int, works: float = 0.0) -> None:
        self.clock, self.failures, self.works = clock, failures, works
        self.starts = 0

    async def serve(self) -> None:
        self.starts += 1
        self.clock.now += self.works
        if self.starts <= self.failures:
            raise KeyError(self.starts)


async def test_a_service_that_ends_is_not_started_again(clock: Clock) -> None:
    patient, troubles = Patient(clock, failures=0), Troubles()

    await keep("patient", patient.serve, troubles)

    assert (patient.starts, troubles) == (1, {})


async def test_a_service_that_fails_is_started_again_and_counted(clock: Clock) -> None:
    patient, troubles = Patient(clock, failures=3), Troubles()

    await keep("patient", patient.serve, troubles)

    assert (patient.starts, troubles) == (4, {"patient": 3})


async def test_the_pause_grows_up_to_a_limit(clock: Clock) -> None:
    await keep("patient", Patient(clock, failures=12).serve, Troubles())

    assert clock.pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert clock.pauses[-1] == 30.0


async def test_after_a_calm_time_the_next_failure_is_a_first_one(clock: Clock) -> None:
    await keep("patient", Patient(clock, failures=5, works=61).serve, Troubles())

    assert clock.pauses == [0.1] * 5


async def test_failures_in_a_row_are_told_until_it_has_been_calm(clock: Clock) -> None:
    troubles = Troubles()
    await keep("patient", Patient(clock, failures=4).serve, troubles)

    [found] = troubles.found(clock.now)

    assert found.verdict is Verdict.FAIL
    assert found.words == "patient fails again and again, 4 times now, with KeyError"
    assert not found.restart_helps
    assert list(troubles.found(clock.now + service.CALM_AFTER + 1)) == []


async def test_failures_that_last_are_mended_by_a_restart(clock: Clock) -> None:
    troubles = Troubles()
    await keep("patient", Patient(clock, failures=12).serve, troubles)

    [found] = troubles.found(clock.now)

    assert found.restart_helps


async def test_what_postgres_says_is_not_mended_by_a_restart(clock: Clock) -> None:
    troubles = Troubles()

    async def serve() -> None:
        if troubles.get("claim", 0) < 12:
            raise Unavailable("claim", "permission denied")

    await keep("claim", serve, troubles)

    [found] = troubles.found(clock.now)
    assert found.verdict is Verdict.FAIL
    assert not found.restart_helps


async def test_a_failure_or_two_are_only_told(clock: Clock) -> None:
    troubles = Troubles()
    await keep("patient", Patient(clock, failures=2).serve, troubles)

    [found] = troubles.found(clock.now)

    assert found.verdict is Verdict.WARN
    assert found.words == "patient has failed 2 times lately, with KeyError"


async def test_those_that_may_fail_are_only_told(clock: Clock) -> None:
    troubles = Troubles()
    await keep("guest", Patient(clock, failures=12).serve, troubles)

    assert [found.verdict for found in troubles.found(clock.now, {"guest"})] == [Verdict.WARN]


async def test_every_failure_is_logged_with_its_traceback(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    await keep("patient", Patient(clock, failures=1).serve, Troubles())

    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert "patient failed" in record.message
    assert record.exc_info


async def test_cancellation_is_not_a_failure() -> None:
    troubles = Troubles()

    async with anyio.create_task_group() as group:
        group.start_soon(keep, "sleeper", anyio.sleep_forever, troubles)
        await asyncio.sleep(0)
        group.cancel_scope.cancel()

    assert troubles == {}
