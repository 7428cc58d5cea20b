"""Handing the function of a run over to a hand, and what comes back: a result, an outcome, or an exception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import anyio

from asyncjobs.current import CurrentJob
from asyncjobs.engine import letters
from asyncjobs.engine.abroad import unpacked
from asyncjobs.engine.hands import Hands
from asyncjobs.job import Cancel, Outcome, Snooze
from asyncjobs.task import Task


@dataclass(frozen=True, slots=True)
class Places:
    """Where functions run that do not run on the loop."""

    threads: anyio.CapacityLimiter
    hands: Hands


class Written(NamedTuple):
    """A result that is JSON already."""

    result: str | None


class RaisedThere(Exception):
    """The cause of what a hand's function raised: how it is told, in a line and with its traceback there."""

    def __init__(self, line: str, whole: str) -> None:
        super().__init__(whole)
        self.line = line
        self.whole = whole


async def in_hand(
    task: Task[..., Any], current: CurrentJob, arguments: str, ends_in: float | None, hands: Hands
) -> Written | Outcome | Snooze | Cancel:
    """Call the function there; raises what it raises, and HandDied."""
    assert task.place is not None, "asked at its declaration"
    call = letters.Call(
        task.place, task.name, task.secret, task.is_sealed, arguments,
        current.id, current.queue, current.attempt, current.fence, ends_in,
    )  # fmt: skip
    letter = await hands.do(call, current.report)
    if isinstance(letter, letters.Raised):
        error = unpacked(letter.error, letter.kind, letter.line)
        raise error from RaisedThere(letter.line, letter.whole)
    if isinstance(letter, letters.Ended):
        return letter.outcome
    assert isinstance(letter, letters.Returned), "the last word of a hand"
    return Written(letter.result)


def told_there(error: BaseException) -> RaisedThere | None:
    """Give how an exception was told where it was raised, if that was in a hand."""
    return error.__cause__ if isinstance(error.__cause__, RaisedThere) else None
