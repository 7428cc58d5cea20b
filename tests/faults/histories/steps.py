"""
What may happen in a history: each step is a value, and knows how to happen.

A step that makes no sense where the history stands (to kill a process that is dead, to cancel a job that
was never stored) does nothing, so that any list of steps is a history and any part of one is, too.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, fields
from typing import Any

import asyncpg

from tests.faults.histories.life import Deed, Life, Process
from tests.faults.histories.stage import PATIENCE, Stage

Acts = tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Step:
    """One thing that happens."""

    def __repr__(self) -> str:
        said = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self)
                if getattr(self, each.name) != each.default)  # fmt: skip
        return f"{type(self).__name__}({', '.join(said)})"

    async def happen(self, stage: Stage) -> None:
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class Enqueue(Step):
    """Jobs are stored: one by itself, several in one commit. What each of their runs does is said by `acts`."""

    by: str
    acts: Acts = ()
    more: tuple[Acts, ...] = ()
    task: str = "thrice"
    delay: float = 0.0  # seconds
    leaves_after: float | None = None  # seconds, then the caller is cancelled
    hurry: bool = False  # what comes next comes at once

    async def happen(self, stage: Stage) -> None:
        deed, lives = _conceived(stage, "enqueue", self.by, self.task, (self.acts, *self.more))
        jobs = [{"number": life.number, "task": life.task, "delay": self.delay} for life in lives]
        doing = stage.do(self.by, deed, lives, jobs=jobs, leaves_after=self.leaves_after)
        await _patiently(stage, doing, 0 if self.hurry else PATIENCE)


@dataclass(frozen=True, repr=False)
class Transact(Step):
    """Jobs are stored in a transaction of their caller's, open for so many seconds."""

    by: str
    acts: Acts = ()
    more: tuple[Acts, ...] = ()
    commits: bool = True
    open_for: float = 0.0

    async def happen(self, stage: Stage) -> None:
        deed, lives = _conceived(stage, "transact", self.by, "thrice", (self.acts, *self.more))
        for life in lives:
            life.never = not self.commits
        jobs = [{"number": life.number, "task": life.task} for life in lives]
        words: dict[str, Any] = {"commits": self.commits, "open_for": self.open_for}
        await _patiently(stage, stage.do(self.by, deed, lives, jobs=jobs, **words), 0)


@dataclass(frozen=True, repr=False)
class Ask(Step):
    """Somebody wants a job cancelled, retried or deleted."""

    what: str
    job: int
    by: str = "A"
    hurry: bool = False

    async def happen(self, stage: Stage) -> None:
        life = _life(stage, self.job)
        # Nobody deletes what they were not told of: an enqueue in doubt could not know of it.
        is_known = life is not None and (self.what != "delete" or life.stored.is_done)
        if life is not None and life.id is not None and is_known:
            deed = Deed(self.what, self.by, time.monotonic())
            life.deeds.append(deed)
            doing = stage.do(self.by, deed, [life], id=life.id)
            await _patiently(stage, doing, 0 if self.hurry else PATIENCE)


@dataclass(frozen=True, repr=False)
class LetGo(Step):
    """A job that hangs goes on."""

    job: int

    async def happen(self, stage: Stage) -> None:
        life = _life(stage, self.job)
        if life is not None:
            stage.let_go(life)


@dataclass(frozen=True, repr=False)
class Hold(Step):
    """Somebody holds a job's row for so many seconds."""

    job: int
    seconds: float

    async def happen(self, stage: Stage) -> None:
        life = _life(stage, self.job)
        if life is not None and life.id is not None:
            stage.later(self._hold(stage, life.id))
            await asyncio.sleep(0.01)

    async def _hold(self, stage: Stage, id: str) -> None:
        connection = await asyncpg.connect(stage.dsn)
        await connection.execute("begin")
        await connection.execute("select from asyncjobs.job where id = $1 for update", id)
        await asyncio.sleep(self.seconds)
        await connection.close()


