"""What the type checkers must accept, with the types that they must see. Never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, TypedDict, assert_type
from uuid import UUID

import asyncpg
from fastapi import FastAPI
from starlette.applications import Starlette

from asyncjobs import (
    Cancel,
    CurrentJob,
    Enqueued,
    Job,
    Jobs,
    JobState,
    Secret,
    Snapshot,
    Snooze,
    Task,
    Tasks,
    current_job,
    errors,
    exponential,
    fixed,
    never,
)

jobs = Jobs(
    queues={"mail": 2, "default": 8}, slots=10, drain=timedelta(seconds=5), blocked_after=None
)
tasks = Tasks()
jobs.include(tasks)


@jobs.task
async def add(left: int, right: int = 0) -> int:
    return left + right


@jobs.task(queue="mail", retry=exponential(max_attempts=8), timeout=timedelta(seconds=30))
async def welcome(user_id: int, *, tone: str = "warm") -> None:
    assert_type(current_job(), CurrentJob)
    await current_job().progress(0.5, tone)


@tasks.task
def shrink(path: str) -> bytes:
    return path.encode()


@tasks.task(priority=-5, retry=never(), name="shrink", keep=timedelta(0))
def shrink_again(path: str, *sizes: int, **more: str) -> list[str]:
    return [path, *map(str, sizes), *more]


@jobs.task(retry=fixed(timedelta(seconds=1), max_attempts=3))
async def perhaps(count: int) -> int | Snooze | Cancel:
    if count > 10:
        return Snooze(timedelta(minutes=1))
    return count if count else Cancel("nothing to do")


sealing = Jobs(encryption_keys=["key"])


@sealing.task(secret=("pin",), encrypt=True)
async def log_in(user: str, password: Annotated[str, Secret], pin: int = 0) -> str:
    assert_type(password, str)
    return user


@jobs.task(run="process")
def crunch(numbers: list[int], *, power: float = 2.0) -> float:
    return power * sum(numbers)


@tasks.task(run="thread", queue="files")
def unpack(path: str) -> int:
    return len(path)


def made_later(size: int) -> str:
    return "x" * size


dynamic = jobs.task(made_later)
named = jobs.task(name="made.again")(made_later)


async def enqueue() -> None:
    assert_type(await add.enqueue(1), Enqueued[int])
    assert_type(await log_in.enqueue("ada", "correct horse", pin=1), Enqueued[str])
    assert_type(await add.enqueue(1, right=2), Enqueued[int])
    assert_type(await (await add.enqueue(1, 2)).result(), int)
    assert_type(await (await add.enqueue(1)).result(timeout=timedelta(seconds=3)), int)
    assert_type(await (await add.enqueue(1)).result(2.5), int)
    assert_type((await add.enqueue(1)).id, UUID)
    assert_type(await (await add.enqueue(1)).status(), JobState)

    assert_type(await welcome.enqueue(1, tone="dry"), Enqueued[None])
    assert_type(await shrink.enqueue("beach.jpg"), Enqueued[bytes])
    assert_type(await shrink_again.enqueue("beach.jpg", 1, 2, tone="dry"), Enqueued[list[str]])
    assert_type(await dynamic.enqueue(3), Enqueued[str])
    assert_type(await crunch.enqueue([1, 2], power=3.0), Enqueued[float])
    assert_type(await (await crunch.enqueue([1])).result(), float)
    assert_type(await unpack.enqueue("a.zip"), Enqueued[int])
    assert_type(unpack("a.zip"), int)
    assert_type(crunch([1]), float)
    assert_type(await named.enqueue(size=3), Enqueued[str])


async def make_jobs() -> None:
    assert_type(add.job(1), Job[int])
    assert_type(await add.job(1).enqueue(), Enqueued[int])
    assert_type(shrink.job(path="beach.jpg"), Job[bytes])


async def with_options(connection: asyncpg.Connection, pool: asyncpg.Pool) -> None:
    later = add.options(queue="slow", priority=3, delay=timedelta(minutes=5))
    assert_type(await later.enqueue(1, right=2), Enqueued[int])
    assert_type(await later(1), int)
    assert_type(later.job(1), Job[int])

    at = datetime(2030, 1, 1, tzinfo=UTC)
    assert_type(await welcome.options(run_at=at).enqueue(1, tone="dry"), Enqueued[None])
    assert_type(await welcome.options(connection=connection).enqueue(1), Enqueued[None])
    assert_type(shrink.options(priority=1)("beach.jpg"), bytes)
    async with pool.acquire() as own, own.transaction():
        assert_type(await add.options(connection=own).enqueue(1), Enqueued[int])


async def many() -> None:
    assert_type(await jobs.enqueue_many([add.job(1), shrink.job("x")]), list[Enqueued[Any]])
    assert_type(await jobs.enqueue_many(add.job(n) for n in range(3)), list[Enqueued[Any]])


async def call() -> None:
    calling: Coroutine[Any, Any, int] = add(1)
    assert_type(await calling, int)
    assert_type(await add(1, right=2), int)
    assert_type(shrink("beach.jpg"), bytes)
    assert_type(dynamic(3), str)


async def ask(id: UUID) -> None:
    assert_type(await jobs.get(id), Snapshot)
    assert_type(await jobs.cancel(id), bool)
    assert_type(await jobs.retry(id), bool)
    assert_type(await jobs.delete(id), bool)
    assert_type(jobs.tasks, Mapping[str, Task[..., Any]])
    try:
        await (await add.enqueue(1)).result()
    except errors.JobFailed as failed:
        assert_type(failed.error, str)


def take_any(task: Task[..., Any]) -> str:
    return task.name


def take_one(task: Task[[int], int]) -> None: ...


take_any(add)
take_any(shrink)


class State(TypedDict):
    ready: bool


@asynccontextmanager
async def own(app: FastAPI) -> AsyncIterator[None]:
    await jobs.address()
    yield


@asynccontextmanager
async def own_with_state(app: Starlette) -> AsyncIterator[State]:
    yield {"ready": True}


@asynccontextmanager
async def own_of_any(app: Any) -> AsyncGenerator[None]:
    yield


fastapi = FastAPI(lifespan=jobs.lifespan)
fastapi_with_own = FastAPI(lifespan=jobs.lifespan(own))
fastapi_with_any = FastAPI(lifespan=jobs.lifespan(own_of_any))
starlette = Starlette(lifespan=jobs.lifespan)
starlette_with_own = Starlette(lifespan=jobs.lifespan(own_with_state))
starlette_with_any = Starlette(lifespan=jobs.lifespan(own_of_any))
wrapped = jobs.asgi(starlette)


def is_admin(request: object) -> bool:
    return True


async def is_admin_in_time(request: object) -> bool:
    return True


fastapi.mount("/jobs", jobs.dashboard())
fastapi.mount("/jobs", jobs.dashboard(allow=is_admin))
starlette.mount("/jobs", jobs.dashboard(allow=is_admin_in_time))


async def script(pool: asyncpg.Pool) -> None:
    async with Jobs(pool=pool).running() as running:
        assert_type(running, Jobs)
    async with Jobs("postgresql://localhost/app").connected() as connected:
        assert_type(connected, Jobs)
    async with jobs.running(kind="script", slots=2, queues=["mail"]):
        pass


lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]] = jobs.lifespan
