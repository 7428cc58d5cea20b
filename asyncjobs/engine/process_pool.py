"""
The process pool: processes that run plain functions for this one, where a thread would not do.

A function that computes keeps the interpreter's lock from everything else in its process, in whichever thread it
runs. In a process of the pool it has an interpreter to itself; it can be killed, and when it dies (a segmentation
fault, no memory left, `os._exit`) that is the end of one attempt and of nothing else.

One starts when it is needed and none is free, runs one function at a time, so that there are never more of
them than slots, and ends when it has been idle for a while. To stop a job it is told first, as a thread is, and
killed when it has not obeyed soon; then its run is over for certain. None of them knows anything of Postgres:
what they say comes here, and is recorded under our lock. So none may ever outlive us; pool_process.py tells how.

They are not those of `anyio.to_process`: there standard error is a pipe that nobody reads, a print of C code
breaks the wire, a lone traceback is lost on the way, and a process that is killed leaves its workers to the end
of what they compute.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from asyncjobs.engine import messages
from asyncjobs.engine.messages import LENGTH, Call, Message
from asyncjobs.errors import PoolProcessDied

log: logging.Logger = logging.getLogger("asyncjobs.processes")

GRACE = 1.0  # seconds from being told to stop to being killed; less than the end of a drain has
IDLE = 60.0  # seconds
REAP_EVERY = 0.005  # seconds
ENDS_WITHIN = 0.2  # seconds from a closed socket to the end of its process, which has a code
PROGRAM = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from asyncjobs.engine.pool_process import work; work(int(sys.argv[1]), int(sys.argv[2]))"
)

Report = Callable[[float, str], None]


class ProcessPool:
    """The processes of the pool: those that are free, and those at work."""

    def __init__(self) -> None:
        self._free: list[PoolProcess] = []  # the one that was used last is at the end
        self._all: set[PoolProcess] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._all)

    async def do(self, call: Call, report: Report) -> Message:
        """
        Let one of them run it, and give the message that says how it ended.

        Cancelled, it comes back when the function has ended, by itself or killed. Raises PoolProcessDied.
        """
        while True:
            process, is_new = self._taken()
            try:
                return await process.do(call, report)
            except PoolProcessDied:
                if is_new or process.has_begun:
                    raise
                # One that died while it was idle, or of what it did before: no fault of this job.
            finally:
                self._put_back(process)

    def end(self) -> None:
        """End all, those at work too; called when nothing may run here any more."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        processes, self._all, self._free = list(self._all), set(), []
        for process in processes:
            process.kill()
        for process in processes:
            process.buried(1.0)

    def _taken(self) -> tuple[PoolProcess, bool]:
        while self._free:
            process = self._free.pop()
            if process.is_fit:
                return process, False
            self._drop(process)
        process = PoolProcess()
        self._all.add(process)
        return process, True

    def _put_back(self, process: PoolProcess) -> None:
        if process in self._all and process.is_fit:
            process.idle_since = time.monotonic()
            self._free.append(process)
            self._sweep_later(IDLE)
        else:
            self._drop(process)

    def _drop(self, process: PoolProcess) -> None:
        process.kill()
        if process in self._all and not process.buried(0.0):
            self._sweep_later(1.0)
        else:
            self._all.discard(process)

    def _sweep_later(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if self._sweeper is not None:
            if self._sweeper.when() <= loop.time() + seconds:
                return
            self._sweeper.cancel()
        self._sweeper = loop.call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        """End those that have been idle for long, and see off those that were killed."""
        self._sweeper = None
        since = time.monotonic() - IDLE
        for process in [each for each in self._free if each.idle_since <= since]:
            self._free.remove(process)
            process.kill()
        self._all -= {process for process in self._all if process.is_killed and process.buried(0.0)}
        if any(process.is_killed for process in self._all):
            self._sweep_later(1.0)
        elif self._free:
            oldest = min(process.idle_since for process in self._free)
            self._sweep_later(max(0.1, oldest + IDLE - time.monotonic()))


class PoolProcess:
    """One of them, as its process has it."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = _started(ours, theirs.fileno())
        ours.setblocking(False)
        self._socket = ours
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._due: int | None = None  # bytes of the message whose length has come
        self.is_killed: bool = False
        self.has_begun: bool = False
        self.idle_since: float = 0.0
        log.debug("process %d of the pool starts", self._process.pid)

    @property
    def is_fit(self) -> bool:
        """Whether it may be given something to do."""
        heard_its_end = self._reader is not None and self._reader.at_eof()
        return not self.is_killed and not heard_its_end and self._process.poll() is None

    async def do(self, call: Call, report: Report) -> Message:
        """Run it to its end; see `ProcessPool.do`."""
        self.has_begun = False
        try:
            return await self._answer(call, report)
        except asyncio.CancelledError:
            return await self._stopped(report)

    def kill(self) -> None:
        """End it now; whoever waits for its answer hears of it."""
        self.is_killed = True
        if self._process.returncode is None:
            self._process.kill()
        if self._writer is not None:
            self._writer.close()
        else:
            self._socket.close()

    def buried(self, seconds: float) -> bool:
        """Wait so long for the end of one that was killed, and tell whether it has come."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    async def _answer(self, call: Call, report: Report) -> Message:
        try:
            if self._writer is None:
                self._reader, self._writer = await asyncio.open_connection(sock=self._socket)
            self._writer.write(messages.sealed(call))
            await self._writer.drain()
        except OSError:
            raise PoolProcessDied(self._process.pid, await self._ending()) from None
        return await self._heard(report)

    async def _heard(self, report: Report) -> Message:
        try:
            while True:
                message = await self._next()
                if isinstance(message, messages.Begun):
                    self.has_begun = True
                elif isinstance(message, messages.Reported):
                    report(message.fraction, message.note)
                else:
                    return message
        except (asyncio.IncompleteReadError, OSError):
            raise PoolProcessDied(self._process.pid, await self._ending()) from None

    async def _next(self) -> Message:
        # Cancelled in between, it goes on where it was: a length that has come is remembered.
        reader = self._reader
        if reader is None:
            raise BrokenPipeError  # it was given up before anybody spoke to it
        if self._due is None:
            self._due = int(LENGTH.unpack(await reader.readexactly(LENGTH.size))[0])
        data = await reader.readexactly(self._due)
        self._due = None
        return messages.opened(data)

    async def _stopped(self, report: Report) -> Message:
        """Tell it to stop, kill it soon, and come back when it has ended: cancelled, or with its answer."""
        timer = asyncio.get_running_loop().call_later(GRACE, self._kill_at_work)
        try:
            if self._writer is None or not self.has_begun:
                self._kill_at_work()  # nothing of the user's is running: there is nobody to be told
            else:
                self._writer.write(messages.sealed(messages.Stop()))
            while True:
                try:
                    return await self._heard(report)
                except PoolProcessDied:
                    raise asyncio.CancelledError from None
                except asyncio.CancelledError:
                    # Once more, from somebody else. Until it has ended its run is not over.
                    if self._process.poll() is not None:
                        raise
        finally:
            timer.cancel()

    def _kill_at_work(self) -> None:
        self.is_killed = True
        if self._process.returncode is None:
            self._process.kill()  # its socket closes with it, and that is heard

    async def _ending(self) -> int | None:
        """Wait until it has ended, and tell with which code; None where that cannot be known."""
        for seconds in (ENDS_WITHIN, 5.0):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                if self._process.poll() is not None:
                    return self._process.returncode
                await asyncio.sleep(REAP_EVERY)
            self._process.kill()
        return None


def _started(ours: socket.socket, theirs: int) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", PROGRAM, str(theirs), str(os.getpid()), *sys.path]
    try:
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, pass_fds=[theirs])  # noqa: S603
    except BaseException:
        ours.close()
        raise
