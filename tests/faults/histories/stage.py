"""
The stage: one database, up to three processes on it, and a diary of who ran what, in the order of time.

Every process reaches Postgres through a proxy of its own, so that its network can be taken away. It is
told over a socket what to do, and tells over it what it runs. Jobs ask here, run by run, what they shall do;
so a history decides everything that can be decided, and what is left to chance is who is faster.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any, Self

import asyncpg

from asyncjobs import Jobs
from tests.faults.histories.deeds import TROUBLE, do, left_over
from tests.faults.histories.hand import declared
from tests.faults.histories.life import Deed, Life, Numbness, Process, Run
from tests.faults.histories.nursery import Nursery
from tests.faults.proxy import Proxy, Way, proxied
from tests.moments import until, until_true

PLACES = {"A": 2, "B": 2, "C": 1}  # and their slots
ELSEWHERE = "C"  # on another machine: nobody can prove its death
UP_WITHIN = 20.0  # seconds
PATIENCE = 0.5  # seconds that the history waits for the answer to a deed before it goes on
NOTICEABLE = 0.5  # seconds without Postgres after which others may take a process for dead

LINK = """
select pg_terminate_backend(pg_locks.pid) from pg_locks
join asyncjobs.process on (classid::bigint << 32) | objid::bigint = lock_key
where locktype = 'advisory' and process.pid = $1 and ended_at is null
"""
POOL = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and application_name = $1
"""
IS_LINKED = """
select exists (
  select from pg_locks join asyncjobs.process on (classid::bigint << 32) | objid::bigint = lock_key
  where locktype = 'advisory' and process.pid = $1 and ended_at is null
)
"""
BURIED = "select bool_and(ended_at is not null) from asyncjobs.process where pid = $1"


