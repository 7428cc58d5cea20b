"""A loop knows where it runs: here, in another thread, or nowhere any more."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest

from asyncjobs.engine.own_loop import OwnLoop


async def test_it_runs_where_it_was_made_and_in_no_other_thread() -> None:
    own = OwnLoop()

    def elsewhere() -> bool:
        async def look() -> bool:
            return own.runs_here

        return asyncio.run(look())

    assert own.runs_here
    assert own.loop is asyncio.get_running_loop()
    assert not await asyncio.to_thread(elsewhere)
    with pytest.raises(RuntimeError):
        await asyncio.to_thread(lambda: own.runs_here)
    assert own.runs_here


def test_the_next_loop_of_a_thread_is_another() -> None:
    async def make() -> OwnLoop:
        return OwnLoop()

    async def look(own: OwnLoop) -> bool:
        return own.runs_here

    with asyncio.Runner() as first:
        own = first.run(make())
        assert first.run(look(own))
        threads: list[bool] = []
        moved = threading.Thread(
            target=lambda: threads.append(first.get_loop().run_until_complete(look(own)))
        )
        moved.start()
        moved.join()
        assert threads == [True]
    assert not asyncio.run(look(own))


async def test_in_a_forked_child_it_does_not_run() -> None:
    own = OwnLoop()

    async def look() -> bool:
        return own.runs_here

    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            asyncio.events._set_running_loop(None)
            os.write(write, b"here" if asyncio.run(look()) else b"elsewhere")
        finally:
            os._exit(0)
    os.close(write)
    told = os.read(read, 20)
    os.close(read)
    os.waitpid(child, 0)

    assert told == b"elsewhere"
    assert own.runs_here
