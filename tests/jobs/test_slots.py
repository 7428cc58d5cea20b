"""How many jobs run at a time, and of which queues."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from asyncjobs import (
    Jobs,
    JobState,
)
from tests.moments import Gate, until_true

HOUR = timedelta(hours=1)


async def test_no_more_jobs_run_than_there_are_slots(database: str) -> None:
    jobs = Jobs(database, slots=2)
    gate = Gate()

    @jobs.task
    async def work() -> None:
        await gate.pass_through()

    async with jobs.running():
        assert jobs.executor is not None
        stored = [await work.enqueue() for _ in range(6)]
        stored += await jobs.enqueue_many([work.job() for _ in range(6)])
        await until_true(lambda: len(gate.inside) == 2)
        assert len(jobs.executor.running) == jobs.executor.slots == 2
        gate.open()
        for job in stored:
            await job.result(20)

    assert gate.most == 2


async def test_jobs_of_other_queues_wait(database: str) -> None:
    jobs = Jobs(database, queues=["mail", "images"])

    @jobs.task
    async def echo(queue: str) -> str:
        return queue

    async with jobs.running():
        other = await echo.options(queue="other").enqueue("other")
        for queue in ("mail", "images"):
            assert await (await echo.options(queue=queue).enqueue(queue)).result(20) == queue

        assert await other.status() is JobState.READY


async def test_a_process_without_queues_serves_all(jobs: Jobs) -> None:
    @jobs.task
    async def echo(queue: str) -> str:
        return queue

    async with jobs.running():
        for queue in ("default", "mail", "never heard of"):
            assert await (await echo.options(queue=queue).enqueue(queue)).result(20) == queue


async def test_a_queue_takes_no_more_than_its_share(database: str) -> None:
    jobs = Jobs(database, slots=4, queues={"mail": 1, "images": 2})
    gate = Gate()

    @jobs.task
    async def work(queue: str) -> None:
        await gate.pass_through(queue)

    async with jobs.running():
        for queue in ("mail", "images") * 4:
            await work.options(queue=queue).enqueue(queue)
        await until_true(lambda: len(gate.inside) == 3)

        assert Counter(gate.inside) == {"mail": 1, "images": 2}
        gate.open()


async def test_a_queue_with_a_share_goes_on_when_its_slot_is_free(database: str) -> None:
    jobs = Jobs(database, slots=4, queues={"mail": 1, "images": 2})

    @jobs.task(queue="mail")
    async def work(number: int) -> int:
        return number

    async with jobs.running():
        stored = await jobs.enqueue_many([work.job(number) for number in range(5)])

        assert [await job.result(5) for job in stored] == [0, 1, 2, 3, 4]
