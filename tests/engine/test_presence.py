"""An answer may be lost; a row may not. The beat, the lease, and being buried."""

from __future__ import annotations

import asyncio

import asyncpg

from asyncjobs import Jobs, JobState
from asyncjobs.engine import presence
from asyncjobs.events import Event, Lost
from asyncjobs.postgres.dial import dial
from tests.engine.harm import cut, proxied
from tests.moments import until, until_true


class Ears:
    def __init__(self) -> None:
        self.heard: list[Event] = []

    def hears(self, event: Event) -> None:
        self.heard.append(event)


async def test_a_row_that_is_ours_and_that_we_never_heard_of_is_given_back_and_runs(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    # The claim committed and its answer was lost: our lock lives, so nobody else will rescue it.
    @jobs.task(name="t")
    async def work() -> str:
        return "ran"

    async with jobs.running():
        assert jobs.executor is not None
        id = await eyes.fetchval(
            """
            insert into asyncjobs.job
              (id, task, queue, state, run_at, promise, arguments, attempt, fence, claimed_by, claimed_at)
            values (gen_random_uuid(), 't', 'default', 'running', now(), now(), '{}', 1, 1, $1, now())
            returning id
            """,
            jobs.executor.process_id,
        )
        jobs.executor.doubt()

        async def ended() -> bool:
            return (await jobs.get(id)).state is JobState.SUCCEEDED

        await until(ended)
        snapshot = await jobs.get(id)

    assert snapshot.attempt == 1
    assert [attempt.outcome for attempt in snapshot.history] == ["released"]


async def test_a_claim_whose_answer_is_lost_runs_all_the_same(
    database: str, eyes: asyncpg.Connection
) -> None:
    # The server's answer to the claim vanishes and the connection is reset: the rows are running and
    # ours, and the next generation's first beat finds them.
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)

        @jobs.task(name="t")
        async def work() -> int:
            return 1

        async with jobs.running():
            assert jobs.executor is not None

            async def store() -> None:
                await eyes.execute(
                    """
                    insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments)
                    values (gen_random_uuid(), 't', 'default', 'ready', now(), now(), '{}')
                    """
                )
                jobs.executor.ready(["default"])  # type: ignore[union-attr]

            async def done(count: int) -> bool:
                query = "select count(*) from asyncjobs.finished where state = 'succeeded'"
                return bool(await eyes.fetchval(query) == count)

            # One goes through, so that the claim is prepared and nothing else is on its way.
            await store()
            await until(lambda: done(1))
            await jobs.executor.link.fetch("select 1")
            proxy.swallow()
            await store()

            async def claimed_unheard() -> bool:
                return bool(
                    await eyes.fetchval(
                        "select count(*) from asyncjobs.job where state = 'running'"
                    )
                )

            await until(claimed_unheard)
            assert not jobs.executor.running
            proxy.hang_up()
            proxy.swallow(on=False)

            await until(lambda: done(2))


async def test_a_run_that_postgres_does_not_know_is_cancelled_and_told(
    database: str, eyes: asyncpg.Connection
) -> None:
    ears = Ears()
    jobs = Jobs(database, extensions=[ears])
    started, cancelled = asyncio.Event(), asyncio.Event()

    @jobs.task
    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with jobs.running():
        assert jobs.executor is not None
        handle = await work.enqueue()
        await started.wait()
        await eyes.execute("delete from asyncjobs.job where id = $1", handle.id)
        jobs.executor.doubt()
        await asyncio.wait_for(cancelled.wait(), 20)
        await until_true(lambda: any(isinstance(event, Lost) for event in ears.heard))


async def test_somebody_elses_wish_to_cancel_reaches_a_running_job(
    jobs: Jobs, database: str
) -> None:
    started = asyncio.Event()

    @jobs.task
    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    elsewhere = Jobs(database)
    async with jobs.running(), elsewhere.connected():
        handle = await work.enqueue()
        await started.wait()

        assert await elsewhere.cancel(handle.id)

        async def ended() -> bool:
            return await handle.status() is JobState.CANCELLED

        # Sooner than the next beat would tell: by NOTIFY.
        await until(ended, within=presence.BEAT - 1)


