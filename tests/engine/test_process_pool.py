"""The process pool, without a job: what is kept, what is ended, and what cannot be started."""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from asyncjobs.engine import messages, process_pool
from asyncjobs.engine.raised import packed, unpacked
from asyncjobs.errors import PoolProcessDied, RaisedElsewhere
from asyncjobs.place import Place
from tests.jobs import workshop
from tests.moments import until_true


def call(name: str, arguments: str = "{}") -> messages.Call:
    place = Place("tests.jobs.workshop", name)
    return messages.Call(
        place, name, frozenset(), False, arguments, UUID(int=1), "default", 1, 1, None
    )


def unheard(fraction: float, note: str) -> None: ...


@pytest.fixture
async def pool() -> AsyncIterator[process_pool.ProcessPool]:
    pool = process_pool.ProcessPool()
    yield pool
    pool.end()


async def test_one_that_is_free_is_taken_before_another_is_started(
    pool: process_pool.ProcessPool,
) -> None:
    first = await pool.do(call("where"), unheard)
    second = await pool.do(call("where"), unheard)

    assert isinstance(first, messages.Returned)
    assert first == second
    assert len(pool) == 1


async def test_one_that_has_died_is_seen_off_and_replaced(pool: process_pool.ProcessPool) -> None:
    with pytest.raises(PoolProcessDied, match="exit code 3"):
        await pool.do(call("die", '{"how": "exit"}'), unheard)

    assert len(pool) == 0
    await pool.do(call("where"), unheard)
    assert len(pool) == 1


async def test_a_python_that_is_not_there_leaves_nothing_open(
    pool: process_pool.ProcessPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    with pytest.raises(FileNotFoundError):
        await pool.do(call("where"), unheard)

    assert len(pool) == 0
    gc.collect()  # a socket that was left open would complain now


async def test_a_module_that_cannot_be_imported_is_told_as_what_it_raised(
    pool: process_pool.ProcessPool,
) -> None:
    told = await pool.do(
        messages.Call(
            Place("tests.no_such_module", "work"), "work", frozenset(), False, "{}",
            UUID(int=1), "default", 1, 1, None,
        ),
        unheard,
    )  # fmt: skip

    assert isinstance(told, messages.Raised)
    assert isinstance(unpacked(told.error, told.kind, told.line), ModuleNotFoundError)


async def test_all_end_with_the_pool() -> None:
    pool = process_pool.ProcessPool()
    await pool.do(call("where"), unheard)
    [process] = pool._all

    pool.end()

    assert process._process.returncode is not None
    await until_true(lambda: len(pool) == 0)


class Simple(Exception): ...


class Wrapped(Exception):
    """Cannot be pickled at all: it holds what cannot."""

    def __init__(self, number: int) -> None:
        super().__init__(f"number {number}")
        self.function = lambda: number


@pytest.mark.parametrize(
    "error",
    [Simple("a", 1), ValueError("b"), KeyError("c"), workshop.Spoiled("milk", 30), Wrapped(7)],
    ids=lambda error: type(error).__name__,
)
def test_an_exception_arrives_with_its_class(error: BaseException) -> None:
    arrived = unpacked(packed(error, "what it says"), "kind", "what it says")

    assert type(arrived) is type(error)
    assert str(arrived) in (str(error), "what it says")


def test_what_cannot_be_found_is_told_by_its_name() -> None:
    class Local(Exception): ...

    assert packed(Local("lost"), "Local: lost") is None
    arrived = unpacked(None, "Local", "Local: lost")

    assert isinstance(arrived, RaisedElsewhere)
    assert (str(arrived), arrived.kind) == ("it raised Local: lost", "Local")
