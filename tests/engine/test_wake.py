"""Wakes: at once here, by NOTIFY elsewhere, after the commit, bounded, and with a trailing edge."""

from __future__ import annotations

import asyncio

import asyncpg

from asyncjobs import Jobs
from asyncjobs.engine import wake
from tests.engine.harm import cut, until_at_rest
from tests.moments import until_true


async def listening(database: str, heard: list[str]) -> asyncpg.Connection:
    connection = await asyncpg.connect(database)
    await connection.add_listener("asyncjobs", lambda *message: heard.append(message[-1]))
    return connection


async def test_a_process_that_enqueues_and_leaves_has_woken_the_others(
    jobs: Jobs, database: str
) -> None:
    ran = asyncio.Event()

    @jobs.task(name="t")
    async def work() -> None:
        ran.set()

    leaving = Jobs(database)

    @leaving.task(name="t")
    async def same() -> None: ...

    async with jobs.running():
        async with leaving.connected():
            await same.enqueue()
        await asyncio.wait_for(ran.wait(), 10)


async def test_many_commits_make_few_notifications_and_the_last_is_not_lost(database: str) -> None:
    jobs = Jobs(database)
    heard: list[str] = []
    connection = await listening(database, heard)

    @jobs.task
    async def work() -> None: ...

    loop = asyncio.get_running_loop()
    began = loop.time()
    async with jobs.connected():
        for _ in range(200):
            await work.enqueue()
        await work.options(queue="last").enqueue()
        await until_true(lambda: any("last" in message for message in heard))
    took = loop.time() - began
    await connection.close()

    assert len(heard) <= took / wake.PAUSE + 2


async def test_a_rolled_back_transaction_wakes_nobody(jobs: Jobs, database: str) -> None:
    heard: list[str] = []
    connection, caller = await listening(database, heard), await asyncpg.connect(database)

    @jobs.task
    async def work() -> None: ...

    async with jobs.connected():
        transaction = caller.transaction()
        await transaction.start()
        await work.options(connection=caller, queue="gone").enqueue()
        await transaction.rollback()
        await work.options(queue="stored").enqueue()
        await until_true(lambda: any("stored" in message for message in heard))
    await connection.close()
    await caller.close()

    assert not any("gone" in message for message in heard)


async def test_an_open_transaction_does_not_use_up_the_wake_of_another(
    jobs: Jobs, database: str
) -> None:
    # One has enqueued and stays open; the other commits in the same moment.
    heard: list[str] = []
    connection = await listening(database, heard)
    first, second = await asyncpg.connect(database), await asyncpg.connect(database)

    @jobs.task
    async def work() -> None: ...

    async with jobs.connected(), first.transaction():
        await work.options(connection=first, queue="open").enqueue()
        async with second.transaction():
            await work.options(connection=second, queue="committed").enqueue()
        await until_true(lambda: any("committed" in message for message in heard))
        assert not any("open" in message for message in heard)
    for each in (connection, first, second):
        await each.close()


async def test_what_goes_back_to_wait_wakes_too(jobs: Jobs, database: str) -> None:
    # A job that its process gives back at shutdown is taken by another at once, not at its poll.
    started = asyncio.Event()
    runs = 0
    other = Jobs(database)

    async def body() -> int:
        nonlocal runs
        runs += 1
        if runs == 1:
            started.set()
            await asyncio.Event().wait()
        return runs

    jobs.task(name="t")(body)
    work = other.task(name="t")(body)
    async with other.connected():
        handle = await work.enqueue()
        short = Jobs(database, drain=jobs._terms.drain * 0)
        short.task(name="t")(body)
        async with short.running():
            await started.wait()
            taker = Jobs(database, slots=1)
            taker.task(name="t")(body)
            entered = taker.running()
            await entered.__aenter__()
        assert await handle.result(10) == 2
        await entered.__aexit__(None, None, None)


async def test_a_message_that_makes_no_sense_is_passed_over(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    @jobs.task
    async def work() -> int:
        return 1

    async with jobs.running():
        for nonsense in (
            "",
            "no json",
            "[]",
            "5",
            '{"ready": 5}',
            '{"due": "soon"}',
            '{"words": 3}',
        ):
            await eyes.execute("select pg_notify('asyncjobs', $1)", nonsense)
        assert await (await work.enqueue()).result(20) == 1


async def test_others_are_told_of_what_is_ready_when_a_link_was_lost(
    database: str, eyes: asyncpg.Connection
) -> None:
    # What was sent last on it, a rescue or a promotion, may have been done, and its answer never came.
    heard: list[str] = []
    ears = await listening(database, heard)
    jobs = Jobs(database, queues=["mine"])
    async with jobs.running():
        await until_at_rest(jobs)
        await eyes.execute(
            """
            insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments)
            values (gen_random_uuid(), 't', 'theirs', 'ready', now(), now(), '{}')
            """
        )
        await cut(eyes, "asyncjobs link")

        await until_true(lambda: any('"theirs"' in words for words in heard))
    await ears.close()
