"""Jobs give way: their steps come in slices with rests, and the slots in use follow the event loop."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from typing import Any

import pytest

from asyncjobs import Jobs
from asyncjobs.engine import pace as pace_module
from asyncjobs.engine.pace import CLAIMED_AT_ONCE, ENDED_AT_ONCE, SLICE, TARGET, Pace
from asyncjobs.engine.requests import Requests
from asyncjobs.engine.slots import Slots
from asyncjobs.engine.steps import Steps
from tests.moments import until_true

LONG = 3 * SLICE


def hold(seconds: float) -> None:
    """Hold the loop."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@pytest.fixture
def requests() -> Requests:
    return Requests()


@pytest.fixture
def slots() -> Slots:
    return Slots(10)


@pytest.fixture
async def pace(slots: Slots, requests: Requests) -> Pace:
    return Pace(slots, requests)


async def turns_between(pace: Pace, jobs: int, seconds: float) -> list[int]:
    """Start so many jobs of one step each at once; tell in which turn of the loop each step came."""
    turn = 0
    came: list[int] = []

    def count() -> None:
        nonlocal turn
        turn += 1
        if len(came) < jobs:
            loop.call_soon(count)

    async def job() -> None:
        hold(seconds)
        came.append(turn)

    async def run() -> None:
        await Steps(job(), pace)

    loop = asyncio.get_running_loop()
    tasks = [asyncio.ensure_future(run()) for _ in range(jobs)]
    loop.call_soon(count)
    await asyncio.gather(*tasks)
    return came


async def test_long_steps_come_one_at_a_time_with_turns_for_others_between(pace: Pace) -> None:
    came = await turns_between(pace, 4, LONG)

    assert all(b - a > pace_module.TURNS for a, b in pairwise(came))


async def test_short_steps_share_a_turn(pace: Pace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "SLICE", 60.0)

    came = await turns_between(pace, 10, 0.0)

    assert len(set(came)) == 1


async def test_a_rest_is_as_long_as_what_came_before_where_nobody_counts_requests(
    pace: Pace,
) -> None:
    began = time.perf_counter()

    await turns_between(pace, 3, LONG)

    assert time.perf_counter() - began >= 3 * LONG + 2 * LONG * 0.9


async def test_a_rest_ends_at_once_when_nobody_asks(
    pace: Pace, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace_module, "REST", 1e6)  # else it would end only in half an hour
    requests.counted(None)

    async with asyncio.timeout(10):
        await turns_between(pace, 3, LONG)


async def test_a_rest_ends_when_the_last_request_has_its_answer(
    pace: Pace, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace_module, "REST", 1e6)
    serving = asyncio.ensure_future(pace.serve())
    requests.counted(None)
    first, second = requests.began(), requests.began()
    jobs = asyncio.ensure_future(turns_between(pace, 2, LONG))
    await until_true(lambda: pace.holds and pace.manners.worked.total_seconds() >= LONG)

    requests.ended(first)
    await some_turns()
    assert not jobs.done()
    requests.ended(second)

    async with asyncio.timeout(10):
        await jobs
    serving.cancel()


async def test_a_request_that_comes_goes_before_the_steps_that_are_due(
    pace: Pace, slots: Slots, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace_module, "REST", 1e6)
    serving = asyncio.ensure_future(pace.serve())
    await some_turns()
    assert slots.take("mail")  # jobs run
    requests.counted(None)

    request = requests.began()
    jobs = asyncio.ensure_future(turns_between(pace, 1, 0.0))
    await some_turns()
    assert not jobs.done()
    requests.ended(request)

    async with asyncio.timeout(10):
        await jobs
    serving.cancel()


async def test_a_request_that_never_ends_does_not_starve_jobs(
    pace: Pace, requests: Requests
) -> None:
    requests.counted(None)
    requests.began()

    async with asyncio.timeout(10):
        await turns_between(pace, 5, LONG)


