"""Enqueues inside transactions of the callers, which stay open, roll back, are prepared, or do not serialize."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from tests.faults import crew
from tests.faults.field import Field

CHAPTER = "14 Transactions of the callers"
SOON = 3.0  # seconds from a commit to the begin of its jobs, on a machine that is busy


@pytest.fixture
async def caller(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def inside(field: Field, connection: asyncpg.Connection, *, stored: bool = True) -> UUID:
    """Enqueue on a connection of the caller's."""
    desk = await field.desk()
    task = desk.tasks[crew.named("steady")]
    job = await task.options(connection=connection).enqueue()
    if stored:
        field.note_stored(job.id)
    else:
        field.forget([job.id])
    return job.id


async def begin_of(field: Field, job: UUID) -> float:
    await field.until_began([job], within=SOON)
    return min(entry.at for entry in field.entries("began") if entry.job == str(job))


async def test_one_that_stays_open_for_long_while_others_work(
    field: Field, caller: asyncpg.Connection
) -> None:
    await field.worker()
    async with field.load("steady", every=0.02):
        async with caller.transaction():
            waiting = [await inside(field, caller) for _ in range(5)]
            done = len(field.entries("ended"))
            async with asyncio.timeout(field.seconds(full=60, short=3) + 30):
                await field.until_runs(done + int(field.seconds(full=60, short=3) * 20), within=120)
            begun = {entry.job for entry in field.entries("began")}
            assert not begun & set(map(str, waiting))
        for job in waiting:
            await begin_of(field, job)


async def test_one_that_is_rolled_back(field: Field, caller: asyncpg.Connection) -> None:
    await field.worker()
    transaction = caller.transaction()
    await transaction.start()
    for _ in range(20):
        await inside(field, caller, stored=False)
    await transaction.rollback()

    kept = await inside(field, caller)
    await begin_of(field, kept)


async def test_savepoints_of_which_some_are_rolled_back(
    field: Field, caller: asyncpg.Connection
) -> None:
    await field.worker()
    kept = []
    async with caller.transaction():
        for number in range(20):
            point = caller.transaction()
            await point.start()
            job = await inside(field, caller, stored=bool(number % 2))
            if number % 2:
                await point.commit()
                kept.append(job)
            else:
                await point.rollback()

    for job in kept:
        await begin_of(field, job)


async def test_one_whose_caller_is_killed_before_its_commit(
    field: Field, caller: asyncpg.Connection, database: str
) -> None:
    await field.worker()
    doomed = await asyncpg.connect(database)
    await doomed.execute("begin")
    for _ in range(20):
        await inside(field, doomed, stored=False)
    await caller.execute("select pg_terminate_backend($1)", doomed.get_server_pid())
    doomed.terminate()

    await begin_of(field, await inside(field, caller))


@pytest.mark.full
async def test_one_that_is_prepared_and_committed_by_somebody_else(
    field: Field, caller: asyncpg.Connection, database: str
) -> None:
    await field.worker()
    preparing = await asyncpg.connect(database)
    await preparing.execute("begin")
    kept = await inside(field, preparing)
    await preparing.execute("prepare transaction 'kept'")
    await preparing.execute("begin")
    await inside(field, preparing, stored=False)
    await preparing.execute("prepare transaction 'given up'")
    await preparing.close()

    await field.until_finished(await field.enqueue("steady", n=20))
    assert str(kept) not in {entry.job for entry in field.entries("began")}
    await caller.execute("commit prepared 'kept'")
    await caller.execute("rollback prepared 'given up'")

    # Nobody of ours saw that commit: the safety poll finds it, every 30 s.
    await field.until_began([kept], within=35)


async def test_serializable_ones_of_which_one_fails(field: Field, database: str) -> None:
    await field.worker()
    one, two = await asyncpg.connect(database), await asyncpg.connect(database)
    await one.execute("create table public.money (who integer primary key, has integer)")
    await one.execute("insert into public.money values (1, 10), (2, 10)")
    failed = 0
    async with field.load("steady", every=0.01):
        for _ in range(10):
            first, second = (each.transaction(isolation="serializable") for each in (one, two))
            await first.start()
            await second.start()
            for each in (one, two):
                await each.fetchval("select sum(has) from public.money")
            kept = await inside(field, one)
            await one.execute("update public.money set has = has - 1 where who = 1")
            await first.commit()
            try:
                lost = await inside(field, two, stored=False)
                await two.execute("update public.money set has = has - 1 where who = 2")
                await second.commit()
            except asyncpg.exceptions.SerializationError:
                failed += 1
                await second.rollback()
            else:
                field.deleted.discard(str(lost))
                field.note_stored(lost)
            await begin_of(field, kept)
    assert failed
    await one.close()
    await two.close()
