"""Tasks, and the jobs that are made of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, NamedTuple, ParamSpec, Protocol, Self, TypeVar, cast
from uuid import UUID

from asyncjobs.codec import Codec
from asyncjobs.errors import BadOption
from asyncjobs.job import JobState
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
        self.retry: Retry = _check_retry(retry)
        self.timeout: timedelta | None = _check_length(
            "timeout", timeout, least=timedelta(milliseconds=1)
        )
        self.keep: timedelta | None = _check_length("keep", keep, least=timedelta(0))
        self.is_async: bool = inspect.iscoroutinefunction(inspect.unwrap(function))
        self.runs_in: Literal["loop", "thread", "process"] = _check_run(run, is_async=self.is_async)
        """Where the function runs: on the event loop, in a thread, or in a process of its own."""
        self.place: Place | None = place_of(name, function) if run == "process" else None
        self.is_sealed: bool = _check_encrypt(encrypt)
        self.secret: frozenset[str] = _check_secret(secret)
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
            "delay": _check_length("delay", delay, least=timedelta(0)),
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


def check_name(option: str, name: object) -> str:
    """Give the name back, or raise BadOption where Postgres or people could not use it."""
    if not isinstance(name, str) or not 0 < len(name) <= 200 or not name.isprintable():
        raise BadOption(option, "a string of 1 to 200 printable characters", name)
    return name


def check_priority(priority: object) -> int:
    """Give the priority back, or raise BadOption where a smallint cannot hold it."""
    if not isinstance(priority, int) or not -32768 <= priority <= 32767:
        raise BadOption(
            "priority", "a whole number from -32768 to 32767, lower goes first", priority
        )
    return priority


def _check_retry(retry: object) -> Retry:
    if not isinstance(retry, Retry):
        raise BadOption("retry", "a policy such as exponential(5), fixed(delay) or never()", retry)
    return retry


def _check_run(run: object, *, is_async: bool) -> Literal["loop", "thread", "process"]:
    if is_async:
        if run is not None:
            raise BadOption(
                "run", "left out for an `async def` function, which runs on the event loop", run
            )
        return "loop"
    if run not in (None, "thread", "process"):
        raise BadOption("run", "'thread' or 'process'", run)
    return "process" if run == "process" else "thread"


def _check_secret(secret: object) -> frozenset[str]:
    expected = "the names of parameters, such as ('password',)"
    if not isinstance(secret, (tuple, list, set, frozenset)):
        raise BadOption("secret", expected, secret)
    names = frozenset(cast("Collection[object]", secret))
    if not all(isinstance(name, str) for name in names):
        raise BadOption("secret", expected, names)
    return cast("frozenset[str]", names)


def _check_encrypt(encrypt: object) -> bool:
    if not isinstance(encrypt, bool):
        raise BadOption("encrypt", "True or False", encrypt)
    return encrypt


def _check_length(option: str, length: object, least: timedelta) -> timedelta | None:
    if length is None:
        return None
    if not isinstance(length, timedelta) or not least <= length <= timedelta(days=3650):
        raise BadOption(option, f"a timedelta from {least} to ten years", length)
    return length
