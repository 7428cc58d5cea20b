"""Slots are never given twice, whatever order takes, claims and ends come in."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asyncjobs.engine.slots import Slots

QUEUES = ("mail", "images", "rest")
SHARES = st.dictionaries(st.sampled_from(QUEUES), st.integers(1, 5))


class Booking(RuleBasedStateMachine):
    """Direct starts take single slots while at most one claim is on its way, as in the engine."""

    @initialize(total=st.integers(1, 8), shares=SHARES)
    def open(self, total: int, shares: dict[str, int]) -> None:
        self.slots = Slots(total, shares)
        self.shares = shares
        self.running: Counter[str] = Counter()
        self.rooms: dict[str, int] | None = None

    @rule(queue=st.sampled_from(QUEUES))
    def start_directly(self, queue: str) -> None:
        if self.slots.take(queue):
            self.running[queue] += 1

    @precondition(lambda self: self.rooms is None)
    @rule(
        queues=st.lists(st.sampled_from(QUEUES), unique=True),
        at_most=st.integers(0, 10),
        more=st.integers(0, 6),
    )
    def ask(self, queues: list[str], at_most: int, more: int) -> None:
        self.free = free = self.slots.free

        rooms = self.slots.ask(queues, at_most, more, dict.fromkeys(queues, more))

        most = min(free + more, at_most)
        assert set(rooms) <= set(queues)
        assert all(0 < room <= self.slots.asked <= most for room in rooms.values())
        if rooms:
            self.rooms = rooms
        else:
            assert self.slots.free == free

    @precondition(lambda self: self.rooms is not None)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        left = self.slots.asked
        brought: list[str] = []
        for queue, room in (self.rooms or {}).items():
            got = data.draw(st.integers(0, min(room, left)))
            left -= got
            brought += [queue] * got
        self.slots.answered()
        for number, queue in enumerate(brought):
            if self.slots.enter(queue, reserved=number < self.free):
                self.running[queue] += 1
        self.rooms = None

    @rule(queue=st.sampled_from(QUEUES))
    def end(self, queue: str) -> None:
        assume(self.running[queue])
        self.running[queue] -= 1
        self.slots.give(queue)

    @invariant()
    def no_slot_is_given_twice(self) -> None:
        assert self.slots.busy == self.running.total() <= self.slots.total
        assert self.slots.busy <= self.slots.limit

    @invariant()
    def no_queue_has_more_than_its_share(self) -> None:
        for queue, share in self.shares.items():
            assert self.running[queue] <= share

    def teardown(self) -> None:
        if self.rooms is not None:
            self.slots.answered()
        for queue, count in self.running.items():
            for _ in range(count):
                self.slots.give(queue)

        assert self.slots.free == self.slots.total


Booking.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)


TestSlotsAreNeverGivenTwice = Booking.TestCase


def test_a_free_slot_is_taken() -> None:
    slots = Slots(1)

    assert slots.take("mail")
    assert not slots.take("mail")
    assert (slots.busy, slots.free) == (1, 0)


def test_a_slot_that_was_given_back_is_free_again() -> None:
    slots = Slots(1)
    slots.take("mail")

    slots.give("mail")

    assert slots.take("images")


def test_a_share_holds_though_other_slots_are_free() -> None:
    slots = Slots(10, {"mail": 2})

    assert [slots.take("mail") for _ in range(3)] == [True, True, False]
    assert slots.take("images")


def test_what_a_claim_asked_for_is_not_taken_by_a_direct_start() -> None:
    slots = Slots(2)

    slots.ask(["mail"], 2)

    assert not slots.take("mail")
    slots.answered()
    assert slots.take("mail")


@pytest.mark.parametrize(
    ("asked", "expected"), [(10, {"mail": 2, "rest": 4}), (1, {"mail": 1, "rest": 1})]
)
def test_a_claim_learns_the_room_of_every_queue(asked: int, expected: dict[str, int]) -> None:
    slots = Slots(5, {"mail": 2, "images": 1})
    slots.take("images")

    assert slots.ask(["mail", "images", "rest"], asked) == expected


def test_no_room_reserves_nothing() -> None:
    slots = Slots(5, {"mail": 1})
    slots.take("mail")

    assert slots.ask(["mail"], 5) == {}
    assert slots.free == 4


def test_a_claim_asks_for_no_more_than_it_may() -> None:
    slots = Slots(100)
    slots.claims_at_most = 25

    assert slots.ask(["mail"], 200) == {"mail": 25}
    assert slots.free == 75


def test_a_claim_for_more_than_is_free_keeps_no_slot_from_a_direct_start() -> None:
    slots = Slots(1)
    assert slots.take("mail")

    assert slots.ask(["mail"], 10, 5, {"mail": 5}) == {"mail": 5}
    slots.give("mail")

    assert (slots.asked, slots.free) == (5, 1)
    assert slots.take("mail")
