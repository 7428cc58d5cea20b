"""Ids are UUIDv7, in order, on the server's time."""

from __future__ import annotations

import time
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.engine import ids as module
from asyncjobs.engine.ids import Ids

NOON = 1_800_000_000_000  # milliseconds since 1970


def milliseconds(id: UUID) -> int:
    return id.int >> 80


@given(st.integers(min_value=1, max_value=5_000))
def test_ids_grow(count: int) -> None:
    ids = Ids(NOON)

    made = [ids.next() for _ in range(count)]

    assert made == sorted(made)
    assert len(set(made)) == count


@given(clock=st.lists(st.integers(0, 2**40), min_size=1, max_size=200))
def test_ids_grow_when_the_clock_stands_still_or_goes_back(clock: list[int]) -> None:
    ids = Ids(NOON)
    made = []

    with pytest.MonkeyPatch.context() as patch:
        for now in clock:
            patch.setattr(module, "passed", lambda now=now: now)
            made += [ids.next(), ids.next()]

    assert made == sorted(set(made))


def test_more_ids_in_a_millisecond_than_can_be_counted_go_on_in_the_next() -> None:
    ids = Ids(NOON)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "passed", lambda: 1_000)
        made = [ids.next() for _ in range(10_000)]

    assert made == sorted(set(made))
    assert milliseconds(made[-1]) - milliseconds(made[0]) <= 3


def test_an_id_is_of_version_seven() -> None:
    id = Ids(NOON).next()

    assert id.version == 7
    assert id.variant == RFC_4122


def test_an_id_tells_the_time_of_the_server_and_counts_on_from_there() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "passed", lambda: 5_000)
        ids = Ids(NOON)
        patch.setattr(module, "passed", lambda: 5_250)

        assert milliseconds(ids.next()) == NOON + 250


def test_a_clock_that_is_set_while_we_run_does_not_show_in_ids() -> None:
    ids = Ids(NOON)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: 0.0)
        patch.setattr(time, "time_ns", lambda: 0)
        told = milliseconds(ids.next())

    assert NOON <= told < NOON + 60_000


def test_two_processes_make_different_ids() -> None:
    one, other = Ids(NOON), Ids(NOON)

    assert not {one.next() for _ in range(1000)} & {other.next() for _ in range(1000)}