async def test_who_waits_for_a_turn_can_be_cancelled(
    pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace_module, "REST", 1e6)
    seen: list[str] = []

    async def job(name: str) -> None:
        try:
            hold(LONG)
            await asyncio.sleep(0)
            seen.append(name)
        except asyncio.CancelledError:
            seen.append(f"{name} cancelled")
            raise

    async def run(name: str) -> None:
        await Steps(job(name), pace)

    task = asyncio.ensure_future(run("first"))
    await until_true(lambda: pace.holds)
    await some_turns()

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["first cancelled"]


async def test_steps_change_nothing_of_what_a_coroutine_does(pace: Pace) -> None:
    async def job() -> str:
        own = asyncio.current_task()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        with pytest.raises(ValueError, match="inside"):
            await asyncio.gather(fails())
        assert asyncio.current_task() is own
        return "done"

    async def fails() -> None:
        raise ValueError("inside")

    assert await Steps(job(), pace) == "done"


async def test_an_error_of_the_coroutine_is_passed_on(pace: Pace) -> None:
    async def job() -> None:
        await asyncio.sleep(0)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await Steps(job(), pace)


async def test_the_slots_in_use_fall_to_one_while_the_loop_is_late(
    pace: Pace, slots: Slots
) -> None:
    limits = [slots.limit]
    while limits[-1] > 1:
        pace.judge(10 * TARGET)
        limits.append(slots.limit)

    assert limits == [10, 5, 2, 1]
    assert slots.free == 1


async def test_a_little_lateness_takes_a_few_slots(pace: Pace, slots: Slots) -> None:
    pace.judge(TARGET * 1.2)

    assert 5 < slots.limit < 10


async def test_they_come_back_one_round_after_the_other(pace: Pace, slots: Slots) -> None:
    freed: list[int] = []
    pace.slot_freed = lambda: freed.append(slots.limit)
    for _ in range(5):
        pace.judge(1.0)

    rounds = 0
    while slots.limit < 10:
        pace.judge(0.0)
        rounds += 1

    assert rounds > 3
    assert freed == sorted(freed)
    assert freed[-1] == 10


async def test_on_target_nothing_moves(pace: Pace, slots: Slots) -> None:
    pace.judge(TARGET * 2)
    before = slots.limit

    for _ in range(10):
        pace.judge(TARGET)

    assert slots.limit == before


async def test_jobs_that_run_keep_their_slots_when_fewer_are_in_use(
    pace: Pace, slots: Slots
) -> None:
    for _ in range(8):
        assert slots.take("mail")

    for _ in range(5):
        pace.judge(1.0)

    assert (slots.busy, slots.limit) == (8, 1)
    assert not slots.take("mail")
    assert slots.ask(["mail"], 10) == {}
    for _ in range(8):
        slots.give("mail")
    assert slots.ask(["mail"], 10) == {"mail": 1}


async def test_where_nobody_asks_lateness_holds_nothing_back(
    slots: Slots, requests: Requests
) -> None:
    requests.counted(None)
    pace = Pace(slots, requests)

    pace.judge(1.0)

    assert slots.limit == 10
    assert slots.claims_at_most is None
    assert pace.ends_at_once(500) == 500


async def test_claims_and_ends_come_in_small_parts_while_somebody_asks(
    slots: Slots, requests: Requests
) -> None:
    requests.counted(None)
    pace = Pace(slots, requests)

    requests.began()
    pace.judge(0.0)

    assert slots.claims_at_most == CLAIMED_AT_ONCE
    assert pace.ends_at_once(500) == ENDED_AT_ONCE


async def test_the_reasons_are_told(pace: Pace, requests: Requests) -> None:
    first = pace.manners
    assert (first.requests, first.why) == (None, "the event loop has room")

    pace.judge(1.0)
    assert pace.manners.why == "the event loop was 1000 ms late"

    requests.counted(None)
    for _ in range(10):
        pace.judge(0.0)
    assert pace.manners.why == "nobody asks for anything"
    requests.began()
    told = pace.manners
    assert (told.requests, told.why) == (1, "the event loop has room")


