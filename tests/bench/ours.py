"""asyncjobs as a contestant, through its public face."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from asyncjobs import Jobs
from asyncjobs.events import Event, Finished
from asyncjobs.postgres.statements import Statements
from tests.bench.contestant import WARM, ask
from tests.moments import until


class Counter:
    """Hears of ends; an extension."""

    def __init__(self) -> None:
        self.ended = 0
        self._wanted = 0
        self._reached = asyncio.Event()

    def hears(self, event: Event) -> None:
        """Count."""
        if isinstance(event, Finished):
            self.ended += 1
            if self.ended >= self._wanted:
                self._reached.set()

    async def reached(self, count: int) -> None:
        """Wait until so many ends were recorded."""
        self._wanted = count
        if self.ended < count:
            self._reached.clear()
            await self._reached.wait()


class Ours:
    """asyncjobs, as it comes."""

    name = "ours"

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._say = Statements("tests.bench", "asyncjobs")

    async def prepare(self) -> None:
        jobs = Jobs(self.dsn, migrate=True)

        async def has_days() -> bool:
            return bool(await jobs.database.fetchval(self._say["ours_has_days"]))

        async with jobs.running():
            await until(has_days)  # a server that has run for a while has them

    async def clear(self) -> None:
        await ask(self.dsn, self._say["ours_clear"])

    async def left(self) -> int:
        left: int = await ask(self.dsn, self._say["ours_left"])
        return left

    async def drain(self, count: int, slots: int) -> float:
        jobs = Jobs(self.dsn, slots=slots)
        ran = 0
        all_ran = asyncio.Event()

        @jobs.task
        async def noop() -> None:
            nonlocal ran
            ran += 1
            if ran == count:
                all_ran.set()

        async with jobs.connected():
            await jobs.enqueue_many([noop.job() for _ in range(count)])
        async with jobs.running():
            # The first claim does not wait for us: what has run by now is not counted.
            began, before = time.perf_counter(), ran
            await all_ran.wait()
            assert jobs.executor is not None
            await jobs.executor.recorded()
            return (count - before) / (time.perf_counter() - began)

    async def enqueue_alone(self, count: int) -> float:
        jobs = Jobs(self.dsn)

        @jobs.task
        async def noop() -> None: ...

        async with jobs.connected():
            began = time.perf_counter()
            for _ in range(count):
                await noop.enqueue()
            return count / (time.perf_counter() - began)

    async def enqueue_together(self, count: int, callers: int) -> float:
        jobs = Jobs(self.dsn)

        @jobs.task
        async def noop() -> None: ...

        async def call() -> None:
            for _ in range(count // callers):
                await noop.enqueue()

        async with jobs.connected():
            began = time.perf_counter()
            await asyncio.gather(*(call() for _ in range(callers)))
            return count / (time.perf_counter() - began)

    async def delays_here(self, count: int) -> list[float]:
        counter = Counter()
        jobs = Jobs(self.dsn, extensions=[counter])
        delays: list[float] = []
        sent = 0.0

        @jobs.task
        async def started() -> None:
            delays.append(time.perf_counter() - sent)

        async with jobs.running():
            for number in range(WARM + count):
                sent = time.perf_counter()
                await started.enqueue()
                await counter.reached(number + 1)
        return delays[WARM:]

    async def send(self, count: int, pause: float) -> None:
        jobs = Jobs(self.dsn)

        @jobs.task(name="started")
        async def started(sent: float) -> None: ...

        async with jobs.connected():
            for _ in range(count):
                await started.enqueue(time.monotonic())
                await asyncio.sleep(pause)

    async def work(self, up: Callable[[], None], tell: Callable[[float], None]) -> None:
        jobs = Jobs(self.dsn)

        @jobs.task(name="started")
        async def started(sent: float) -> None:
            tell(time.monotonic() - sent)

        async with jobs.running():
            up()
            await asyncio.get_running_loop().create_future()
