"""Tasks, and the jobs that are made of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, NamedTuple, ParamSpec, Protocol, Self, TypeVar
from uuid import UUID

from asyncjobs.codec import Codec
from asyncjobs.errors import BadOption
from asyncjobs.job import JobState
from asyncjobs.options import (
    check_encrypt,
    check_length,
    check_name,
    check_priority,
    check_retry,
    check_run,
    check_secret,
)
from asyncjobs.place import Place, place_of
from asyncjobs.retry import Retry

P = ParamSpec("P")
R = TypeVar("R")

Run = Literal["thread", "process"]

KEEP_DAYS = 7
KEEP_FAILED_DAYS = 30


class Road(Protocol):
    """What tasks need of a connected `Jobs`."""

    async def enqueue(self, jobs: Sequence[Job[Any]], connection: Any) -> list[UUID]:
        """Store the jobs together; return their ids in order."""
        ...

    async def state(self, id: UUID) -> JobState:
        """Tell where the job stands."""
        ...

    async def result(self, id: UUID, timeout: timedelta | None) -> str | None:
        """Wait for the end and give the stored result."""


class Registry(Protocol):
    """Where a task was declared."""

    @property
    def road(self) -> Road:
        """Where its jobs are enqueued; raises NotConnected."""
        ...


class Options(NamedTuple):
    """How one job departs from its task's ways."""

    queue: str | None = None
    priority: int | None = None
    delay: timedelta | None = None
    run_at: datetime | None = None
    connection: Any = None


class Task(Generic[P, R]):
    """
    A function that can be run in the background.

    Made by the decorator `@jobs.task` or `@tasks.task`; calling it calls the function, here and now.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        registry: Registry,
        *,
        name: str,
        queue: str,
        priority: int,
        retry: Retry,
        timeout: timedelta | None,
        keep: timedelta | None,
        secret: Collection[str] = (),
        encrypt: bool = False,
        run: Run | None = None,
    ) -> None:
        self.function = function
        self.name: str = check_name("name", name)
        self.queue: str = check_name("queue", queue)
        self.priority: int = check_priority(priority)
        self.retry: Retry = check_retry(retry)
        self.timeout: timedelta | None = check_length(
            "timeout", timeout, least=timedelta(milliseconds=1)
        )
        self.keep: timedelta | None = check_length("keep", keep, least=timedelta(0))
        self.is_async: bool = inspect.iscoroutinefunction(inspect.unwrap(function))
        self.runs_in: Literal["loop", "thread", "process"] = check_run(run, is_async=self.is_async)
        """Where the function runs: on the event loop, in a thread, or in a process of its own."""
        self.place: Place | None = place_of(name, function) if run == "process" else None
        self.is_sealed: bool = check_encrypt(encrypt)
        self.secret: frozenset[str] = check_secret(secret)
        self.codec: Codec = Codec(name, function, secret=self.secret, secret_result=self.is_sealed)
        self._registry = registry
        self._options = Options()
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __repr__(self) -> str:
        return f"<Task {self.name}>"

    async def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Enqueued[R]:
        """
        Store a job that runs this task with these arguments; it is durable when this returns.

        With `options(connection=…)` in an open transaction it is durable when that commits.

        Raises ArgumentsDoNotFit, ArgumentsNotStorable, NotConnected, Unavailable, WrongConnection.
        """
        return await self.job(*args, **kwargs).enqueue()

    def job(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """
        Make a job without storing it.

        Raises ArgumentsDoNotFit, ArgumentsNotStorable.
        """
        dumped = self.codec.dump(args, kwargs)
        return Job(self, dumped.arguments, self._options, dumped.shown)

    def options(
        self,
        *,
        queue: str | None = None,
        priority: int | None = None,
        delay: timedelta | None = None,
        run_at: datetime | None = None,
        connection: Any = None,
    ) -> Self:
        """
        Give this task with other ways for the jobs that it makes.

        `delay` or `run_at` (an aware datetime): not before then. `priority`: lower goes first.
        `connection`: an asyncpg connection; the job is stored in its open transaction, and exists
        exactly when that commits.

        Raises BadOption.
        """
        if delay is not None and run_at is not None:
            raise BadOption("delay", "left out when run_at is given", delay)
        if run_at is not None and (not isinstance(run_at, datetime) or run_at.tzinfo is None):
            raise BadOption("run_at", "a datetime with a time zone", run_at)
        given: dict[str, Any] = {
            "queue": None if queue is None else check_name("queue", queue),
            "priority": None if priority is None else check_priority(priority),
            "delay": check_length("delay", delay, least=timedelta(0)),
            "run_at": run_at,
            "connection": connection,
        }
        changes = {name: value for name, value in given.items() if value is not None}
        if "delay" in changes or "run_at" in changes:
            changes = {"delay": None, "run_at": None, **changes}
        task = object.__new__(type(self))
        task.__dict__.update(self.__dict__)  # as copy.copy does, in a fifth of its time
        task._options = self._options._replace(**changes)
        return task

    def keep_days(self, state: JobState) -> int:
        """Tell for how many days a job of this task is kept after ending so; 0: not at all."""
        if self.keep is not None:
            return -(-self.keep // timedelta(days=1))
        return KEEP_FAILED_DAYS if state is JobState.FAILED else KEEP_DAYS

    def prepare(self) -> None:
        """Build what it needs to run; raises BadSignature where that cannot be."""
        self.codec.prepare()
        if self.place is not None:
            self.place.check(self.name, self.function)

    @property
    def road(self) -> Road:
        """Where its jobs are enqueued; raises NotConnected in a registry that nobody included."""
        return self._registry.road


class AsyncTask(Task[P, R]):
    """A task of an `async def` function."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call the function itself."""
        called: Coroutine[Any, Any, R] = self.function(*args, **kwargs)
        return called


class PlainTask(Task[P, R]):
    """A task of a plain function; it runs in a thread, or in a process of its own."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself."""
        called: R = self.function(*args, **kwargs)
        return called


@dataclass(frozen=True, slots=True)
class Job(Generic[R]):
    """
    One request to run a task: its arguments, as they will be stored, and its options.

    `arguments` is JSON, secrets as they are; `shown` the same with masks for them, None where there are none.
    """

    task: Task[..., R]
    arguments: str = field(repr=False)
    options: Options = field(default_factory=Options)
    shown: str | None = field(default=None, repr=False)

    async def enqueue(self) -> Enqueued[R]:
        """Store it; each call stores another one. Raises as `Task.enqueue` does."""
        [id] = await self.task.road.enqueue([self], self.options.connection)
        return Enqueued(id, self.task)


@dataclass(frozen=True, slots=True)
class Enqueued(Generic[R]):
    """A job that was stored."""

    id: UUID
    task: Task[..., R]

    async def status(self) -> JobState:
        """Tell where it stands; raises JobNotFound, NotConnected, Unavailable."""
        return await self.task.road.state(self.id)

    async def result(self, timeout: timedelta | float | None = None) -> R:
        """
        Wait until it has finished and give what the function returned.

        `timeout` is a timedelta, or seconds; None waits for ever.

        Raises JobFailed, JobCancelled, ResultTimeout, ResultNotReadable, JobNotFound (also for tasks with
        keep=timedelta(0), whose jobs leave no trace), NotConnected, Unavailable.
        """
        if isinstance(timeout, (int, float)):
            timeout = timedelta(seconds=timeout)
        stored = await self.task.road.result(self.id, timeout)
        result: R = self.task.codec.load_result(stored)
        return result
