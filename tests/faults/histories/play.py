"""Playing a history: from the first step to the verdict."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from tests.faults.histories import model
from tests.faults.histories.nursery import Nursery
from tests.faults.histories.settle import owners, rows, settle
from tests.faults.histories.stage import Stage
from tests.faults.histories.steps import Step

AGAIN = 3  # times that a history is played once one has failed: chance has its part in them
LAST_WORDS = 3000  # characters


class Broken(AssertionError):
    """Something did not hold; the message tells what, the history, and the diary."""


class Player:
    """Plays histories, one after the other, each on a database of its own."""

    def __init__(self, database: Callable[[], AbstractContextManager[str]]) -> None:
        self.figures: Counter[str] = Counter()
        self.rested: list[float] = []  # seconds that each took to come to rest
        self._database = database
        self._runner = asyncio.Runner()
        self._nursery = self._runner.run(Nursery.open())
        self._has_failed = False

    def close(self) -> None:
        self._runner.run(self._nursery.close())
        self._runner.close()

    def play(self, *history: Step) -> None:
        """Play a history; raises Broken when something did not hold."""
        self.play_together([history])

    def play_together(self, histories: Sequence[Sequence[Step]]) -> None:
        """Play some at the same time, as each mostly waits; raises Broken for the first that broke."""
        histories = [history for history in histories if history]
        for _ in range(AGAIN if self._has_failed else 1):
            with ExitStack() as stack:
                places = [
                    (stack.enter_context(self._database()), stack.enter_context(_directory()))
                    for _ in histories
                ]
                self._runner.run(self._play_all(zip(places, histories, strict=True)))

    async def _play_all(self, given: Iterable[tuple[tuple[str, str], Sequence[Step]]]) -> None:
        plays = [self._play(dsn, Path(directory), history) for (dsn, directory), history in given]
        for broken in await asyncio.gather(*plays, return_exceptions=True):
            if broken is not None:
                raise broken

    async def _play(self, dsn: str, directory: Path, history: Sequence[Step]) -> None:
        async with Stage(dsn, self._nursery, directory) as stage:
            for step in history:
                stage.tell(step)
                await step.happen(stage)
            ends = time.monotonic()
            complaints = await settle(stage)
            self.rested.append(time.monotonic() - ends)
            complaints += await _verdict(stage)
        self._count(stage, history)
        if complaints:
            self._has_failed = True
            raise Broken("\n".join(_report(stage, history, complaints)))

    def _count(self, stage: Stage, history: Sequence[Step]) -> None:
        self.figures.update(type(step).__name__ for step in history)
        self.figures.update(stage.heard)
        self.figures.update(
            histories=1,
            jobs=len(stage.lives),
            runs=len(stage.runs),
            deaths=sum(each.code is not None and each.code < 0 for each in stage.processes),
        )

    def in_words(self) -> str:
        """Say what was played."""
        figures = ", ".join(f"{number} {name}" for name, number in sorted(self.figures.items()))
        ranked = sorted(self.rested)
        return (
            f"{figures}; at rest after {ranked[len(ranked) // 2]:.1f} s, at most {ranked[-1]:.1f} s"
        )


def _directory() -> AbstractContextManager[str]:
    return tempfile.TemporaryDirectory(prefix="history")


async def _verdict(stage: Stage) -> list[str]:
    for row in await rows(stage):
        stage.lives[row.number].rows.append(row)
    by_row = await owners(stage)
    return [
        *stage.confusion,
        *(said for life in stage.lives.values() for said in model.complaints(life, by_row)),
        *_all_or_none(stage),
        *(
            f"job {life.number}: {deed} is no error that a caller should see"
            for life in stage.lives.values()
            for deed in (life.stored, *life.deeds)
            if deed.should_not_be_seen
        ),
    ]


def _all_or_none(stage: Stage) -> Iterator[str]:
    """Jobs that were stored together are all there, or none of them."""
    together: dict[int, set[bool]] = {}
    for life in stage.lives.values():
        is_there = bool(life.rows or life.runs or life.was_asked("delete"))
        together.setdefault(id(life.stored), set()).add(is_there)
    for life in stage.lives.values():
        if together.pop(id(life.stored), set()) == {True, False}:
            yield f"job {life.number} and those stored with it: all are there, or none"


def _report(stage: Stage, history: Sequence[Step], complaints: Sequence[str]) -> Iterator[str]:
    yield "what does not hold:"
    yield from (f"    {each}" for each in complaints)
    yield "the history:"
    yield from (f"    {step!r}," for step in history)
    yield "the diary, in seconds:"
    yield from (f"    {at - stage.began_at:8.3f}  {said}" for at, said in stage.told)
    yield "the rows:"
    yield from (f"    {row}" for life in stage.lives.values() for row in life.rows)
    for process in stage.processes:
        yield f"{process.name} said:\n{stage.words_of(process)[-LAST_WORDS:]}"
