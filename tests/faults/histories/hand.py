"""
A process of a history. It decides nothing: it does what the stage tells it, and its jobs ask the stage
what to do, run by run. What it says goes over one socket, a line of JSON each, with the machine's
monotonic time, which is one for all processes: the diary of who ran what, kept outside of the queue.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import count
from typing import Any

import anyio.from_thread

from asyncjobs import Cancel, Jobs, Snooze, Tasks, current_job, events, fixed, never
from asyncjobs.engine import identity
from tests.faults.histories.deeds import TROUBLE, do
from tests.faults.histories.traps import Traps

SHORTLY = timedelta(milliseconds=50)
MAX_ATTEMPTS = {"once": 1, "thrice": 3, "hasty": 2, "plain": 2}
TIMEOUT = timedelta(milliseconds=400)
DRAIN = timedelta(milliseconds=300)
TOIL = 0.05  # seconds
BLOCKS = 0.3  # seconds
LINGERS = 0.3  # seconds that a job takes to obey
IGNORES = 1.0  # seconds that one goes on that does not
HOW = {str: "returned", Snooze: "snoozed", Cancel: "cancelled"}


class Failed(Exception):
    """Raised by jobs that are told to fail."""


class Hand:
    """See the module's text. It hears what the engine tells, as an extension."""

    def __init__(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.name = name
        self.jobs: Jobs
        self.clock_is_off = 0  # nanoseconds
        self.traps = Traps(self.die, lambda trap: self.say("trapped", trap=trap))
        self._reader = reader
        self._writer = writer
        self._numbers = count(1)
        self._words: dict[str, asyncio.Queue[str]] = {}
        self._doing: set[asyncio.Task[None]] = set()

    def say(self, what: str, **words: Any) -> None:
        """Tell the stage; it is in the socket when this returns, whatever becomes of us."""
        line = {"what": what, "at": time.monotonic(), **words}
        self._writer.write(json.dumps(line).encode() + b"\n")

    def die(self) -> None:
        """Die as by kill -9."""
        self.say("dies")
        os.kill(os.getpid(), signal.SIGKILL)

    def hears(self, event: events.Event) -> None:
        if isinstance(event, (events.Lost, events.Rescued)):
            self.say("heard", event=type(event).__name__)

    async def listen(self, dsn: str) -> None:
        """Do what the stage says, at once and beside each other, until it is gone."""
        while line := await self._reader.readline():
            told = json.loads(line)
            if "run" in told:
                self._hear(told["run"], told["act"])
            elif "clock" in told:
                self.clock_is_off = told["clock"] * 1_000_000_000
            else:
                doing = asyncio.ensure_future(self._do(dsn, told["number"], told["deed"]))
                self._doing.add(doing)
                doing.add_done_callback(self._doing.discard)
        os._exit(3)

    def _hear(self, run: str, act: str) -> None:
        words = self._words.get(run)
        if words is not None:  # else it has ended meanwhile
            words.put_nowait(act)

    async def _do(self, dsn: str, number: int, deed: dict[str, Any]) -> None:
        try:
            learnt = await do(self.jobs, dsn, deed, self.traps)
        except TROUBLE as error:
            self.say("did", number=number, error=f"{type(error).__name__}: {error}")
        except Exception as error:
            self.say("did", number=number, error=repr(error), unheard_of=True)
        else:
            self.say("did", number=number, learnt=learnt)

    async def perform(self, number: int) -> str | Snooze | Cancel:
        """Run once, as the stage decides."""
        run = self._begin(number)
        how = "stopped"
        try:
            act = await self._words[run].get()
            result = await self._act(run, act)
            how = HOW[type(result)]
        except Failed:
            how = "failed"
            raise
        else:
            return result
        finally:
            self._end(run, how)

    def perform_in_a_thread(self, number: int) -> str | Snooze | Cancel:
        """Run once, where nobody can stop it."""
        run = anyio.from_thread.run_sync(self._begin, number)
        how = "stopped"
        try:
            act = anyio.from_thread.run(self._words[run].get)
            if act in ("hang", "ignore", "linger"):
                self._hang_in_a_thread(run, obeys=act != "ignore")
                act = "return"
            result = anyio.from_thread.run(self._act, run, act)
            how = HOW[type(result)]
        except Failed:
            how = "failed"
            raise
        else:
            return result
        finally:
            anyio.from_thread.run_sync(self._end, run, how)

    def _begin(self, number: int) -> str:
        job = current_job()
        run = f"{self.name}.{next(self._numbers)}"
        self._words[run] = asyncio.Queue()
        self.say(
            "began",
            run=run,
            number=number,
            job=str(job.id),
            fence=job.fence,
            attempt=job.attempt,
        )
        return run

    def _end(self, run: str, how: str) -> None:
        del self._words[run]
        self.say("ended", run=run, how=how)

    async def _act(self, run: str, act: str) -> str | Snooze | Cancel:
        match act:
            case "toil":
                await asyncio.sleep(TOIL)
            case "block":
                time.sleep(BLOCKS)
            case "progress":
                await current_job().progress(0.5, run)
            case "fail":
                raise Failed(run)
            case "snooze":
                return Snooze(SHORTLY)
            case "cancel":
                return Cancel(run)
            case "die":
                self.die()
            case "hang" | "linger" | "ignore":
                await self._hang(run, act)
        return run

    async def _hang(self, run: str, act: str) -> None:
        """Wait until the stage lets it go."""
        let_go = asyncio.ensure_future(self._words[run].get())
        try:
            await asyncio.shield(let_go)
        except asyncio.CancelledError:
            if act == "hang":
                raise
            await asyncio.wait([let_go], timeout=LINGERS if act == "linger" else IGNORES)
            if act == "linger":
                raise
        finally:
            let_go.cancel()

    def _hang_in_a_thread(self, run: str, *, obeys: bool) -> None:
        job, until = current_job(), float("inf")
        while self._words[run].empty() and time.monotonic() < until:
            if job.cancelled and obeys:
                job.raise_if_cancelled()
            if job.cancelled:
                until = min(until, time.monotonic() + IGNORES)
            time.sleep(0.005)


def declared(perform: Callable[..., Any], perform_in_a_thread: Callable[..., Any]) -> Tasks:
    """Give the tasks of every history; which of them a job is of says what its failures mean."""
    tasks = Tasks()
    thrice, twice = fixed(SHORTLY, max_attempts=3), fixed(SHORTLY, max_attempts=2)
    tasks.task(name="once", retry=never())(perform)
    tasks.task(name="thrice", retry=thrice)(perform)
    tasks.task(name="hasty", retry=twice, timeout=TIMEOUT)(perform)
    tasks.task(name="plain", retry=twice)(perform_in_a_thread)
    return tasks


def live(name: str, dsn: str, place: str, slots: int, machine: str | None) -> None:
    """Be this process until SIGTERM; `machine`: another than this one, where nobody can prove a death."""
    asyncio.run(_live(name, dsn, place, slots, machine))


async def _live(name: str, dsn: str, place: str, slots: int, machine: str | None) -> None:
    hand = Hand(name, *await asyncio.open_unix_connection(place))
    hand.traps.install()
    real = time.time_ns
    time.time_ns = lambda: real() + hand.clock_is_off
    if machine is not None:
        identity.machine = lambda: machine
    hand.jobs = jobs = Jobs(dsn, slots=slots, drain=DRAIN, extensions=[hand])
    jobs.include(declared(hand.perform, hand.perform_in_a_thread))
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    told_to_end = asyncio.ensure_future(told.wait())
    hand.say("born", name=name)
    async with jobs.running():
        hand.say("up", application=jobs.database.application)
        listening = asyncio.ensure_future(hand.listen(dsn))
        await asyncio.wait([listening, told_to_end], return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    with suppress(asyncio.CancelledError):
        await listening
