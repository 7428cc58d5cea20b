"""
The supervisor: keeps a number of worker processes going, and ends them in good order.

It runs no jobs and imports no task, so that what ends a worker cannot end it, and each worker starts from
the code that is on the disk by then. A worker that ends is started again, after a pause that grows while
it keeps failing. Told to end, the supervisor lets go of every leash and waits for as long as the workers
said that they may take; whoever is still there after that is killed. Killed itself, it takes the leashes
with it, and the workers drain.

Where it has a port, it answers there for all of them: each tells it once a second how it is.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from datetime import timedelta

import anyio

from asyncjobs.health import Check, Verdict
from asyncjobs.standalone.child import Child
from asyncjobs.standalone.crew import Crew
from asyncjobs.standalone.told import told_to_end

log: logging.Logger = logging.getLogger("asyncjobs.supervisor")

# Seconds before the next start: after a long life, after a short one, after two in a row, …
PAUSES = (0.5, 1, 2, 4, 8, 16, 30)
HEALTHY_AFTER = timedelta(minutes=1)
GRACE = timedelta(seconds=15)  # beyond the drain: to cancel, to record, to release, to leave


async def supervise(
    command: Sequence[str], processes: int, listener: socket.socket | None = None
) -> bool:
    """
    Keep that many processes of this command going until told to end; tells whether all drained.

    `listener`: where `/live` and `/ready` are answered for all of them.
    """
    if listener is not None:
        command = [*command, "--reports"]
    supervisor = Supervisor(command, processes)
    if listener is None:
        return await supervisor.run()
    # uvicorn, which only those need who ask for a port.
    from asyncjobs.standalone.port import answering

    async with answering(supervisor.checks, listener):
        return await supervisor.run()


class Supervisor:
    """See the module's text."""

    def __init__(self, command: Sequence[str], processes: int) -> None:
        self._command = command
        self._processes = processes
        self._ending = asyncio.Event()
        self._at_once = asyncio.Event()
        self._has_killed = False
        self._crew = Crew(processes)

    def checks(self) -> list[Check]:
        """Tell how all of them are."""
        ending = self._ending.is_set()
        words = "told to end: the workers drain" if ending else "it keeps the workers going"
        own = Check("supervisor", Verdict.FAIL if ending else Verdict.PASS, words)
        return [own, *self._crew.checks()]

    async def run(self) -> bool:
        """Live until told to end."""
        with told_to_end(self._end, self._at_once.set):
            async with anyio.create_task_group() as group:
                for number in range(1, self._processes + 1):
                    group.start_soon(self._keep, number)
        log.info("all workers have ended")
        return not self._has_killed

    def _end(self) -> None:
        log.info("told to end: the workers drain")
        self._ending.set()

    async def _keep(self, number: int) -> None:
        """Keep one process going; every end of it wakes this, being told to end stops it."""
        ends = 0
        while not self._ending.is_set():
            ends = 0 if await self._live(number, ends) else ends + 1
            pause = PAUSES[min(ends, len(PAUSES) - 1)]
            if not self._ending.is_set():
                log.warning("worker %d starts again in %g s", number, pause)
                with anyio.move_on_after(pause):
                    await self._ending.wait()

    async def _live(self, number: int, ends: int) -> bool:
        """Start it and see it to its end; tells whether it lived for long."""
        try:
            child = await Child.start(self._command)
        except OSError as error:
            log.error("worker %d cannot be started: %s", number, error)  # noqa: TRY400
            return False
        log.info("worker %d started, pid %d", number, child.pid)
        self._crew.joined(number, child)
        try:
            how = await self._see_to_end(number, child)
        finally:
            self._crew.left(number)
        if self._ending.is_set():
            log.info("worker %d has ended: %s", number, how)
        elif child.is_up:
            log.warning("worker %d, pid %d, ended: %s", number, child.pid, how)
        else:
            log.error(
                "worker %d, pid %d, did not come up: %s, time %d in a row; it said why above",
                number, child.pid, how, ends + 1,
            )  # fmt: skip
        return child.age > HEALTHY_AFTER

    async def _see_to_end(self, number: int, child: Child) -> str:
        async with anyio.create_task_group() as group:
            group.start_soon(self._end_it, number, child)
            await child.ended()
            group.cancel_scope.cancel()
        return child.how_it_ended

    async def _end_it(self, number: int, child: Child) -> None:
        """When we are told to end: let it drain, and kill it when it takes too long."""
        await self._ending.wait()
        child.let_go()
        with anyio.move_on_after((child.drain + GRACE).total_seconds()):
            await self._at_once.wait()
        log.error("worker %d, pid %d, is killed: it had not ended", number, child.pid)
        self._has_killed = True
        child.kill()
