"""An answer may be lost; a row may not. The beat, the lease, and being buried."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from asyncjobs import Jobs, JobState, embedded
from asyncjobs.engine import opening, presence, rescue
from asyncjobs.events import Event, Lost
from asyncjobs.postgres.dial import dial
from tests.engine.harm import Count, cut, inside, until_at_rest
from tests.faults.proxy import Proxy, Way, proxied
from tests.moments import until, until_true
from tests.postgres import SETTINGS, postgres_version


class Ears:
    def __init__(self) -> None:
        self.heard: list[Event] = []

    def hears(self, event: Event) -> None:
        self.heard.append(event)


@pytest.mark.parametrize("ends_before_the_question", [True, False])
@pytest.mark.parametrize("begins_before_the_beat", [True, False])
async def test_a_job_that_ends_while_the_beat_is_on_its_way_is_no_loss_and_does_not_go_back(
    jobs: Jobs,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    begins_before_the_beat: bool,
    ends_before_the_question: bool,
) -> None:
    # An answer was true when it was read; where the link is slow, it is old when it comes.
    gate = asyncio.Event()

    @jobs.task
    async def work() -> None:
        await gate.wait()

    async with jobs.running():
        executor, beats = inside(jobs), inside(jobs).vitals.beats
        ask = beats._ledger.beat

        async def begin() -> None:
            await work.enqueue()
            await until_true(lambda: executor.running)

        async def end() -> None:
            gate.set()
            await until_true(lambda: not executor.running)
            await executor.recorded()

        async def asked_slowly() -> Any:
            if not begins_before_the_beat:
                await begin()
            if ends_before_the_question:
                await end()
            rows = await ask()
            assert bool(rows) is not ends_before_the_question
            await end()
            return rows

        if begins_before_the_beat:
            await begin()
        monkeypatch.setattr(beats._ledger, "beat", asked_slowly)
        await beats.beat()
        monkeypatch.undo()

    assert "not ours any more" not in caplog.text
    assert "nobody runs it here" not in caplog.text


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
            proxy.silence(Way.ANSWERED)
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
            await proxy.heal()

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
            link = inside(jobs).link
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
            assert inside(jobs).running == [handle.id]
            # Another process looks twice and more, and takes nothing.
            other = Jobs(database, queues=["none"])
            async with other.running():
                assert other.executor is not None
                silent = await other.executor._ledger.look()
                assert [process.is_leased for process in silent] == [True]
                assert not other.executor._rescuer._is_dead(silent[0], seen_for=60)
            await proxy.heal()
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
            await proxy.heal()

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
            proxy.silence(Way.ANSWERED)
            await asyncio.wait_for(cancelled.wait(), 30)
            silence = asyncio.get_running_loop().time() - jobs.executor.link.answered_at
            proxy.hang_up()
            await proxy.heal()

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


async def test_no_claim_is_sent_before_the_first_beat_of_a_generation_is_answered(
    jobs: Jobs, database: str, eyes: asyncpg.Connection
) -> None:
    # A server that crashed may have forgotten a claim: what it thinks is ours is asked for first.
    @jobs.task(name="t")
    async def work() -> int:
        return 1

    async with jobs.running():
        executor = inside(jobs)
        link, beat = executor.link, executor._ledger.beat
        claims, answered = Count(executor._ledger, "claim"), asyncio.Event()
        asked: list[int] = []

        async def late() -> object:
            answer = await beat()
            asked.append(link.generation)
            await answered.wait()
            return answer

        executor._ledger.beat = late
        await cut(eyes, "asyncjobs link")
        await until_true(lambda: 2 in asked)
        before = claims.calls
        job = await work.enqueue()
        executor.ready(["default"])
        await link.fetch("select 1")
        assert (claims.calls, await job.status()) == (before, JobState.READY)
        answered.set()
        assert await job.result(20) == 1


async def test_jobs_go_on_while_postgres_restarts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # Refused by a server that stops or starts: a new life is coming, and nobody is rescued in a young one.
    started, gate = asyncio.Event(), asyncio.Event()
    runs = 0

    def boot() -> embedded.Server:
        return embedded.start(tmp_path / "pg", settings=SETTINGS, version=postgres_version())

    server = await asyncio.to_thread(boot)
    jobs = Jobs(server.dsn, migrate=True)

    @jobs.task
    async def work() -> str:
        nonlocal runs
        runs += 1
        started.set()
        await gate.wait()
        return "once"

    async with jobs.running():
        job = await work.enqueue()
        await started.wait()
        await asyncio.to_thread(server.close)
        await until_true(lambda: "what runs here goes on" in caplog.text)
        server = await asyncio.to_thread(boot)
        await until_true(lambda: inside(jobs).link.is_up)
        gate.set()
        assert await job.result(20) == "once"
    await asyncio.to_thread(server.close)

    assert runs == 1


async def test_a_process_that_holds_a_job_for_long_is_watched_and_one_at_rest_is_not(
    jobs: Jobs, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescue, "WHILE", 0.0)
    gate = asyncio.Event()

    @jobs.task
    async def work() -> None:
        await gate.wait()

    other = Jobs(database, queues=["none"])
    async with other.running(), jobs.running():
        await until_at_rest(other)
        watcher = inside(other)._rescuer
        looks = Count(inside(other)._ledger, "look")
        job = await work.enqueue()
        await until_true(lambda: watcher._busy == {inside(jobs).process_id})
        await until_true(lambda: looks.calls >= 2)

        # A newcomer has not heard it, and is told.
        async with Jobs(database, queues=["none"]).running() as newcomer:
            await until_true(lambda: inside(newcomer)._rescuer._busy == watcher._busy)

        gate.set()
        await job.result(20)
        await until_true(lambda: not watcher._busy)
        # The looks that were on their way end, and after that there are none.
        await until_at_rest(other)
        seen, since = looks.calls, time.monotonic()
        await until_true(lambda: time.monotonic() > since + 2.5)
        assert looks.calls <= seen + 1


async def until_cut_off(proxy: Proxy, within: float, harm: Callable[[], object]) -> None:
    """Run a job behind this proxy, do harm, and wait until the job is cancelled."""
    jobs = Jobs(proxy.dsn)
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
        await work.enqueue()
        await started.wait()
        harm()
        await asyncio.wait_for(cancelled.wait(), within)
        await proxy.heal()
        proxy.hang_up()


async def test_a_process_that_is_reset_and_then_hears_nothing_cancels_before_a_second_look(
    database: str,
) -> None:
    # Its lock is gone at once, and nothing tells it that it will have no lease either.
    async with proxied(database) as proxy:

        def reset() -> None:
            proxy.silence()
            proxy.hang_up()

        await until_cut_off(proxy, rescue.SECOND_LOOK_AFTER, reset)


async def test_a_refusal_by_what_only_passes_connections_on_is_not_taken_for_postgres_own(
    database: str,
) -> None:
    # A load balancer, or a container's port: Postgres behind it lives, and the others with it.
    async with proxied(database) as proxy:

        def vanish() -> None:
            proxy.close()
            proxy.hang_up()

        await until_cut_off(proxy, rescue.SECOND_LOOK_AFTER, vanish)


async def test_a_lease_that_is_not_renewed_speaks_for_us_for_a_while(
    database: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(presence, "BEAT", 0.1)
    monkeypatch.setattr(presence, "CANCEL_BY", 3.0)
    async with proxied(database) as proxy:

        def lose_the_link_and_then_the_pool() -> None:
            proxy.refuse()
            proxy.hang_up(only="link")
            asyncio.get_running_loop().call_later(0.5, lambda: proxy.silence(only="pool"))

        await until_cut_off(proxy, 10, lose_the_link_and_then_the_pool)

    said = [record.message for record in caplog.records if record.name == "asyncjobs.presence"]
    not_yet = [number for number, words in enumerate(said) if "not over" in words]
    over = [number for number, words in enumerate(said) if "cut off from Postgres" in words]
    assert not_yet
    assert over
    assert not_yet[0] < over[0]


async def test_a_process_starts_while_a_table_is_locked_and_takes_jobs_when_it_is_not(
    jobs: Jobs, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "AGREED_WITHIN", 0.5)

    @jobs.task
    async def work() -> int:
        return 1

    other = await asyncpg.connect(database)
    locked = other.transaction()
    await locked.start()
    await other.execute("lock table asyncjobs.job in access exclusive mode")
    async with jobs.running():
        assert not inside(jobs)._claimer.is_open
        await locked.rollback()
        await until_true(lambda: inside(jobs)._claimer.is_open)
        assert await (await work.enqueue()).result(20) == 1
    await other.close()
