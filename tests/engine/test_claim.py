"""Claims: on the link, batched, fenced, counted, in order, and beside others."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import asyncpg
import pytest

from asyncjobs import Jobs, current_job
from asyncjobs.engine import claim as claim_module
from asyncjobs.job import Claimed
from asyncjobs.postgres.ledger import Ledger
from asyncjobs.postgres.statements import Statements
from asyncjobs.postgres.values import WHOLE
from tests.engine.harm import Count, inside
from tests.moments import until, until_true

STATEMENTS = Statements("asyncjobs.postgres", "asyncjobs")


async def claim(
    connection: asyncpg.Connection,
    rooms: dict[str, int],
    demand: int,
    *,
    process: int = 1,
    unknown: tuple[str, ...] = (),
    suspects: int = 1,
    alone_from: int = 2,
    spread: int = 1,
) -> tuple[list[asyncpg.Record], int]:
    rows = await connection.fetch(
        STATEMENTS["claim"],
        list(rooms),
        list(rooms.values()),
        demand,
        process,
        list(unknown),
        suspects,
        spread,
        alone_from,
        *WHOLE,
    )
    return [row for row in rows if row["id"] is not None], rows[0]["saw"]


async def store(
    connection: asyncpg.Connection,
    count: int,
    *,
    queue: str = "default",
    priority: int = 0,
    age: float = 0,
    crashes: int = 0,
    task: str = "t",
) -> None:
    await connection.execute(
        """
        insert into asyncjobs.job (id, task, queue, priority, state, run_at, promise, arguments, crashes)
        select gen_random_uuid(), $6, $1, $2, 'ready', due.at, due.at, '{}', $5
        from generate_series(1, $3) as nth
        cross join lateral (select now() - $4 * interval '1 second' + nth * interval '1 millisecond' as at) as due
        """,
        queue,
        priority,
        count,
        age,
        crashes,
        task,
    )


async def test_a_claim_counts_the_attempt_and_moves_the_fence(eyes: asyncpg.Connection) -> None:
    await store(eyes, 1)

    [[job], saw] = await claim(eyes, {"default": 5}, 5)

    assert (job["attempt"], job["fence"], saw) == (1, 1, 1)
    [row] = await eyes.fetch("select state, claimed_by from asyncjobs.job")
    assert tuple(row) == ("running", 1)


async def test_the_most_urgent_and_then_the_earliest_promise_goes_first_over_all_queues(
    eyes: asyncpg.Connection,
) -> None:
    await store(eyes, 1, queue="a", priority=5, age=100, task="late and unimportant")
    await store(eyes, 1, queue="b", priority=0, age=10, task="second")
    await store(eyes, 1, queue="a", priority=0, age=20, task="first")

    jobs, _ = await claim(eyes, {"a": 2, "b": 2}, 2)

    assert [job["task"] for job in jobs] == ["first", "second"]


async def test_no_queue_gets_more_than_its_room(eyes: asyncpg.Connection) -> None:
    await store(eyes, 5, queue="narrow", age=100)
    await store(eyes, 5, queue="wide")

    jobs, _ = await claim(eyes, {"narrow": 2, "wide": 5}, 6, spread=4)

    queues = [job["queue"] for job in jobs]
    assert queues.count("narrow") == 2
    assert queues.count("wide") >= 1


async def test_tasks_that_are_not_known_stay_where_they_are(eyes: asyncpg.Connection) -> None:
    await store(eyes, 3, task="strange", age=10)
    await store(eyes, 1, task="known")

    jobs, _ = await claim(eyes, {"default": 4}, 4, unknown=("strange",))

    assert [job["task"] for job in jobs] == ["known"]


async def test_of_the_suspects_only_one_is_taken(eyes: asyncpg.Connection) -> None:
    await store(eyes, 3, crashes=2, age=10)
    await store(eyes, 2)

    jobs, saw = await claim(eyes, {"default": 5}, 5)
    more, _ = await claim(eyes, {"default": 5}, 5, suspects=0)

    assert (len(jobs), saw) == (3, 5)
    assert more == []


async def test_what_ran_at_one_death_runs_again_together(eyes: asyncpg.Connection) -> None:
    await store(eyes, 3, crashes=1)
    await store(eyes, 3, crashes=2)

    jobs, _ = await claim(eyes, {"default": 9}, 9, suspects=0)
    beside_one_that_is_alone, _ = await claim(eyes, {"default": 9}, 9, suspects=0, alone_from=1)

    assert [job["crashes"] for job in jobs] == [1, 1, 1]
    assert beside_one_that_is_alone == []


async def test_a_claimer_beside_another_takes_what_the_other_left(
    database: str, eyes: asyncpg.Connection
) -> None:
    # The other has chosen over four queues and holds its claim open: had it locked all candidates, the
    # second would find nothing.
    for queue in "abcd":
        await store(eyes, 10, queue=queue)
    rooms = dict.fromkeys("abcd", 10)
    other = await asyncpg.connect(database)

    async with other.transaction():
        first, _ = await claim(other, rooms, 10, spread=4)
        second, saw = await claim(eyes, rooms, 10, process=2, spread=4)
    await other.close()

    assert len(first) == 10
    assert len(second) == 10
    assert saw > 10
    assert not {job["id"] for job in first} & {job["id"] for job in second}


HELD_UP = 4711  # an advisory lock at which the claim stops, between choosing and locking


@pytest.mark.parametrize(
    "happens", ["priority = 5", "state = 'running', claimed_by = 2, fence = fence + 1"]
)
async def test_what_is_written_between_choosing_and_locking_is_not_claimed_where_it_was(
    database: str, eyes: asyncpg.Connection, happens: str
) -> None:
    # Rows are found by their place, and this one has moved. Half of them, so that the others are claimed.
    await store(eyes, 6)
    moves = [
        row["id"] for row in await eyes.fetch("select id from asyncjobs.job order by promise")
    ][::2]
    held_up = STATEMENTS["claim"].replace(
        "is not distinct from 'ready'",
        f"is not distinct from 'ready' and (select pg_advisory_xact_lock_shared({HELD_UP})) is not null",
    )
    assert held_up != STATEMENTS["claim"]
    other = await asyncpg.connect(database)

    await eyes.execute(f"select pg_advisory_lock({HELD_UP})")
    asking = asyncio.create_task(other.fetch(held_up, ["default"], [6], 6, 1, [], 1, 1, 2, *WHOLE))

    async def stands_there() -> bool:
        waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted and objid = $1"
        return bool(await eyes.fetchval(waits, HELD_UP))

    await until(stands_there)
    await eyes.execute(f"update asyncjobs.job set {happens} where id = any ($1)", moves)
    await eyes.execute(f"select pg_advisory_unlock({HELD_UP})")
    told = await asking
    await other.close()

    ours = await eyes.fetch(
        "select id from asyncjobs.job where claimed_by = 1 and state = 'running'"
    )
    assert {row["id"] for row in told} == {row["id"] for row in ours}
    assert not {row["id"] for row in told} & set(moves)
    assert (len(told), told[0]["saw"]) == (3, 6)
    jobs, _ = await claim(eyes, {"default": 6}, 6)
    assert {job["id"] for job in jobs} == (set(moves) if "priority" in happens else set())


async def test_jobs_are_claimed_only_while_the_link_holds_its_lock(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    ran = asyncio.Event()

    @jobs.task
    async def work() -> None:
        ran.set()

    async with jobs.running():
        assert jobs.executor is not None
        link = jobs.executor.link
        held = await eyes.fetchval(
            """
            select count(*) from pg_locks join asyncjobs.process
              on ((pg_locks.classid::bigint << 32) | pg_locks.objid::bigint) = process.lock_key
            where locktype = 'advisory' and process.id = $1
            """,
            link.process_id,
        )
        assert held == 1

        # The server forgets the session: nothing may be claimed until there is a new one.
        before = link.generation
        await eyes.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'asyncjobs link'"
            " and datname = current_database()"
        )
        await until_true(lambda: not link.is_up or link.generation > before)
        await work.enqueue()
        await asyncio.wait_for(ran.wait(), 20)
        assert link.generation == before + 1


async def test_a_process_never_runs_more_than_its_slots(database: str) -> None:
    jobs = Jobs(database, slots=3)
    at_once = 0
    most = 0

    @jobs.task
    async def work() -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        for _ in range(20):
            await asyncio.sleep(0)
        at_once -= 1

    async with jobs.running():
        handles = await asyncio.gather(*(work.enqueue() for _ in range(60)))
        handles += await jobs.enqueue_many([work.job() for _ in range(60)])
        await asyncio.gather(*(handle.result(20) for handle in handles))

    assert most == 3


async def test_a_steady_stream_of_direct_starts_does_not_starve_older_jobs_of_others(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    # An older job is ready (another process stored it and its NOTIFY was lost): a new one may not be born
    # running before it.
    order: list[str] = []

    @jobs.task(name="t")
    async def work(who: str = "older") -> None:
        order.append(who)

    async with jobs.running():
        await store(eyes, 1, age=60)
        newer = await work.enqueue("newer")
        await newer.result(20)

    assert order == ["older", "newer"]


async def test_a_claim_asks_for_what_there_are_free_slots_for(database: str) -> None:
    jobs = Jobs(database, slots=2)
    gate = asyncio.Event()

    @jobs.task
    async def work() -> None:
        await gate.wait()

    async with jobs.running():
        await jobs.enqueue_many([work.job() for _ in range(5)])
        assert jobs.executor is not None
        runs = jobs.executor.runs
        await until_true(lambda: len(runs.live) == 2)

        ready = await jobs.database.fetchval(
            "select count(*) from asyncjobs.job where state = 'ready'"
        )
        gate.set()

    assert ready == 3


def test_claimed_is_what_the_statement_answers() -> None:
    select = STATEMENTS["claim"].rpartition("select\n")[2]
    listed = select.partition("from (\n")[0].replace("\n", " ")
    columns = [
        column.rpartition(" as ")[2].strip().removeprefix("claimed.")
        for column in listed.split(",")
    ]

    assert columns == ["seen.saw", "seen.walked", "priority", *Claimed._fields]


async def test_queues_that_are_empty_are_not_asked_for_for_ever(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    # Queues named after customers: each is heard of once, and most are empty ever after.
    ran: list[str] = []

    @jobs.task(name="t", queue="own")
    async def work() -> None:
        ran.append("t")

    async with jobs.running():
        claimer = inside(jobs)._claimer
        for customer in range(3):
            await work.options(queue=f"customer {customer}").enqueue()
        await until_true(lambda: len(ran) == 3)
        assert len(claimer.queues) == 5
        polls = Count(inside(jobs)._ledger, "poll")
        for number in (1, 2):
            inside(jobs)._poller.poll_now()
            await polls.until_answered(number)
        assert claimer.queues == ["default", "own"]

        # And one that nobody told of is found by the poll.
        await store(eyes, 1, queue="customer 9")
        inside(jobs)._poller.poll_now()
        await until_true(lambda: len(ran) == 4)


async def test_the_next_suspect_waits_until_the_end_of_the_one_before_is_recorded(
    jobs: Jobs, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its function has returned, but a death would still find its row running, and charge it.
    began: list[int] = []
    recorded = asyncio.Event()

    @jobs.task
    async def work() -> None:
        began.append(current_job().attempt)

    finish = Ledger.finish

    async def held(ledger: Ledger, *args: Any, **more: Any) -> Any:
        await recorded.wait()
        return await finish(ledger, *args, **more)

    monkeypatch.setattr(Ledger, "finish", held)
    async with jobs.connected():
        await jobs.enqueue_many([work.job(), work.job()])
    await eyes.execute("update asyncjobs.job set crashes = 2")
    async with jobs.running():
        await until_true(lambda: began and not inside(jobs).running)
        claims = Count(inside(jobs)._ledger, "claim")
        inside(jobs).ready(["default"])
        await until_true(lambda: claims.calls)
        await inside(jobs)._claimer.at_rest.wait()
        before = len(began)
        recorded.set()
        await until_true(lambda: len(began) == 2)

    assert before == 1


async def test_while_jobs_keep_coming_it_looks_again_without_being_woken(
    jobs: Jobs, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The longer of a stream's moments are drawn out, so that it does not end on a slow machine."""
    monkeypatch.setattr(claim_module, "STREAM", 10.0)
    ran: list[None] = []

    @jobs.task(name="t")
    async def one() -> None:
        ran.append(None)

    def has_run(count: int) -> bool:
        return len(ran) == count

    async with jobs.running():
        for count in (1, 2):  # the second one so soon after the first makes a stream of them
            await store(eyes, 1)
            inside(jobs).ready(["default"])
            await until_true(partial(has_run, count))
        for count in (3, 4, 5):
            await store(eyes, 1)
            await until_true(partial(has_run, count))


async def test_a_single_job_is_looked_for_once(
    jobs: Jobs, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_module, "STREAM", 0.0)
    ran: list[None] = []

    @jobs.task(name="t")
    async def one() -> None:
        ran.append(None)

    async with jobs.running():
        await store(eyes, 1)
        inside(jobs).ready(["default"])
        await until_true(lambda: len(ran) == 1)
        await inside(jobs)._claimer.at_rest.wait()

        assert inside(jobs)._claimer._look_again_in is None