async def test_a_stream_is_no_request_any_more_once_it_flows(requests: Requests) -> None:
    seen: list[int] = []

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        seen.append(len(requests))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        seen.append(len(requests))
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        seen.append(len(requests))

    await requests.counted(requests.counted(stream))({"type": "http"}, _none, _sent)

    assert seen == [1, 1, 0]


async def test_a_request_that_fails_is_over(requests: Requests) -> None:
    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("the app's own")

    with pytest.raises(ValueError, match="the app's own"):
        await requests.counted(fails)({"type": "http"}, _none, _sent)

    assert len(requests) == 0


async def test_what_is_no_http_request_is_not_counted(requests: Requests) -> None:
    seen: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(len(requests))

    await requests.counted(app)({"type": "websocket"}, _none, _sent)

    assert seen == [0]


def test_an_old_request_asks_for_nothing(
    requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests.began()
    assert requests.ask_now

    monkeypatch.setattr("asyncjobs.engine.requests.YOUNG", 0.0)

    assert (len(requests), requests.ask_now) == (1, False)


async def test_ten_jobs_that_compute_leave_others_their_turns(database: str) -> None:
    jobs = Jobs(database, gives_way=True)
    turn = 0
    came: list[int] = []

    @jobs.task
    async def computes() -> None:
        hold(LONG)
        came.append(turn)

    def count() -> None:
        nonlocal turn
        turn += 1
        if len(came) < 10:
            asyncio.get_running_loop().call_soon(count)

    async with jobs.connected():
        await jobs.enqueue_many([computes.job() for _ in range(10)])
    async with jobs.running():
        count()
        await until_true(lambda: len(came) == 10)

    assert all(b - a > pace_module.TURNS for a, b in pairwise(came))


async def test_a_late_loop_leaves_one_slot_and_direct_starts_respect_it(database: str) -> None:
    jobs = Jobs(database, gives_way=True)
    gate = asyncio.Event()
    started: list[int] = []

    @jobs.task
    async def waits(number: int) -> None:
        started.append(number)
        await gate.wait()

    async with jobs.running():
        assert jobs.executor is not None
        pace = jobs.executor.runs.pace
        assert pace is not None
        for _ in range(5):
            pace.judge(1.0)
        pace.judge = lambda late: None  # type: ignore[method-assign]
        await jobs.executor._claimer.at_rest.wait()  # one on its way has asked for ten
        first, second = [await waits.enqueue(number) for number in range(2)]
        await until_true(lambda: started == [0])
        assert (await second.status()).value == "ready"
        assert jobs.health().is_ready
        assert {check.words for check in jobs.health().checks if check.name == "slots"} == {
            "1 of 10 are taken"
        }
        gate.set()
        await first.result(timeout=20)
        await second.result(timeout=20)


@pytest.mark.parametrize(
    ("said", "kind", "gives_way"),
    [
        (None, "web", True),
        (None, "script", False),
        (None, "standalone", False),
        (False, "web", False),
        (True, "standalone", True),
    ],
)
async def test_jobs_give_way_beside_an_app_and_where_it_is_said(
    database: str, said: bool | None, kind: str, gives_way: bool
) -> None:
    jobs = Jobs(database, gives_way=said)

    async with jobs.running(kind=kind):
        assert (jobs.health().manners is not None) is gives_way


async def test_a_wrapped_app_is_noticed_wherever_jobs_are_opened(database: str) -> None:
    jobs = Jobs(database)
    jobs.requests_of(_none)

    async with jobs.running():
        manners = jobs.health().manners

    assert manners is not None
    assert manners.requests == 0


async def some_turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def _none(*_: object) -> Any: ...


async def _sent(message: Any) -> None: ...
