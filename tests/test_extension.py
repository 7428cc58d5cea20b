"""Listeners and services, in a `Jobs` that really runs."""

from __future__ import annotations

import asyncio
import logging

import pytest

from asyncjobs import (
    CurrentJob,
    Extension,
    Jobs,
)
from asyncjobs.events import Event
from asyncjobs.extension import Around, CallNext, Hears, Serves
from tests.moments import until_true


class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def hears(self, event: Event) -> None:
        self.heard.append(type(event).__name__)


class Deaf:
    def hears(self, event: Event) -> None:
        raise RuntimeError("I am deaf")


class Service:
    """Fails as often as it is told to, then works until it is cancelled."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.starts = 0
        self.works = asyncio.Event()
        self.ended = False

    async def serve(self) -> None:
        self.starts += 1
        if self.starts <= self.failures:
            raise RuntimeError(f"failure {self.starts}")
        self.works.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


async def test_every_listener_is_told(database: str) -> None:
    one, other = Listener(), Listener()
    jobs = Jobs(database, extensions=[one, other])

    @jobs.task
    async def work() -> None: ...

    async with jobs.running():
        await (await work.enqueue()).result(20)

    assert one.heard == other.heard
    assert set(one.heard) == {"Stored", "Claimed", "Started", "Finished"}


async def test_a_listener_that_raises_harms_nobody_and_is_logged(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Listener()
    jobs = Jobs(database, extensions=[Deaf(), listener])

    @jobs.task
    async def work() -> str:
        return "done"

    async with jobs.running():
        assert await (await work.enqueue()).result(20) == "done"

    assert "Finished" in listener.heard
    logged = [record for record in caplog.records if record.exc_info]
    assert logged
    assert all("a listener failed" in record.message for record in logged)


async def test_listeners_are_told_where_nothing_runs_too(database: str) -> None:
    listener = Listener()
    jobs = Jobs(database, extensions=[listener])

    @jobs.task
    async def work() -> None: ...

    async with jobs.connected():
        await work.enqueue()

    assert listener.heard == ["Stored"]


async def test_a_service_lives_as_long_as_the_executor(database: str) -> None:
    service = Service()
    jobs = Jobs(database, extensions=[service])

    async with jobs.running():
        await service.works.wait()
        assert not service.ended

    assert service.ended
    assert service.starts == 1


async def test_a_service_that_fails_is_started_again_and_counted(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service(failures=2)
    jobs = Jobs(database, extensions=[service])

    @jobs.task
    async def work() -> str:
        return "done"

    async with jobs.running():
        await service.works.wait()

        assert jobs.executor is not None
        assert list(jobs.executor.troubles.values()) == [2]
        assert await (await work.enqueue()).result(20) == "done"

    logged = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert ["Service" in record.message for record in logged] == [True, True]


async def test_two_services_of_one_kind_both_run(database: str) -> None:
    one, other = Service(), Service()
    jobs = Jobs(database, extensions=[one, other])

    async with jobs.running():
        await until_true(lambda: one.works.is_set() and other.works.is_set(), within=3)


async def test_a_service_does_not_run_where_nothing_runs(database: str) -> None:
    service = Service()
    jobs = Jobs(database, extensions=[service])

    async with jobs.connected():
        await asyncio.sleep(0)

    assert service.starts == 0


async def test_an_extension_may_fill_all_sockets(database: str) -> None:
    class All(Service, Listener):
        def __init__(self) -> None:
            Service.__init__(self)
            Listener.__init__(self)

        async def around(self, job: CurrentJob, call_next: CallNext) -> object:
            return await call_next()

    extension = All()
    assert isinstance(extension, Around)
    assert isinstance(extension, Hears)
    assert isinstance(extension, Serves)
    filled: Extension = extension
    jobs = Jobs(database, extensions=[filled])

    @jobs.task
    async def work() -> str:
        return "done"

    async with jobs.running():
        assert await (await work.enqueue()).result(20) == "done"
        await extension.works.wait()

    assert "Finished" in extension.heard
