"""A blocked event loop uses up nobody's time limit."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from asyncjobs import Jobs
from asyncjobs.postgres import link as link_module
from asyncjobs.postgres.patience import patience
from tests.engine.harm import inside


async def answered(here: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(here, 100)


async def test_an_answer_that_came_while_the_loop_was_blocked_is_taken() -> None:
    here, there = socket.socketpair()
    here.setblocking(False)
    with here, there:
        asyncio.get_running_loop().call_soon(there.send, b"in time")
        asyncio.get_running_loop().call_soon(time.sleep, 0.4)
        async with patience(0.2):
            first = await answered(here)
            # A second round trip, which has to wait for the loop to turn some more.
            asyncio.get_running_loop().call_later(0.05, there.send, b"and the rest")
            second = await answered(here)

    assert (first, second) == (b"in time", b"and the rest")


async def test_where_no_answer_comes_the_limit_holds() -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with patience(0.2):
            await asyncio.Event().wait()

    assert 0.2 <= time.monotonic() - began < 1


async def test_it_holds_after_a_block_too() -> None:
    asyncio.get_running_loop().call_soon(time.sleep, 0.4)
    with pytest.raises(TimeoutError):
        async with patience(0.2):
            await asyncio.Event().wait()


async def test_a_cancellation_from_outside_stays_one() -> None:
    async def waits() -> None:
        async with patience(60):
            await asyncio.Event().wait()

    waiting = asyncio.ensure_future(waits())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_the_link_survives_a_block_longer_than_an_answer_may_take(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "LINK_ANSWER_WITHIN", 0.2)
    async with jobs.running():
        link = inside(jobs).link
        asking = asyncio.ensure_future(link.fetch("select 1 as one"))
        for _ in range(5):  # until it is sent, and in the midst of it
            await asyncio.sleep(0)
            time.sleep(0.4)
        rows = await asking

        assert rows[0]["one"] == 1
        assert link.is_up
        assert link.generation == 1
