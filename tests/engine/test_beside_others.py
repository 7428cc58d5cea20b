"""Processes beside each other: wakes, burials and the patience of a claimer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg
import pytest

from asyncjobs import Jobs
from asyncjobs.events import Event
from asyncjobs.postgres.failures import InDoubt
from tests.engine.harm import Count, inside, until_at_rest
from tests.moments import until_true


async def test_more_jobs_than_we_have_slots_wake_the_others(
    database: str, eyes: asyncpg.Connection
) -> None:
    few, many = Jobs(database, slots=1), Jobs(database, slots=10)
    ran: list[str] = []
    go = asyncio.Event()

    def make(who: str) -> Callable[[], Coroutine[Any, Any, None]]:
        async def work() -> None:
            ran.append(who)
            await go.wait()

        return work

    few.task(name="work")(make("few"))
    many.task(name="work")(make("many"))
    async with few.running(), many.running():
        for each in (few, many):
            await until_at_rest(each)
        async with eyes.transaction():
            for _ in range(5):
                await few.tasks["work"].options(connection=eyes).enqueue()
        try:
            await until_true(lambda: len(ran) == 5, 5)
        finally:
            go.set()


async def test_a_burial_that_must_wait_does_not_cost_us_our_link(
    jobs: Jobs, database: str, eyes: asyncpg.Connection
) -> None:
    other = await asyncpg.connect(database)
    async with jobs.running():
        executor = jobs.executor
        assert executor is not None
        generation = executor.link.generation
        dead = await eyes.fetchval(
            "insert into asyncjobs.process (lock_key, life, name, kind, pid, slots, tasks, version) "
            "select 12345, began_at, 'dead', 'script', 1, 1, '{}', '0' from asyncjobs.server_life returning id"
        )
        async with other.transaction():
            await other.execute("select from asyncjobs.process where id = $1 for key share", dead)
            executor._rescuer.look_for_a_while()
            executor._rescuer.is_busy(dead)
            rescues = Count(executor._ledger, "rescue")
            await until_true(lambda: rescues.calls >= 1)
            async with asyncio.timeout(2):
                await executor.link.fetch("select 1")
            after = executor.link.generation
    await other.close()
    assert after == generation


async def test_a_claimer_does_not_spin_while_somebody_holds_a_ready_row(
    jobs: Jobs, database: str, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> None: ...

    async with jobs.connected():
        await work.enqueue()
    async with eyes.transaction():
        await eyes.execute("select from asyncjobs.job for update")
        async with jobs.running():
            claims = Count(inside(jobs)._ledger, "claim")
            polls = Count(inside(jobs)._ledger, "look")
            # The looks come once a second: between the second and the fourth lie two of them.
            await until_true(lambda: polls.calls >= 2)
            before = claims.calls
            await until_true(lambda: polls.calls >= 4)
    assert claims.calls - before < 100


async def test_a_forked_child_closes_no_descriptor_that_is_not_ours(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    async with jobs.running():
        link = inside(jobs).link
        before = link.generation
        on_lost, pipes = link._follower.on_lost, []

        async def something_else_is_opened(error: object) -> None:
            pipes.append(os.pipe())
            await on_lost(error)

        link._follower.on_lost = something_else_is_opened
        await eyes.fetch(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'asyncjobs link' and datname = current_database()"
        )
        await until_true(lambda: link.generation > before and link.is_up)
        watched = {own.fileno() for own in link._guard._sockets.values()}
        assert link._connection is not None
        assert watched == {link._connection._transport.get_extra_info("socket").fileno()}
        for pipe in pipes:
            for end in pipe:
                os.close(end)


async def test_many_words_at_once_are_all_said(database: str) -> None:
    jobs = Jobs(database)
    async with jobs.connected():
        jobs.connection._waker.ready({f"{n}" + "\u2603" * 190: 1 for n in range(10)})
        await asyncio.wait_for(jobs.connection._waker.flush(), 3)
        assert not jobs.connection.troubles


async def test_an_answer_that_cannot_be_read_is_no_refusal(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    await eyes.execute("create table public.t (n int)")
    async with jobs.running():
        with pytest.raises(InDoubt):
            await inside(jobs).link.fetch(
                "insert into public.t values (1) returning '20000-01-01'::timestamptz"
            )
        assert await eyes.fetchval("select count(*) from public.t") == 1


async def test_twenty_processes_tend_the_archive_at_once(database: str) -> None:
    every = [Jobs(database) for _ in range(8)]
    from contextlib import AsyncExitStack

    async with AsyncExitStack() as stack:
        eyes = await asyncpg.connect(database)
        await eyes.execute(
            "do $$ declare p record; begin for p in select inhrelid::regclass as n from pg_inherits where inhparent = 'asyncjobs.archive'::regclass loop execute format('drop table %s', p.n); end loop; end $$"
        )
        await eyes.close()
        outcomes = await asyncio.gather(
            *(stack.enter_async_context(each.running()) for each in every), return_exceptions=True
        )
        assert not any(isinstance(o, BaseException) for o in outcomes)


async def test_a_transaction_that_the_pool_rolls_back_leaves_no_act(
    database: str, eyes: asyncpg.Connection
) -> None:
    heard: list[Event] = []

    class Ears:
        def hears(self, event: Event) -> None:
            heard.append(event)

    jobs = Jobs(database, extensions=[Ears()])

    @jobs.task
    async def work() -> None: ...

    pool = await asyncpg.create_pool(database, min_size=1, max_size=1)
    async with jobs.connected():
        connection = await pool.acquire()
        await connection.execute("begin")
        await work.options(connection=connection).enqueue()
        # asyncpg tells the loop's exception handler of the transaction that was left open.
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        await pool.release(connection)
        asyncio.get_running_loop().set_exception_handler(None)
        async with pool.acquire() as again, again.transaction():
            await again.execute("select 1")
    await pool.close()

    assert heard == []
    assert await eyes.fetchval("select count(*) from asyncjobs.job") == 0
