"""
The diary: who ran what, from when to when, kept outside the queue and outside Postgres.

One file for each scenario, to which every process appends lines. A line is written by one `write` on a
file opened for appending, so that lines of many processes never mix, and a process that is killed leaves
all that it had noted. Times are those of the machine's monotonic clock, one clock for all processes, in
seconds; setting a clock does not change it.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncjobs import CurrentJob, Jobs, events
from asyncjobs.extension import CallNext


@dataclass(frozen=True, slots=True)
class Entry:
    """One line: `what` happened at `at` in the process `pid`, to `job` if to any."""

    what: str
    at: float
    pid: int
    job: str | None = None
    more: dict[str, Any] = field(default_factory=dict)


class Diary:
    """A file to append to, and to read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, what: str, job: object = None, *, at: float | None = None, **more: Any) -> None:
        """Append one line."""
        line = {
            "what": what,
            "at": time.monotonic() if at is None else at,
            "pid": os.getpid(),
            "job": None if job is None else str(job),
            "more": more,
        }
        os.write(self._file, json.dumps(line).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


class Reader:
    """Reads on from where it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._entries: list[Entry] = []

    def read(self) -> list[Entry]:
        """Give all that is noted so far, in the order of the file."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._offset += len(line)
                self._entries.append(Entry(**json.loads(line)))
        return self._entries


class Witness:
    """An extension of the processes under harm: notes each run's begin and end, and what is told of it."""

    def __init__(self, diary: Diary) -> None:
        self.diary = diary
        self.jobs: Jobs | None = None

    async def serve(self) -> None:
        """Say that the process is up, once it has its link."""
        assert self.jobs is not None
        while (executor := self.jobs.executor) is None:
            await asyncio.sleep(0.01)
        self.diary.note("up", process=executor.process_id, parent=os.getppid())

    async def around(self, job: CurrentJob, call_next: CallNext) -> object:
        """Note when a body begins, and when it has ended, however that was."""
        self.diary.note("began", job.id, task=job.task, fence=job.fence, attempt=job.attempt)
        how = "returned"
        try:
            return await call_next()
        except BaseException as error:
            how = type(error).__name__
            raise
        finally:
            self.diary.note("ended", job.id, fence=job.fence, how=how)

    def hears(self, event: events.Event) -> None:
        """Note what was told."""
        more = {"attempt": getattr(event, "attempt", None)}
        if isinstance(event, (events.Finished, events.Rescued)):
            more["state"] = event.state.value
        if not isinstance(event, (events.Claimed, events.Started)):
            self.diary.note(f"told {type(event).__name__}", event.id, **more)