class Stage:
    """See the module's text."""

    def __init__(self, dsn: str, nursery: Nursery, directory: Path) -> None:
        self.dsn = dsn
        self.directory = directory
        self.began_at = time.monotonic()
        self.lives: dict[int, Life] = {}
        self.runs: dict[str, Run] = {}
        self.bulks: list[list[int]] = []
        self.processes: list[Process] = []
        self.heard: Counter[str] = Counter()
        self.told: list[tuple[float, str]] = []
        self.confusion: list[str] = []
        self.is_settling = False
        self._eyes: asyncpg.Connection
        self._looking = asyncio.Lock()
        self._nursery = nursery
        self._door = Jobs(dsn)
        self._door.include(declared(_nobody, _nobody_in_a_thread))
        self._at: dict[str, Process] = {}
        self._proxies: dict[str, Proxy] = {}
        self._words: dict[Process, str] = {}
        self._writers: dict[Process, asyncio.StreamWriter] = {}
        self._numbers = count(1)
        self._lives_of: dict[str, int] = dict.fromkeys(PLACES, 0)
        self._severed: set[str] = set()
        self._open: dict[int, tuple[Deed, asyncio.Event]] = {}
        self._later: set[asyncio.Future[Any]] = set()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        enter = self._stack.enter_async_context
        self._eyes = await asyncpg.connect(self.dsn)
        self._stack.push_async_callback(self._eyes.close)
        await enter(self._door.connected())
        for place in PLACES:
            self._proxies[place] = await enter(proxied(self.dsn))
        self._server = await asyncio.start_unix_server(self._listen, str(self._socket))
        await asyncio.gather(*(self.start(place) for place in PLACES))
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self.processes:
            if process.pid and process.code is None:
                os.kill(process.pid, signal.SIGKILL)
        for later in self._later:
            later.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        await until_true(lambda: all(process.code is not None for process in self.processes))
        self._server.close()
        for process in self.processes:
            with suppress(FileNotFoundError):
                self._words[process] = (self.directory / process.name).read_text()
        for writer in self._writers.values():
            writer.close()
        await self._stack.aclose()

    @property
    def _socket(self) -> Path:
        return self.directory / "stage"

    def tell(self, what: object) -> None:
        """Write into the diary."""
        self.told.append((time.monotonic(), str(what)))

    def later(self, what: Awaitable[Any]) -> asyncio.Future[Any]:
        """Let it happen beside the rest of the history."""
        future = asyncio.ensure_future(what)
        self._later.add(future)
        future.add_done_callback(self._has_happened)
        return future

    def _has_happened(self, future: asyncio.Future[Any]) -> None:
        self._later.discard(future)
        if not future.cancelled() and future.exception() is not None:
            self.confusion.append(f"the stage failed itself: {future.exception()!r}")

    async def look_at(self, sql: str, *args: object) -> Sequence[Any]:
        """Ask Postgres past everybody."""
        async with self._looking:
            rows: Sequence[Any] = await self._eyes.fetch(sql, *args)
        return rows

    async def see(self, sql: str, *args: object) -> Any:
        """Ask it for one value."""
        [row] = await self.look_at(sql, *args)
        return row[0]

    async def calm(self) -> None:
        """Wait until everything that was to happen later has happened."""
        while self._later:
            await asyncio.wait(self._later)

    # Processes.

    def at(self, place: str) -> Process | None:
        """Give who lives there, if anybody does and is not about to leave."""
        process = self._at.get(place)
        return None if process is None or process.is_over or process.is_told_to_end else process

    async def start(self, place: str) -> None:
        """Start a process there, unless one lives or the network is away; wait until it is up, or has given up."""
        former = self._at.get(place)
        if place in self._severed or (former is not None and former.code is None):
            return
        self._lives_of[place] += 1
        machine = "elsewhere" if place == ELSEWHERE else None
        process = Process(f"{place}{self._lives_of[place]}", place, machine)
        self._at[place] = process
        self.processes.append(process)

        def ended(code: int) -> None:
            process.code = code
            self._is_gone(process, time.monotonic())

        process.pid = await self._nursery.bear(
            ended, name=process.name, dsn=self._proxies[place].dsn, place=str(self._socket),
            slots=PLACES[place], machine=machine, words=str(self.directory / process.name),
        )  # fmt: skip
        await until_true(lambda: process.up_at is not None or process.code is not None, UP_WITHIN)

    def kill(self, process: Process) -> None:
        """Kill -9."""
        self._is_gone(process, time.monotonic())
        os.kill(process.pid, signal.SIGKILL)

    async def stop(self, process: Process) -> None:
        """Tell it to end; it drains, gives back what does not end, and goes."""
        process.is_told_to_end = True
        os.kill(process.pid, signal.SIGTERM)
        await until_true(lambda: process.code is not None)

    async def freeze(self, process: Process, seconds: float) -> None:
        """Stop the whole process for a while, as a laptop does, or a hypervisor."""
        if process.is_frozen:
            return
        os.kill(process.pid, signal.SIGSTOP)
        process.is_frozen = True
        if not await self.see(IS_LINKED, process.pid):
            self._is_numb(process)
        await asyncio.sleep(seconds)
        self.thaw(process)

    def thaw(self, process: Process) -> None:
        process.is_frozen = False
        for each in process.numb:
            each.until = min(each.until, time.monotonic())
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)

    async def sever(self, process: Process, seconds: float, how: str) -> None:
        """Take its network away for a while: it is 'refused', in a black hole ('unheard'), or 'deaf'."""
        proxy = self._proxies[process.place]
        if process.place in self._severed:
            return
        self._severed.add(process.place)
        if process.is_frozen:
            self._is_numb(process)
        if seconds >= NOTICEABLE:
            process.cut_off.append(time.monotonic())
        if how == "refused":
            proxy.refuse()
            proxy.hang_up()
        else:
            proxy.silence(*((Way.ANSWERED,) if how == "deaf" else ()))
        await asyncio.sleep(seconds)
        proxy.hang_up()  # what waits in the hole is lost
        await proxy.heal()
        self._severed.discard(process.place)

    async def cut(self, process: Process, what: str) -> None:
        """Terminate its sessions, from the server's side."""
        if what in ("link", "all"):
            await self.look_at(LINK, process.pid)
            if process.is_frozen:
                self._is_numb(process)
        if what in ("pool", "all"):
            await self.look_at(POOL, process.application)

    async def bury(self, process: Process) -> None:
        """Let others take it for dead while it lives: frozen, its sessions terminated, for as long as they need."""
        if process.is_frozen:
            return
        os.kill(process.pid, signal.SIGSTOP)
        process.is_frozen = True
        await self.cut(process, "all")

        async def is_buried() -> bool:
            return bool(await self.see(BURIED, process.pid)) or process.is_over

        with suppress(TimeoutError):
            await until(is_buried, within=4)
        self.thaw(process)

    def _is_numb(self, process: Process) -> None:
        process.numb.append(Numbness(time.monotonic()))

    def set_clock(self, process: Process, hours: int) -> None:
        self._say(process, clock=hours * 3600)

    # Deeds.

    async def do(self, by: str, deed: Deed, lives: Sequence[Life], **words: Any) -> None:
        """Have something done by the process there, or by one that only enqueues and asks; hear what it learns."""
        process = self.at(by)
        if process is not None and process.up_at is not None:
            await self.command(process, deed, **words)
        else:
            try:
                deed.learnt = await do(self._door, self.dsn, {"what": deed.what, **words}, None)
                deed.answered = time.monotonic()
            except TROUBLE as error:
                deed.error = f"{type(error).__name__}: {error}"
        if deed.what in ("enqueue", "transact") and deed.is_done:
            for life, id in zip(lives, deed.learnt, strict=True):
                life.id = id

    async def command(self, process: Process, deed: Deed, **words: Any) -> None:
        """Tell a process to do something; comes back when it has, or when it is gone."""
        number, answered = next(self._numbers), asyncio.Event()
        self._open[number] = deed, answered
        self._say(process, number=number, deed={"what": deed.what, **words})
        waits = [asyncio.ensure_future(each.wait()) for each in (answered, process.silence)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    @property
    def up(self) -> list[Process]:
        """Those that live, are up, and are not about to leave."""
        living = (self.at(place) for place in PLACES)
        return [process for process in living if process is not None and process.up_at is not None]

    def words_of(self, process: Process) -> str:
        """What it wrote to its output."""
        return self._words.get(process, "")

    def held_at_the_door(self) -> dict[str, object]:
        """What the process that only enqueues still holds: this one."""
        return left_over(self._door)

    @property
    def door_application(self) -> str:
        return self._door.database.application

    # The diary.

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        born = json.loads(await reader.readline())
        process = next(each for each in self.processes if each.name == born["name"])
        self._writers[process] = writer
        try:
            with suppress(ConnectionError):
                while line := await reader.readline():
                    self._note(process, json.loads(line))
        except Exception as error:
            self.confusion.append(f"the stage does not understand {line!r}: {error!r}")
        finally:
            writer.close()
            process.silence.set()

    def _note(self, process: Process, told: dict[str, Any]) -> None:
        at = told["at"]
        match told["what"]:
            case "up":
                process.up_at, process.application = at, told["application"]
            case "began":
                self._began(process, told)
            case "ended":
                run = self.runs[told["run"]]
                run.ended, run.how = at, told["how"]
                self.tell(f"ended: {run}")
            case "did":
                deed, answered = self._open.pop(told["number"])
                deed.answered = at
                deed.learnt, deed.error = told.get("learnt"), told.get("error")
                deed.is_unheard_of = told.get("unheard_of", False)
                answered.set()
            case "heard":
                self.heard[told["event"]] += 1
            case "trapped":
                self.heard["traps sprung"] += 1
                self.tell(f"{process.name} is trapped: {told['trap']}")
            case "dies":
                self._is_gone(process, at)

    def _began(self, process: Process, told: dict[str, Any]) -> None:
        life = self.lives[told["number"]]
        act = life.act
        if self.is_settling and act not in ("fail", "snooze", "cancel"):
            act = "return"  # in the end nothing hangs and nobody dies
        run = Run(
            told["run"], life.number, told["job"], process, told["fence"], told["attempt"], act, told["at"],
        )  # fmt: skip
        if process.died_at is not None:  # its last words, heard after its death
            run.ended, run.how = max(run.began, process.died_at), "died"
        life.id = life.id or run.job
        life.runs.append(run)
        self.runs[run.id] = run
        self.tell(f"began: {run}")
        self._say(process, run=run.id, act=act)
        if act in ("hang", "linger", "ignore"):
            life.gates.add(run.id)

    def let_go(self, life: Life) -> None:
        """Let the runs of a job go on that wait for it."""
        for id in life.gates:
            run = self.runs[id]
            if run.ended is None:
                self._say(run.process, run=id, act="go")
        life.gates.clear()

    def _is_gone(self, process: Process, at: float) -> None:
        """It died, or ended, at that moment; with it whatever it still ran."""
        if process.died_at is not None:
            return
        process.died_at = at
        self.tell(f"{process.name} is gone")
        for run in self.runs.values():
            if run.process is process and run.ended is None:
                run.ended, run.how = at, "died"

    def _say(self, process: Process, **words: Any) -> None:
        writer = self._writers.get(process)
        if writer is not None and not writer.is_closing():
            writer.write(json.dumps(words).encode() + b"\n")


async def _nobody(number: int) -> None:
    """Stands for the tasks where nothing runs."""


def _nobody_in_a_thread(number: int) -> None:
    """Stands for those in threads."""
