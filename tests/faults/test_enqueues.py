"""Enqueues whose answers are lost, whose callers are gone, and whose neighbours are bad."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from asyncjobs import Jobs
from asyncjobs.errors import AsyncJobsError
from asyncjobs.job import Request
from tests.faults import crew
from tests.faults.connections import network
from tests.faults.field import Field
from tests.faults.trap import Moment

CHAPTER = "13 Enqueues in doubt"


@pytest.mark.parametrize("moment", Moment, ids=[moment.name.lower() for moment in Moment])
async def test_the_answer_to_a_commit_is_lost(field: Field, moment: Moment) -> None:
    proxy = await network(field)
    field.desk_dsn = proxy.dsn
    await field.worker("others", slots=5)
    await field.enqueue("steady")

    for statement in ("enqueue", "enqueue_again", "forget_recorded", "commit"):
        first = proxy.trap("enqueue", moment)
        second = proxy.trap(statement, moment) if statement != "enqueue" else first
        await asyncio.gather(*(field.enqueue("steady", 0.0) for _ in range(20)))
        proxy.disarm()
        assert first.sprung, statement
        assert second.sprung, statement


@pytest.mark.parametrize("moment", Moment, ids=[moment.name.lower() for moment in Moment])
async def test_the_answer_to_a_direct_start_is_lost(field: Field, moment: Moment) -> None:
    proxy = await network(field)
    web = await field.web(dsn=proxy.dsn, slots=5)
    trap = proxy.trap("enqueue_and_start", moment, times=5)

    # Not all of them start directly: in doubt about one, the process claims for a moment what it stores.
    for number in range(200):
        if number >= field.seconds(full=40, short=15) and trap.sprung == 5:
            break
        stored = await web.post("/enqueue/steady", [0.01])
        field.note_stored(stored.json()["id"])

    assert trap.sprung == 5


async def test_callers_that_are_cancelled_in_the_middle(field: Field) -> None:
    await field.worker(slots=10)
    desk = await field.desk()
    task = desk.tasks[crew.named("steady")]

    async def caller() -> UUID:
        return (await task.enqueue(0.0)).id

    for _ in range(int(field.seconds(full=40, short=10))):
        callers = [asyncio.create_task(caller()) for _ in range(30)]
        doomed = field.random.sample(callers, 10)
        for each in doomed:
            # Not at once: some while they wait for the commit, some while it is on its way.
            delay = field.random.uniform(0, 0.004)
            asyncio.get_running_loop().call_later(delay, each.cancel)
        answers = await asyncio.gather(*callers, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, UUID):
                field.note_stored(answer)
            else:
                assert isinstance(answer, asyncio.CancelledError)
                field.in_doubt += 1
        assert all(isinstance(each.result(), UUID) for each in callers if each not in doomed)


async def test_bad_rows_in_a_batch_of_callers(field: Field) -> None:
    await field.worker(slots=10)
    desk = await field.desk()

    for _ in range(int(field.seconds(full=20, short=5))):
        bad = set(field.random.sample(range(40), 5))
        answers = await asyncio.gather(
            *(
                _stored(desk, "not json" if number in bad else '{"seconds": 0.0}')
                for number in range(40)
            ),
            return_exceptions=True,
        )
        for number, answer in enumerate(answers):
            if number in bad:
                assert isinstance(answer, AsyncJobsError), answer
            else:
                assert isinstance(answer, UUID), answer
                field.note_stored(answer)


async def _stored(desk: Jobs, arguments: str) -> UUID:
    """Enqueue past the codec, which would not let such arguments through."""
    request = Request(uuid4(), crew.named("steady"), "default", 0, arguments, None, 0.0)
    [stored] = await desk.connection.enqueuer.enqueue([request])
    return stored
