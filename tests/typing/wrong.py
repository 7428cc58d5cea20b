"""What the type checkers must refuse: each line marked so, and no other. Never run."""

from __future__ import annotations

from datetime import timedelta

from fastapi import FastAPI

from asyncjobs import Jobs

jobs = Jobs()


@jobs.task
async def add(left: int, right: int = 0) -> int:
    return left + right


@jobs.task(queue="mail")
async def welcome(user_id: int, *, tone: str = "warm") -> None: ...


@jobs.task
def shrink(path: str, *, delay: int = 0) -> bytes:
    return path.encode() * delay


async def arguments_that_do_not_fit() -> None:
    await add.enqueue()  # error: left is missing
    await add.enqueue("1")  # error: left is an int
    await add.enqueue(1, 2, 3)  # error: one too many
    await add.enqueue(1, wrong=2)  # error: there is no such keyword
    await welcome.enqueue(1, "dry")  # error: tone is keyword-only
    await welcome.enqueue(1, tone=2)  # error: tone is a string
    await shrink.enqueue(path=1)  # error: path is a string
    add.job()  # error: left is missing
    add.job(1, right="2")  # error: right is an int
    await add()  # error: left is missing
    shrink(1)  # error: path is a string


async def options_are_not_arguments() -> None:
    await add.enqueue(1, queue="slow")  # error: queue is an option
    await add.enqueue(1, delay=timedelta(seconds=1))  # error: delay is an option
    await shrink.enqueue("x", delay=timedelta(seconds=1))  # error: this delay is an int
    add.options(right=2)  # error: right is an argument
    add.options("slow")  # error: options are named
    add.options(priority="high")  # error: priority is an int
    add.options(delay=5)  # error: delay is a timedelta
    add.options(run_at="tomorrow")  # error: run_at is a datetime
    await add.options(priority=1).enqueue()  # error: left is still missing
    await add.options(priority=1).enqueue("1")  # error: left is still an int


async def results_have_types() -> None:
    _text: str = await (await add.enqueue(1)).result()  # error: it is an int
    _number: int = await (await shrink.enqueue("x")).result()  # error: it is bytes
    _later: str = await (await add.options(priority=1).enqueue(1)).result()  # error: it is an int
    _waited: int = add.enqueue(1)  # error: nobody awaits it
    _called: bytes = await shrink("x")  # error: a plain function is not awaited
    _unwaited: int = add(1)  # error: an async function is awaited


async def other_things() -> None:
    await jobs.enqueue_many([add])  # error: a task is not a job
    await jobs.get("0190")  # error: an id is a UUID
    await (await add.enqueue(1)).result(timeout="soon")  # error: a timedelta, or seconds


Jobs(slots="many")  # error: slots is a number
Jobs(None, 10)  # error: all but the address are named
Jobs(drain=4)  # error: drain is a timedelta
FastAPI(lifespan=jobs.running)  # error: that takes no app
FastAPI(lifespan=jobs.lifespan(add))  # error: a task is not a lifespan


@jobs.task(queues="mail")  # error: it is queue
async def misnamed() -> None: ...


@jobs.task(retry=3)  # error: retry is a policy
async def eager() -> None: ...


@jobs.task(timeout=30)  # error: timeout is a timedelta
async def hasty() -> None: ...


@jobs.task(run="elsewhere")  # error: "thread" or "process"
def adrift() -> None: ...


@jobs.task(run="process")
def crunch(number: int) -> int:
    return number


async def crunches() -> None:
    await crunch.enqueue("1")  # error: number is an int
    _text: str = crunch(1)  # error: it is an int


Jobs(blocked_after=0.2)  # error: blocked_after is a timedelta
