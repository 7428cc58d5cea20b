"""The worker: a process of its own that runs jobs until it is told to end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

from asyncjobs.errors import BadOption
from asyncjobs.jobs import Jobs
from asyncjobs.standalone.leash import Leash
from asyncjobs.standalone.told import told_to_end

log: logging.Logger = logging.getLogger("asyncjobs.worker")

BLOCKED_LIMIT = timedelta(minutes=5)
THREADS_END_WITHIN = 2.0  # seconds

Queues = Sequence[str] | Mapping[str, int]


def run_worker(
    jobs: Jobs,
    *,
    slots: int | None = None,
    queues: Queues | None = None,
    leash: Leash | None = None,
    reports: bool = False,
    blocked_limit: timedelta | None = BLOCKED_LIMIT,
    listener: socket.socket | None = None,
) -> None:
    """Be a worker, the whole process long; see `work`."""
    with asyncio.Runner() as runner:
        runner.run(
            work(
                jobs,
                slots=slots,
                queues=queues,
                leash=leash,
                reports=reports,
                blocked_limit=blocked_limit,
                listener=listener,
            )
        )
        end_whatever_threads_do()


async def work(
    jobs: Jobs,
    *,
    slots: int | None = None,
    queues: Queues | None = None,
    leash: Leash | None = None,
    reports: bool = False,
    blocked_limit: timedelta | None = BLOCKED_LIMIT,
    listener: socket.socket | None = None,
) -> None:
    """
    Run jobs until SIGTERM, SIGINT or the loss of the supervisor, then drain.

    `reports`: tell the supervisor each second how this process is. `listener`: where `/live` and `/ready` are
    answered, from now to the end of the drain.

    Raises as `jobs.running()` does.
    """
    ending = Ending()
    async with AsyncExitStack() as stack:
        stack.enter_context(told_to_end(ending.begin))
        if listener is not None:
            # uvicorn, which only those need who ask for a port.
            from asyncjobs.standalone.port import answering

            await stack.enter_async_context(answering(lambda: jobs.health().checks, listener))
        if leash is not None:
            stack.enter_context(leash.watched(ending.begin))
            if reports:
                await stack.enter_async_context(leash.reporting(lambda: jobs.health().checks))
        running = jobs.running(
            kind="standalone", slots=slots, queues=queues, blocked_limit=blocked_limit
        )
        if await ending.unless_begun(stack.enter_async_context(running)):
            _say_up(jobs, queues, leash)
            await ending.begun.wait()
            log.info("told to end")


class Ending:
    """
    Being told to end, which may come while we start.

    Starting waits for Postgres, perhaps for long. It is cancelled once: a cancel scope of anyio would cancel
    its tidying up as well.
    """

    def __init__(self) -> None:
        self.begun: asyncio.Event = asyncio.Event()
        self._starting: asyncio.Timeout | None = None

    def begin(self) -> None:
        """End, whatever it is that we do."""
        self.begun.set()
        if self._starting is not None and not self._starting.expired():
            self._starting.reschedule(asyncio.get_running_loop().time())

    async def unless_begun(self, start: Awaitable[object]) -> bool:
        """Start; False when the end has begun before that was done."""
        try:
            async with asyncio.timeout(None) as self._starting:
                if self.begun.is_set():
                    self.begin()
                await start
        except TimeoutError:
            if not self.begun.is_set():
                raise
        finally:
            self._starting = None
        return not self.begun.is_set()


def _say_up(jobs: Jobs, queues: Queues | None, leash: Leash | None) -> None:
    executor = jobs.executor
    assert executor is not None, "running() has an executor"
    served = executor.terms.queues
    log.info(
        "process %s works: %d tasks, %d slots, %s",
        executor.process_id,
        len(jobs.tasks),
        executor.slots,
        "all queues" if served is None else f"queues {', '.join(served)}",
    )
    usual = {task.queue for task in jobs.tasks.values()}
    for queue in queues or ():
        if queue not in usual:
            log.warning("queue %r is served, but no task here has it as its own", queue)
    if leash is not None:
        leash.say_up(executor.terms.drain)


def end_whatever_threads_do() -> None:
    """
    See to it that the process ends soon.

    A plain function that will not stop would keep the interpreter waiting for its thread. Its job still has
    its row; it is rescued as soon as the process, and with it the lock, is gone.
    """

    def end() -> None:
        log.warning("a thread does not end; the process does")
        logging.shutdown()
        os._exit(0)

    timer = threading.Timer(THREADS_END_WITHIN, end)
    timer.daemon = True
    timer.start()


def parse_queues(text: str) -> Queues:
    """Understand `mail,default`, or with a share of the slots for each `mail=2,default=8`. Raises BadOption."""
    expected = "names (mail,default), or names with slots (mail=2,default=8)"
    parts = [part.strip() for part in text.split(",")]
    shares: dict[str, int | None] = {}
    for part in parts:
        name, separator, share = (each.strip() for each in part.partition("="))
        if not name or (separator and not share.isdecimal()) or name in shares:
            raise BadOption("--queues", expected, text)
        shares[name] = int(share) if separator else None
    given = {name: share for name, share in shares.items() if share is not None}
    if given and len(given) < len(shares):
        raise BadOption("--queues", f"{expected}, a number for each or for none", text)
    if 0 in given.values():
        raise BadOption("--queues", f"{expected}, each from 1", text)
    return given or list(shares)
