"""A signal is noticed when it comes: ours is the first to hear it, and not the only one."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from asyncjobs import Jobs
from asyncjobs.engine.signals import noticed
from tests.engine.harm import inside
from tests.moments import until_true

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Server:
    """What a web server has installed before us."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def handle(self, number: int, frame: FrameType | None) -> None:
        self.heard.append(number)


@pytest.fixture
def web() -> Iterator[Server]:
    """A web server's handlers are there."""
    web = Server()
    former = {number: signal.signal(number, web.handle) for number in SIGNALS}
    yield web
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_is_heard_by_us_and_by_who_was_there_before(
    web: Server, number: signal.Signals
) -> None:
    noted = asyncio.Event()
    with noticed(noted.set):
        os.kill(os.getpid(), number)
        await asyncio.wait_for(noted.wait(), 5)

    assert web.heard == [number]


async def test_afterwards_only_who_was_there_before_hears(web: Server) -> None:
    noted: list[int] = []
    with noticed(lambda: noted.append(1)):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.sleep(0)

    assert (web.heard, noted) == ([signal.SIGTERM], [])
    assert signal.getsignal(signal.SIGTERM) == web.handle


async def test_who_came_after_us_stays(web: Server) -> None:
    later = Server()
    with noticed(lambda: None):
        signal.signal(signal.SIGTERM, later.handle)

    assert signal.getsignal(signal.SIGTERM) == later.handle


async def test_a_process_that_would_die_of_the_signal_still_does() -> None:
    former = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with noticed(lambda: None):
            now = signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, former)

    assert now == signal.SIG_DFL


async def test_in_a_thread_signals_are_left_alone(web: Server) -> None:
    ended: list[bool] = []

    async def elsewhere() -> None:
        with noticed(lambda: None):
            ended.append(signal.getsignal(signal.SIGTERM) == web.handle)

    thread = threading.Thread(target=asyncio.run, args=(elsewhere(),))
    thread.start()
    await asyncio.to_thread(thread.join)

    assert ended == [True]


async def test_nothing_is_started_from_the_signal_on_though_the_server_still_answers_requests(
    jobs: Jobs,
) -> None:
    # As uvicorn does: its handler notes the signal, and the lifespan ends when the last response has.
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    ran: list[int] = []

    @jobs.task
    async def work() -> None:
        ran.append(1)

    try:
        async with jobs.running():
            await (await work.enqueue()).result(20)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(told.wait(), 5)
            await until_true(lambda: inside(jobs).is_draining)
            late = await work.enqueue()
            inside(jobs).ready(["default"])
            await until_true(inside(jobs)._presence.said_draining.is_set)
            state = await late.status()
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)

    assert (state, ran) == ("ready", [1])
