"""
Deaths at exact moments: a process that ends itself by kill -9, where nobody outside could aim.

FAULTS_DIE names the moment:

    after-claim         rows were made ours, and nothing of it has started
    after-direct-start  a job was born running, and has not started
    before-finish       functions have returned, and nothing of it is recorded
    after-finish        all is recorded, and nobody here has heard so

The last words in the diary name the jobs that the death hit, as no run of theirs may tell of it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Iterable
from functools import wraps
from typing import Any

from asyncjobs.postgres.ledger import Ledger
from tests.faults.diary import Diary

Statement = Callable[..., Awaitable[Any]]


def last_words(diary: Diary, jobs: Iterable[object] = ()) -> None:
    """Note that this process dies now, and which jobs it hits beside those that run."""
    diary.note("dies", jobs=[str(job) for job in jobs])


def arrange(moment: str, diary: Diary) -> None:
    """See to it that this process dies at that moment."""

    def die_of(things: Iterable[Any]) -> None:
        jobs = [thing.id for thing in things]
        if jobs:
            last_words(diary, jobs)
            os.kill(os.getpid(), signal.SIGKILL)

    match moment:
        case "after-claim":
            _replace("claim", _then(Ledger.claim, lambda claimed: die_of(claimed[0])))
        case "after-direct-start":
            _replace(
                "enqueue_and_start",
                _then(
                    Ledger.enqueue_and_start,
                    lambda stored: die_of(each for each in stored if each.state == "running"),
                ),
            )
        case "after-finish":
            _replace("finish", _after_finish(die_of))
        case "before-finish":
            _replace("finish", _before(lambda process, batch: die_of(batch)))
        case _:
            raise ValueError(moment)


def _replace(name: str, statement: Statement) -> None:
    setattr(Ledger, name, statement)


def _then(statement: Statement, act: Callable[[Any], None]) -> Statement:
    """Send it, and act on the answer before anybody hears of it."""

    @wraps(statement)
    async def answered(self: Ledger, *args: Any, **more: Any) -> Any:
        answer = await statement(self, *args, **more)
        act(answer)
        return answer

    return answered


def _after_finish(act: Callable[[Any], None]) -> Statement:
    """Send it, and act on what was sent: the answer says nothing of what went as was said."""

    @wraps(Ledger.finish)
    async def answered(self: Ledger, process: int, batch: Any, **more: Any) -> Any:
        await _FINISH(self, process, batch, **more)
        act(batch)
        raise AssertionError("nobody comes back from there")

    return answered


_FINISH = Ledger.finish


def _before(act: Callable[..., None]) -> Statement:
    """Act where it would be sent."""

    async def unsent(self: Ledger, *args: Any, **more: Any) -> Any:
        act(*args)
        raise AssertionError("nobody comes back from there")

    return unsent
