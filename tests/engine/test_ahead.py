"""Claiming ahead: short jobs wait here for a slot, few at a time, for a moment, and never to their harm."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from math import inf
from typing import Any

import asyncpg
import pytest

from asyncjobs import Jobs, JobState, Tasks
from asyncjobs.engine import ahead as ahead_module
from asyncjobs.engine.ahead import MOST, Ahead
from asyncjobs.engine.slots import Slots
from asyncjobs.engine.starts import A_TURN
from asyncjobs.events import Event, Lost, Released
from asyncjobs.job import Claimed
from tests.engine.harm import Count, cut, inside
from tests.moments import Gate, until, until_state, until_true

Expect = Callable[[Jobs, int], None]


class Ear:
    """Hears what becomes of jobs that wait."""

    def __init__(self) -> None:
        self.heard: list[Event] = []

    def hears(self, event: Event) -> None:
        if isinstance(event, Lost | Released):
            self.heard.append(event)


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def expect(monkeypatch: pytest.MonkeyPatch) -> Expect:
    """Let a process expect to be through with so many jobs in the next moment, whatever it has seen; all may wait."""

    def expect(jobs: Jobs, count: int) -> None:
        monkeypatch.setattr(ahead_module, "HORIZON", inf)
        monkeypatch.setattr(ahead_module, "PATIENCE", inf)
        inside(jobs).runs.ahead._most = count

    return expect


def is_inside(gate: Gate) -> bool:
    return bool(gate.inside)


def waiting(jobs: Jobs) -> int:
    return len(inside(jobs).runs.ahead)


async def stored(eyes: asyncpg.Connection) -> list[tuple[Any, ...]]:
    """What is not finished, in the order of the claim."""
    rows = await eyes.fetch(
        "select id, state, attempt, run_at, promise from asyncjobs.job order by promise, id"
    )
    return [tuple(row) for row in rows]


async def test_short_jobs_are_claimed_many_at_a_time_and_run_few_at_a_time(database: str) -> None:
    jobs = Jobs(database, slots=2)
    order: list[int] = []
    at_once = most = 0

    @jobs.task(name="t")
    async def work(number: int) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        order.append(number)
        at_once -= 1

    async with jobs.running():
        claims = Count(inside(jobs)._ledger, "claim")
        await jobs.enqueue_many([work.job(number) for number in range(1_000)])
        await until_true(lambda: len(order) == 1_000)

    assert most == 2
    assert order == sorted(order)
    assert claims.calls < 100, "five hundred claims without"


async def test_as_many_are_claimed_ahead_as_ended_in_the_moment_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ahead = Ahead(Slots(2))
    assert ahead.room() == 0

    for _ in range(7):
        ahead.ended("q")
    ahead._since -= ahead_module.HORIZON * 1.001
    seven = ahead.room()
    ahead._since -= ahead_module.HORIZON * 1.001
    none = ahead.room()
    for _ in range(10 * MOST):
        ahead.ended("q")
    ahead._since -= ahead_module.HORIZON * 1.001

    assert (seven, none, ahead.room()) == (6, 0, MOST)


async def test_more_is_asked_for_when_less_than_half_is_left(
    database: str, expect: Expect, eyes: asyncpg.Connection
) -> None:
    jobs, gates = Jobs(database, slots=1), [Gate() for _ in range(20)]

    @jobs.task(name="t")
    async def work(number: int) -> None:
        await gates[number].pass_through()

    async with jobs.running():
        expect(jobs, 4)
        await jobs.enqueue_many([work.job(number) for number in range(20)])
        told = []
        for gate in gates[:4]:
            await until_true(partial(is_inside, gate))
            await inside(jobs)._claimer.at_rest.wait()
            await until_true(lambda: inside(jobs).runs.slots.asked == 0)
            told.append(waiting(jobs))
            gate.open()
        for gate in gates:
            gate.open()

    assert told == [4, 3, 4, 3]


async def test_jobs_that_turn_out_to_be_long_let_those_that_wait_go_back_to_their_place(
    database: str, eyes: asyncpg.Connection, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, gate = Jobs(database, slots=2, extensions=[ear]), Gate()

    @jobs.task(name="t")
    async def work() -> None:
        await gate.pass_through()

    async with jobs.connected():
        await jobs.enqueue_many([work.job() for _ in range(8)])
    before = await stored(eyes)
    async with jobs.running():
        monkeypatch.setattr(ahead_module, "HORIZON", inf)
        inside(jobs).runs.ahead._most = 4
        await until_true(lambda: len(ear.heard) == 4)
        await inside(jobs).recorded()
        after = await stored(eyes)
        expected = inside(jobs).runs.ahead.room()
        gate.open()

    assert len(gate.inside) == 0
    assert [row[1] for row in after] == ["running"] * 2 + ["ready"] * 6
    assert [(row[0], *row[3:]) for row in after] == [(row[0], *row[3:]) for row in before]
    assert {row[2] for row in after[2:]} == {0}, "attempts are given back"
    assert expected == 0, "and nothing is claimed ahead until jobs end quickly again"
    assert all(isinstance(event, Released) for event in ear.heard)


async def test_nothing_is_claimed_ahead_beside_a_job_whose_process_has_died(
    database: str, eyes: asyncpg.Connection, expect: Expect
) -> None:
    jobs, gate = Jobs(database, slots=2), Gate()

    @jobs.task(name="t")
    async def work() -> None:
        await gate.pass_through()

    async with jobs.running():
        await jobs.enqueue_many([work.job() for _ in range(2)])
        await until_true(lambda: len(gate.inside) == 2)
        suspect = next(iter(inside(jobs).runs._live_by_id.values()))
        suspect.job = suspect.job._replace(crashes=1)
        expect(jobs, 10)
        await jobs.enqueue_many([work.job() for _ in range(8)])
        inside(jobs).ready(["default"])
        await inside(jobs)._claimer.at_rest.wait()
        beside = waiting(jobs)
        suspect.job = suspect.job._replace(crashes=0)
        inside(jobs).ready(["default"])
        await until_true(lambda: waiting(jobs))
        gate.open()

    assert beside == 0


async def test_a_job_that_waits_can_be_cancelled(
    database: str, eyes: asyncpg.Connection, expect: Expect
) -> None:
    jobs, gate = Jobs(database, slots=1), Gate()

    @jobs.task(name="t")
    async def work() -> None:
        await gate.pass_through()

    async with jobs.running():
        expect(jobs, 5)
        first = await work.enqueue()
        await until_true(lambda: gate.inside)
        second, third = await jobs.enqueue_many([work.job(), work.job()])
        await until_true(lambda: waiting(jobs) == 2)
        await jobs.cancel(second.id)
        await until_state(second, JobState.CANCELLED)
        gate.open()
        await until_state(third, JobState.SUCCEEDED)
        await until_state(first, JobState.SUCCEEDED)


async def test_the_beat_knows_who_waits(
    database: str, expect: Expect, ear: Ear, caplog: pytest.LogCaptureFixture
) -> None:
    jobs, gate = Jobs(database, slots=1, extensions=[ear]), Gate()

    @jobs.task(name="t")
    async def work() -> None:
        await gate.pass_through()

    async with jobs.running():
        expect(jobs, 5)
        await jobs.enqueue_many([work.job() for _ in range(4)])
        await until_true(lambda: waiting(jobs) == 3)
        await inside(jobs)._presence.beat()
        still, heard = waiting(jobs), list(ear.heard)
        gate.open()

    assert still == 3
    assert heard == []
    assert "nobody runs it here" not in caplog.text


async def test_one_that_is_not_ours_any_more_does_not_start(
    database: str, eyes: asyncpg.Connection, expect: Expect, ear: Ear
) -> None:
    jobs, gate, began = Jobs(database, slots=1, extensions=[ear]), Gate(), list[int]()

    @jobs.task(name="t")
    async def work(number: int) -> None:
        began.append(number)
        await gate.pass_through()

    async with jobs.running():
        expect(jobs, 5)
        handles = await jobs.enqueue_many([work.job(number) for number in range(3)])
        await until_true(lambda: waiting(jobs) == 2)
        await eyes.execute(
            "update asyncjobs.job set claimed_by = -1, fence = fence + 1 where id = $1",
            handles[1].id,
        )
        await inside(jobs)._presence.beat()
        gate.open()
        await until_state(handles[2], JobState.SUCCEEDED)

    assert began == [0, 2]
    assert [(type(event), event.id) for event in ear.heard] == [(Lost, handles[1].id)]


async def test_whoever_drains_keeps_nobody_waiting(
    database: str, eyes: asyncpg.Connection, expect: Expect
) -> None:
    jobs, gate = Jobs(database, slots=1), Gate()

    @jobs.task(name="t")
    async def work() -> None:
        await gate.pass_through()

    async with jobs.running():
        expect(jobs, 5)
        await jobs.enqueue_many([work.job() for _ in range(4)])
        await until_true(lambda: waiting(jobs) == 3)
        inside(jobs).begin_draining()
        gone = waiting(jobs)
        await inside(jobs).recorded()
        states = [row[1:3] for row in await stored(eyes)]
        gate.open()

    assert gone == 0
    assert sorted(states) == [("ready", 0)] * 3 + [("running", 1)]


async def test_whoever_loses_the_link_keeps_nobody_waiting_and_claims_again(
    database: str, eyes: asyncpg.Connection, expect: Expect
) -> None:
    jobs, gate, ran = Jobs(database, slots=1), Gate(), list[int]()

    @jobs.task(name="t")
    async def work(number: int) -> None:
        await gate.pass_through()
        ran.append(number)

    async with jobs.running():
        expect(jobs, 5)
        await jobs.enqueue_many([work.job(number) for number in range(4)])
        await until_true(lambda: waiting(jobs) == 3)
        generation = inside(jobs).link.generation
        await cut(eyes, "asyncjobs link")
        await until_true(lambda: inside(jobs).link.generation > generation)
        gate.open()
        await until_true(lambda: len(ran) == 4)

    assert sorted(ran) == list(range(4))
    assert [row[1] for row in await stored(eyes)] == []


async def test_a_queue_with_a_share_is_claimed_ahead_by_its_own_pace(database: str) -> None:
    jobs, gate = Jobs(database, slots=3, queues={"slow": 1, "quick": 2}), Gate()
    tasks, ran = Tasks(), 0

    @tasks.task(name="slow", queue="slow")
    async def slow() -> None:
        await gate.pass_through()

    @tasks.task(name="quick", queue="quick")
    async def quick() -> None:
        nonlocal ran
        ran += 1

    jobs.include(tasks)
    async with jobs.running():
        slow_jobs = await jobs.enqueue_many([slow.job() for _ in range(5)])
        await until_true(lambda: gate.inside)
        put = Puts(inside(jobs).runs.ahead)
        await jobs.enqueue_many([quick.job() for _ in range(2_000)])
        await until_true(lambda: ran == 2_000)
        states = [await job.status() for job in slow_jobs]
        gate.open()

    assert put.queues == {"quick"}
    assert states.count(JobState.RUNNING) == 1


class Puts:
    """Notes the queues of all that has to wait."""

    def __init__(self, ahead: Ahead) -> None:
        self.queues: set[str] = set()
        self._put = ahead.put
        ahead.put = self  # type: ignore[method-assign]

    def __call__(self, job: Claimed) -> None:
        self.queues.add(job.queue)
        self._put(job)


async def test_eager_tasks_and_unknown_ones_do_not_nest(
    database: str, expect: Expect, eyes: asyncpg.Connection
) -> None:
    jobs, gate, ran = Jobs(database, slots=1), Gate(), 0

    @jobs.task(name="t")
    async def work(*, first: bool = False) -> None:
        nonlocal ran
        if first:
            await gate.pass_through()
        ran += 1

    if factory := getattr(asyncio, "eager_task_factory", None):
        asyncio.get_running_loop().set_task_factory(factory)
    async with jobs.running():
        expect(jobs, MOST)
        await work.enqueue(first=True)
        await until_true(lambda: gate.inside)
        await jobs.enqueue_many([work.job() for _ in range(200)])
        await until_true(lambda: waiting(jobs) == 200)
        gate.open()

        async def all_gone() -> bool:
            return not await stored(eyes)

        await until(all_gone)
    asyncio.get_running_loop().set_task_factory(None)

    assert ran == 201


async def test_a_turn_of_the_loop_starts_few_however_many_a_claim_has_brought(
    database: str,
) -> None:
    jobs, loop = Jobs(database, slots=100), asyncio.get_running_loop()
    turn, turns, ended = 0, Counter[int](), asyncio.Event()

    def tick() -> None:
        nonlocal turn
        turn += 1
        if not ended.is_set():
            loop.call_soon(tick)

    @jobs.task(name="t")
    async def work() -> None:
        turns[turn] += 1
        if turns.total() == 100:
            ended.set()
        await ended.wait()

    async with jobs.connected():
        await jobs.enqueue_many([work.job() for _ in range(100)])
    async with jobs.running():
        tick()
        await ended.wait()

    assert max(turns.values()) <= A_TURN


async def test_whoever_has_nobody_waiting_any_more_is_idle(database: str, expect: Expect) -> None:
    jobs, gate = Jobs(database, slots=1), Gate()

    @jobs.task(name="t")
    async def work() -> None:
        await gate.pass_through()

    async with jobs.running():
        expect(jobs, 5)
        runs = inside(jobs).runs
        await jobs.enqueue_many([work.job() for _ in range(3)])
        await until_true(lambda: waiting(jobs) == 2)
        runs.slots.limit = 0  # as where a turn has started enough
        gate.open()
        await until_true(lambda: not runs.live)
        before = runs.is_idle.is_set()
        inside(jobs).begin_draining()
        after = runs.is_idle.is_set()

    assert (before, after) == (False, True)


async def test_who_starts_where_another_has_ended_knows_nothing_of_its_context(
    database: str, expect: Expect
) -> None:
    jobs, gate = Jobs(database, slots=1), Gate()
    tenant: ContextVar[int | None] = ContextVar("tenant", default=None)
    seen: list[int | None] = []

    @jobs.task(name="t")
    async def work(number: int) -> None:
        await gate.pass_through()
        seen.append(tenant.get())
        tenant.set(number)

    async with jobs.running():
        expect(jobs, 5)
        await jobs.enqueue_many([work.job(number) for number in range(4)])
        await until_true(lambda: waiting(jobs) == 3)
        gate.open()
        await until_true(lambda: len(seen) == 4)

    assert seen == [None] * 4


async def test_what_starts_in_the_next_turn_has_its_slot_in_this_one(
    database: str, ear: Ear
) -> None:
    jobs, gate = Jobs(database, slots=4 * A_TURN, extensions=[ear]), Gate()

    @jobs.task(name="t")
    async def work() -> None:
        await gate.pass_through()

    async with jobs.connected():
        await jobs.enqueue_many([work.job() for _ in range(8 * A_TURN)])
    async with jobs.running():
        waited = Puts(inside(jobs).runs.ahead)
        await until_true(lambda: len(gate.inside) == 4 * A_TURN)
        await inside(jobs)._claimer.at_rest.wait()
        await inside(jobs).recorded()
        heard = list(ear.heard)
        gate.open()
        await until_true(lambda: not inside(jobs).runs.ahead)

    assert waited.queues == set()
    assert heard == []


async def test_who_was_there_when_a_process_died_does_not_wait_beside_others(
    database: str, eyes: asyncpg.Connection, expect: Expect
) -> None:
    jobs, gate = Jobs(database, slots=1), Gate()

    @jobs.task(name="t")
    async def work() -> None:
        await gate.pass_through()

    async with jobs.running():
        await work.enqueue()
        await until_true(lambda: gate.inside)
        await eyes.execute(
            "insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments, crashes)"
            " select gen_random_uuid(), 't', 'default', 'ready', now(), now(), '{}', 1 from generate_series(1, 3)"
        )
        expect(jobs, 5)
        claims = Count(inside(jobs)._ledger, "claim")
        inside(jobs).ready(["default"])
        await claims.until_answered(1)
        await inside(jobs).recorded()
        waits, expected = waiting(jobs), inside(jobs).runs.ahead.room()
        states = [row[1:3] for row in await stored(eyes)]
        gate.open()

    assert (waits, expected) == (0, 0)
    assert sorted(states) == [("ready", 0)] * 3 + [("running", 1)]


async def test_a_blocked_loop_lets_nobody_go_back_who_starts_when_it_turns_again(
    database: str, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, ran = Jobs(database, slots=1, extensions=[ear]), list[int]()

    @jobs.task(name="t")
    async def work(number: int) -> None:
        if number == 0:
            await until_true(lambda: waiting(jobs) == 3)
            time.sleep(2 * ahead_module.PATIENCE)
        ran.append(number)

    async with jobs.running():
        monkeypatch.setattr(ahead_module, "HORIZON", inf)
        inside(jobs).runs.ahead._most = 5
        await jobs.enqueue_many([work.job(number) for number in range(4)])
        await until_true(lambda: len(ran) == 4)

    assert ran == [0, 1, 2, 3]
    assert ear.heard == []
