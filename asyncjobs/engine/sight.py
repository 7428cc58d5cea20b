"""
What is seen of a blocked event loop: who keeps it, and in which line.

Nothing of arguments or variables is looked at: a file, a line, the name of a function. The task of asyncio that the
loop is in is a run's, or one of ours; or it carries the mark of the job that made it, as the tasks of a group do
(from Python 3.12 on; before it nobody could ask, and they are taken for the app's). Else it is the app's own code,
a request handler mostly. And when the loop's thread is in nothing but its loop, it waits for its turn: other threads
compute, or the machine has no time for this process.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import selectors
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from asyncjobs.current import CurrentJob, job_of
from asyncjobs.events import Blocked

RunOf = Callable[["asyncio.Task[Any]"], CurrentJob | None]
FRAMES = 200  # looked at, of a deep stack


class Line(NamedTuple):
    """A line that is being executed."""

    file: str
    number: int
    function: str

    def __str__(self) -> str:
        return f"{_short(self.file)}:{self.number} in {self.function}"


@dataclass(frozen=True, slots=True)
class Sight:
    """One look. `line` is of the user's code where there is any; `inside` is where that has called to."""

    by: str
    key: object
    job: CurrentJob | None = None
    line: Line | None = None
    inside: Line | None = None

    @classmethod
    def of_many(cls) -> Sight:
        """Many short things, and none of them for long."""
        return cls("many", "many")

    @classmethod
    def of_nobody(cls) -> Sight:
        """It was over before anybody could look, as C code kept the interpreter's lock."""
        return cls("unseen", "unseen")

    @classmethod
    def of_collector(cls) -> Sight:
        """Python's garbage collector."""
        return cls("collector", "collector")

    @property
    def is_idle(self) -> bool:
        """Whether the loop's thread is in nothing but its loop."""
        return self.by == "threads"

    def told(self, seconds: float, computed: float) -> Blocked:
        """Tell it as an event."""
        job = self.job
        # Our own code that does not compute waits for the interpreter's lock, as when it starts a thread.
        waits = self.by == "asyncjobs" and computed < seconds / 4
        return Blocked(
            None if job is None else job.id,
            None if job is None else job.task,
            None if job is None else job.queue,
            None if job is None else job.attempt,
            "threads" if waits else self.by,
            None if self.line is None or waits else str(self.line),
            None if self.inside is None or waits else str(self.inside),
            round(seconds, 3),
            round(min(max(computed, 0.0), seconds), 3),
        )


class Eye:
    """Looks at a loop from another thread; made in a task of that loop."""

    def __init__(self, run_of: RunOf, thread: int) -> None:
        self._run_of = run_of
        self._thread = thread
        self._loop = asyncio.get_running_loop()
        self._outside = frozenset(_outside(inspect.currentframe()))

    def frame(self) -> FrameType | None:
        """Give where the loop's thread stands."""
        # Documented, whatever its name says.
        return sys._current_frames().get(self._thread)  # pyright: ignore[reportPrivateUsage]

    def __call__(self) -> Sight:
        """Look once."""
        task = asyncio.current_task(self._loop)
        lines = list(self._lines())
        if asyncio.current_task(self._loop) is not task:
            return Sight.of_many()  # it turns while we look
        own = next((line for line in lines if not _is_foreign(line.file)), None)
        innermost = lines[0] if lines else None
        line = own or innermost
        inside = innermost if innermost != line else None
        job = None if task is None else self._run_of(task) or job_of(task)
        is_ours = task is not None and task.get_name().startswith("asyncjobs ")
        is_ours = is_ours or (own is None and any(_is_ours(each.file) for each in lines))
        has_more = any(_is_of_others(each.file) for each in lines)
        if job is not None and has_more:
            return Sight("job", (job.id, job.attempt), job, line, inside)
        if task is None and line is None:
            return Sight("threads", "threads")
        return Sight(
            "asyncjobs" if is_ours else "app",
            (id(task), line and line.function),
            None,
            line,
            inside,
        )

    def _lines(self) -> Iterator[Line]:
        """Give the lines of what the loop has called, the innermost first; none where it has called nothing."""
        frame = self.frame()
        for _ in range(FRAMES):
            if frame is None or id(frame) in self._outside:
                return
            code = frame.f_code
            if not _is_machinery(code.co_filename):
                yield Line(code.co_filename, frame.f_lineno, code.co_qualname)
            frame = frame.f_back


def _outside(frame: FrameType | None) -> Iterator[int]:
    """Give the frames that have called the loop; they stay for as long as it runs."""
    here = frame
    outer: FrameType | None = None
    while here is not None:
        if here.f_code.co_flags & inspect.CO_COROUTINE:
            outer = here
        here = here.f_back
    while outer is not None:
        outer = outer.f_back
        if outer is not None and not _is_machinery(outer.f_code.co_filename):
            yield id(outer)


@cache
def _is_foreign(file: str) -> bool:
    """Whether that is a library, or Python itself: of those the caller is of interest."""
    return file.startswith(("<", _STDLIB)) or _is_installed(file) or _is_ours(file)


@cache
def _is_of_others(file: str) -> bool:
    """Whether that is neither Python, nor ours, nor what we start threads with."""
    is_pythons = file.startswith(("<", _STDLIB)) and not _is_installed(file)
    return not (is_pythons or _is_ours(file) or "anyio" in Path(file).parts)


def _is_installed(file: str) -> bool:
    return bool({"site-packages", "dist-packages"} & set(Path(file).parts))


def _is_ours(file: str) -> bool:
    return file.startswith(_HOME)


@cache
def _is_machinery(file: str) -> bool:
    """Whether that is the loop itself."""
    return file.startswith(_ASYNCIO) or file == _SELECTORS


@cache
def _short(file: str) -> str:
    """Name a file as one imports it."""
    homes = sorted({f"{Path(each).absolute()}{os.sep}" for each in sys.path}, key=len, reverse=True)
    return next((file.removeprefix(home) for home in homes if file.startswith(home)), file)


_STDLIB = f"{Path(os.__file__).parent}{os.sep}"
_HOME = f"{Path(__file__).parent.parent}{os.sep}"
_ASYNCIO = f"{Path(str(asyncio.__file__)).parent}{os.sep}"
_SELECTORS = str(selectors.__file__)