async def test_a_job_goes_on_when_the_link_alone_is_cut(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    started, gate = asyncio.Event(), asyncio.Event()

    @jobs.task
    async def work() -> str:
        started.set()
        await gate.wait()
        return "once"

    async with jobs.running():
        assert jobs.executor is not None
        link = jobs.executor.link
        handle = await work.enqueue()
        await started.wait()
        generation = link.generation
        await cut(eyes, "asyncjobs link")
        await until_true(lambda: link.is_up and link.generation > generation)
        gate.set()

        assert await handle.result(20) == "once"
        assert (await jobs.get(handle.id)).history == ()


async def test_a_lease_speaks_for_us_while_the_link_is_down(
    database: str, eyes: asyncpg.Connection
) -> None:
    started, gate = asyncio.Event(), asyncio.Event()
    async with proxied(database) as proxy:
        jobs = Jobs(database)

        @jobs.task
        async def work() -> str:
            started.set()
            await gate.wait()
            return "once"

        async with jobs.running():
            assert jobs.executor is not None
            link = jobs.executor.link
            # The pool goes straight to Postgres, the link through a proxy that will hang up.
            link._connect = dial(proxy.dsn, None)
            await cut(eyes, "asyncjobs link")
            await until_true(lambda: link.is_up and link.generation == 2)
            handle = await work.enqueue()
            await started.wait()
            proxy.refuse()
            proxy.hang_up()

            async def leased() -> bool:
                return bool(
                    await eyes.fetchval(
                        "select lease_until > now() + interval '10 s' from asyncjobs.process"
                    )
                )

            await until(leased)
            assert jobs.executor.running == [handle.id]
            # Another process looks twice and more, and takes nothing.
            other = Jobs(database, queues=["none"])
            async with other.running():
                assert other.executor is not None
                silent = await other.executor._ledger.look()
                assert silent == []
            proxy.refuse(on=False)
            await until_true(lambda: link.is_up)
            gate.set()
            assert await handle.result(20) == "once"


async def test_a_process_without_link_and_without_lease_cancels_at_once(
    database: str, eyes: asyncpg.Connection
) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()
    runs = 0
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)

        @jobs.task
        async def work() -> int:
            nonlocal runs
            runs += 1
            if runs > 1:
                return runs
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise
            return 0

        async with jobs.running():
            handle = await work.enqueue()
            await started.wait()
            proxy.refuse()
            proxy.hang_up()
            await asyncio.wait_for(cancelled.wait(), presence.CANCEL_BY)
            proxy.refuse(on=False)

            assert await handle.result(30) == 2
            snapshot = await jobs.get(handle.id)
    assert snapshot.attempt == 1
    assert [attempt.outcome for attempt in snapshot.history] == ["released"]


async def test_a_black_hole_cancels_within_the_budget(database: str) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)

        @jobs.task
        async def work() -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.set()
                raise

        async with jobs.running():
            assert jobs.executor is not None
            await work.enqueue()
            await started.wait()
            proxy.swallow()
            await asyncio.wait_for(cancelled.wait(), 30)
            silence = asyncio.get_running_loop().time() - jobs.executor.link.answered_at
            proxy.hang_up()
            proxy.swallow(on=False)

    assert silence < presence.CANCEL_BY


async def test_a_process_that_was_buried_comes_back_as_another(
    database: str, eyes: asyncpg.Connection
) -> None:
    ears = Ears()
    jobs = Jobs(database, extensions=[ears])
    started = asyncio.Event()

    @jobs.task
    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    async with jobs.running():
        assert jobs.executor is not None
        link = jobs.executor.link
        me = link.process_id
        await work.enqueue()
        await started.wait()
        await eyes.execute("update asyncjobs.process set ended_at = now() where id = $1", me)
        await eyes.execute("update asyncjobs.job set fence = fence + 1, claimed_by = -1")
        await cut(eyes, "asyncjobs link")
        await until_true(lambda: any(isinstance(event, Lost) for event in ears.heard))
        await until_true(lambda: link.is_up and link.process_id != me)
