"""Registries of tasks: the decorator, and how the tasks of a large app find their way to one `Jobs`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from asyncjobs.errors import BadOption, BadSignature, DuplicateTask, NotConnected
from asyncjobs.retry import Retry, exponential
from asyncjobs.task import AsyncTask, PlainTask, Road, Run, Task

P = ParamSpec("P")
R = TypeVar("R")


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
        secret: Collection[str] = ...,
        encrypt: bool = ...,
        run: Run | None = ...,
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
        secret: Collection[str] = (),
        encrypt: bool = False,
        run: Run | None = None,
    ) -> Any:
        """
        Make a function a task: `@jobs.task`, or `@jobs.task(queue="mail", retry=exponential(8))`.

        `queue`: where its jobs wait. `priority`: lower goes first. `retry`: when to try again, by
        default `exponential(5)`. `timeout`: how long one attempt may run. `name`: under which jobs are
        stored, by default module and function; give one if the function may move. `keep`: how long
        finished jobs are kept, by default 7 days and 30 for failed ones; `timedelta(0)`: not at all.
        `secret`: names of parameters that pages, logs and errors must not show, as `Annotated[str, Secret]`
        says of one. `encrypt`: store arguments and result sealed, under the keys of `Jobs`. `run`: where a
        plain function runs: "thread", as it does otherwise, or "process", a process of its own, for what
        computes; it must be found by its name in its module then.

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
                secret=secret,
                encrypt=encrypt,
                run=run,
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
