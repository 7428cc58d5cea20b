"""Tasks, the jobs that are made of them, and the registries that hold them."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Generic, ParamSpec, Protocol, Self, TypeVar, overload
from uuid import UUID

from asyncjobs.codec import Codec
from asyncjobs.errors import BadOption, BadSignature, DuplicateTask, NotConnected
from asyncjobs.job import JobState
from asyncjobs.retry import Retry, exponential

P = ParamSpec("P")
R = TypeVar("R")

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


@dataclass(frozen=True, slots=True)
class Options:
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
        registry: Tasks,
        *,
        name: str,
        queue: str,
        priority: int,
        retry: Retry,
        timeout: timedelta | None,
        keep: timedelta | None,
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
        self.codec: Codec = Codec(name, function)
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
        return Job(self, self.codec.dump(args, kwargs), self._options)

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
        task = copy.copy(self)
        changes = {name: value for name, value in given.items() if value is not None}
        if "delay" in changes or "run_at" in changes:
            changes = {"delay": None, "run_at": None, **changes}
        task._options = replace(self._options, **changes)
        return task

    def keep_days(self, state: JobState) -> int:
        """Tell for how many days a job of this task is kept after ending so; 0: not at all."""
        if self.keep is not None:
            return -(-self.keep // timedelta(days=1))
        return KEEP_FAILED_DAYS if state is JobState.FAILED else KEEP_DAYS

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
    """A task of a plain function; it runs in a thread."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself."""
        called: R = self.function(*args, **kwargs)
        return called


@dataclass(frozen=True, slots=True)
class Job(Generic[R]):
    """One request to run a task: its arguments, as they will be stored, and its options."""

    task: Task[..., R]
    arguments: str
    options: Options = field(default_factory=Options)

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


class Decorator(Protocol):
    """What `@jobs.task(…)` gives."""

    # They overlap, as a coroutine is a result, too: the first one that fits counts.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]]
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R]) -> PlainTask[P, R]: ...


class Tasks:
    """
    A registry of tasks, for modules that do not own the `Jobs` object.

    Tasks are declared on it as on `Jobs` itself; `jobs.include(tasks)` brings them home, as
    `app.include_router` does with routes.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, Task[..., Any]] = {}
        self._home: Tasks | None = None
        self._included: list[Tasks] = []
        self._road: Road | None = None

    @overload
    def task(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> PlainTask[P, R]: ...
    @overload
    def task(
        self,
        /,
        *,
        queue: str = ...,
        priority: int = ...,
        retry: Retry | None = ...,
        timeout: timedelta | None = ...,
        name: str | None = ...,
        keep: timedelta | None = ...,
    ) -> Decorator: ...

    def task(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        queue: str = "default",
        priority: int = 0,
        retry: Retry | None = None,
        timeout: timedelta | None = None,
        name: str | None = None,
        keep: timedelta | None = None,
    ) -> Any:
        """
        Make a function a task: `@jobs.task`, or `@jobs.task(queue="mail", retry=exponential(8))`.

        `queue`: where its jobs wait. `priority`: lower goes first. `retry`: when to try again, by
        default `exponential(5)`. `timeout`: how long one attempt may run. `name`: under which jobs are
        stored, by default module and function; give one if the function may move. `keep`: how long
        finished jobs are kept, by default 7 days and 30 for failed ones; `timedelta(0)`: not at all.

        Raises BadOption, BadSignature, DuplicateTask.
        """

        def register(function: Callable[..., Any]) -> Task[..., Any]:
            own_name = _name_of(function) if name is None else name
            if not callable(function) or _yields(function):
                raise BadSignature(
                    own_name, "it must be a function, plain or `async def`, that does not yield"
                )
            task = _kind_of(function)(
                function,
                self,
                name=own_name,
                queue=queue,
                priority=priority,
                retry=retry if retry is not None else exponential(),
                timeout=timeout,
                keep=keep,
            )
            self._add(task)
            return task

        return register if function is None else register(function)

    def include(self, tasks: Tasks) -> None:
        """
        Make the tasks of another registry ours, those declared on it later too.

        Raises DuplicateTask, and BadOption for a registry that has a home already.
        """
        if not isinstance(tasks, Tasks):
            raise BadOption("tasks", "a registry, Tasks()", tasks)
        if tasks._home is self:
            return
        if any(home is tasks for home in self._homes()):
            raise BadOption("tasks", "a registry that this one is not included in", tasks)
        if tasks._home is not None:
            raise BadOption("tasks", "a registry that is not included elsewhere", tasks)
        for name in tasks.tasks:
            self._check_new(name)
        tasks._home = self
        self._included.append(tasks)

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """All tasks by name, those of included registries too."""
        every = dict(self._tasks)
        for registry in self._included:
            every.update(registry.tasks)
        return MappingProxyType(every)

    @property
    def road(self) -> Road:
        """Where jobs of these tasks are enqueued; raises NotConnected."""
        if self._road is not None:
            return self._road
        if self._home is not None:
            return self._home.road
        raise NotConnected(
            "enqueue", "its registry of tasks was never included: jobs.include(tasks) does that"
        )

    def _homes(self) -> Iterator[Tasks]:
        """Ourselves, where we are included, where that is included …"""
        home: Tasks | None = self
        while home is not None:
            yield home
            home = home._home

    def _add(self, task: Task[..., Any]) -> None:
        self._check_new(task.name, task.function)
        self._tasks[task.name] = task

    def _check_new(self, name: str, function: Callable[..., Any] | None = None) -> None:
        *_, root = self._homes()
        known = root.tasks.get(name)
        if known is not None and not _is_reload(known.function, function):
            raise DuplicateTask(name)


def _is_reload(known: Callable[..., Any], new: Callable[..., Any] | None) -> bool:
    """A module that is imported again brings the same function again; that is no second task."""
    return new is not None and _place(known) is not None and _place(known) == _place(new)


def _place(function: Callable[..., Any]) -> tuple[str, str] | None:
    inner = inspect.unwrap(function)
    code = getattr(inner, "__code__", None)
    return None if code is None else (code.co_filename, inner.__qualname__)


def _kind_of(function: Callable[..., Any]) -> type[Task[..., Any]]:
    return AsyncTask if inspect.iscoroutinefunction(inspect.unwrap(function)) else PlainTask


def _yields(function: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _name_of(function: Callable[..., Any]) -> str:
    inner = inspect.unwrap(function)
    module = getattr(inner, "__module__", None) or "unknown"
    if module == "__main__":
        # A script run with `python -m app.tasks` is imported as app.tasks by its worker.
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        module = spec.name.removesuffix(".__main__") if spec else module
    name = getattr(inner, "__qualname__", type(inner).__qualname__)
    return f"{module}.{name}".replace("<locals>.", "")


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


def _check_length(option: str, length: object, least: timedelta) -> timedelta | None:
    if length is None:
        return None
    if not isinstance(length, timedelta) or not least <= length <= timedelta(days=3650):
        raise BadOption(option, f"a timedelta from {least} to ten years", length)
    return length
