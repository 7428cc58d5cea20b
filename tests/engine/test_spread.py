"""How far a claim looks, as others are in its way or not."""

from __future__ import annotations

from asyncjobs.engine.spread import CALM_AFTER, CANDIDATES, FACTOR, Spread


def test_it_looks_at_no_more_than_it_wants_where_nobody_is_in_its_way() -> None:
    spread = Spread()

    assert not spread.learn(got=4, saw=4, demand=4)
    assert not spread.learn(got=0, saw=0, demand=4)

    assert spread.of(4) == 1


def test_it_looks_further_at_once_where_all_that_it_saw_was_held_and_remembers_it() -> None:
    spread = Spread()

    assert spread.learn(got=0, saw=4, demand=4)
    assert spread.of(4) == 4
    assert not spread.learn(got=4, saw=16, demand=4)

    assert spread.of(4) == 4


def test_there_is_an_end_to_how_far_it_looks() -> None:
    spread = Spread()

    while spread.learn(got=0, saw=4, demand=4):
        assert spread.of(4) <= CANDIDATES // 4

    assert spread.of(4) == CANDIDATES // 4
    assert spread.of(200) == FACTOR  # a claim that wants much looks less far for each


def test_what_a_queues_share_left_behind_is_nobodys_fault() -> None:
    spread = Spread()

    assert not spread.learn(got=2, saw=5, demand=6)

    assert spread.of(4) == 1


def test_in_the_end_it_looks_less_far_again() -> None:
    spread = Spread()
    spread.learn(got=0, saw=4, demand=4)

    for _ in range(CALM_AFTER):
        assert not spread.learn(got=4, saw=16, demand=4)

    assert spread.of(4) == 1