@dataclass(frozen=True, repr=False)
class Start(Step):
    """A process comes."""

    place: str

    async def happen(self, stage: Stage) -> None:
        await _patiently(stage, stage.start(self.place), 1.0)


@dataclass(frozen=True, repr=False)
class OnProcess(Step):
    """Something is done to a process that lives and is up."""

    place: str

    async def happen(self, stage: Stage) -> None:
        process = stage.at(self.place)
        if process is not None and process.up_at is not None:
            await self.hurt(stage, process)

    async def hurt(self, stage: Stage, process: Process) -> None:
        raise NotImplementedError


@dataclass(frozen=True, repr=False)
class Kill(OnProcess):
    """Kill -9."""

    async def hurt(self, stage: Stage, process: Process) -> None:
        stage.kill(process)


@dataclass(frozen=True, repr=False)
class Stop(OnProcess):
    """SIGTERM."""

    async def hurt(self, stage: Stage, process: Process) -> None:
        stage.later(stage.stop(process))
        await asyncio.sleep(0.01)


@dataclass(frozen=True, repr=False)
class Freeze(OnProcess):
    """SIGSTOP, and SIGCONT after so many seconds."""

    seconds: float = 0.3

    async def hurt(self, stage: Stage, process: Process) -> None:
        stage.later(stage.freeze(process, self.seconds))
        await asyncio.sleep(0.01)


@dataclass(frozen=True, repr=False)
class Cut(OnProcess):
    """The server terminates its sessions: the link, the pool's, or all."""

    what: str = "all"

    async def hurt(self, stage: Stage, process: Process) -> None:
        await stage.cut(process, self.what)


@dataclass(frozen=True, repr=False)
class Sever(OnProcess):
    """Its network is away for so many seconds: it is 'refused', 'unheard' (a black hole), or 'deaf'."""

    seconds: float = 0.3
    how: str = "refused"

    async def hurt(self, stage: Stage, process: Process) -> None:
        stage.later(stage.sever(process, self.seconds, self.how))
        await asyncio.sleep(0.01)


@dataclass(frozen=True, repr=False)
class Bury(OnProcess):
    """Others take it for dead, and it comes back."""

    async def hurt(self, stage: Stage, process: Process) -> None:
        await stage.bury(process)


@dataclass(frozen=True, repr=False)
class SetClock(OnProcess):
    """Its clock is off by so many hours from now on."""

    hours: int = 1

    async def hurt(self, stage: Stage, process: Process) -> None:
        stage.set_clock(process, self.hours)


@dataclass(frozen=True, repr=False)
class Trap(OnProcess):
    """Harm waits for its next statement of this kind; see traps.py."""

    statement: str = "finish"
    harm: str = "die after"

    async def hurt(self, stage: Stage, process: Process) -> None:
        deed = Deed("trap", self.place, time.monotonic())
        words = {"statement": self.statement, "harm": self.harm}
        await _patiently(stage, stage.command(process, deed, **words), PATIENCE)


@dataclass(frozen=True, repr=False)
class Rest(Step):
    """Nothing happens for so many seconds."""

    seconds: float = 0.05

    async def happen(self, stage: Stage) -> None:
        await asyncio.sleep(self.seconds)


def _conceived(
    stage: Stage, what: str, by: str, task: str, acts: tuple[Acts, ...]
) -> tuple[Deed, list[Life]]:
    """Enter jobs that are about to be stored together."""
    deed = Deed(what, by, time.monotonic())
    first = len(stage.lives)
    lives = [Life(first + each, task, acts[each], deed) for each in range(len(acts))]
    stage.lives.update((life.number, life) for life in lives)
    return deed, lives


def _life(stage: Stage, job: int) -> Life | None:
    return stage.lives[job % len(stage.lives)] if stage.lives else None


async def _patiently(stage: Stage, what: Any, seconds: float) -> None:
    """Let it happen, and wait for it, but not longer than that."""
    await asyncio.wait([stage.later(what)], timeout=seconds)
