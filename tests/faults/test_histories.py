"""
Random histories against the real thing, and a model of what must hold whatever happened.

hypothesis makes up what happens: jobs of every kind, kills, cuts, freezes, black holes, clocks that are set,
traps at single statements, rows that somebody holds, callers that leave. Real processes live through it on a
real Postgres. Then all is left to come to rest, and each job is put before the model (histories/model.py).

ASYNCJOBS_HISTORIES is how many are played of each kind, 300 in `nox -s faults`. `--faults-seed` repeats them.
A history that fails is made as short as it may be and printed as steps, fit to be put into a test below.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure

from tests.faults.histories.play import Player
from tests.faults.histories.steps import (
    Ask,
    Enqueue,
    Freeze,
    Hold,
    Kill,
    Rest,
    Sever,
    Step,
    Trap,
)
from tests.faults.histories.strategies import histories
from tests.postgres import Administrator

HISTORIES = int(os.environ.get("ASYNCJOBS_HISTORIES", "20"))
TOGETHER = 4
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


@pytest.fixture(scope="module")
def player(administrator: Administrator, template: str) -> Iterator[Player]:
    player = Player(lambda: administrator.database(template))
    yield player
    print(player.in_words())  # noqa: T201
    player.close()


def test_whatever_happens_what_must_hold_holds(player: Player, pytestconfig: pytest.Config) -> None:
    @seed(pytestconfig.option.faults_seed)
    @settings(max_examples=-(-HISTORIES // TOGETHER), phases=PHASES)
    @given(st.lists(histories(), min_size=TOGETHER, max_size=TOGETHER))
    def whatever_happens(some: list[list[Step]]) -> None:
        player.play_together(some)

    try:
        whatever_happens()
    except FlakyFailure as not_every_time:  # what depends on who is faster is no less true for that
        raise not_every_time.exceptions[0] from None


# What chance seldom meets, and what it has found, each as short as it may be. The model judges them, too.


def test_a_delayed_job_whose_first_answer_was_lost_starts_when_it_is_due(player: Player) -> None:
    """The resend found it stored, took it for ready, and told nobody of its time."""
    player.play(Trap("A", "enqueue", "answer lost"), Enqueue("A", delay=0.5))


def test_an_end_that_is_sent_twice_does_not_end_the_next_run(player: Player) -> None:
    """The same process has claimed the job again before it sends the end of the first run once more."""
    player.play(
        Kill("B"), Kill("C"), Trap("A", "finish", "answer lost"), Enqueue("A", ("snooze", "hang")), Rest(1.2)
    )  # fmt: skip


def test_a_job_that_was_asked_to_cancel_before_it_went_back_does_not_go_back(
    player: Player,
) -> None:
    player.play(
        Trap("A", "finish", "slow"), Enqueue("A", ("snooze",)), Rest(0.1), Ask("cancel", 0, by="B")
    )


def test_a_job_that_was_asked_to_cancel_before_its_process_died_does_not_come_back(
    player: Player,
) -> None:
    player.play(
        Enqueue("A", ("hang",)), Freeze("A", 1.5), Ask("cancel", 0, by="B"), Kill("A"), Rest(0.3)
    )


def test_a_job_goes_on_where_somebody_died_who_would_have_cancelled_it(player: Player) -> None:
    player.play(
        Enqueue("B", ("ignore",)), Rest(0.3), Trap("A", "cancel", "die before"), Ask("cancel", 0, by="A")
    )  # fmt: skip


def test_a_process_that_is_cut_off_ends_its_jobs_before_others_take_them(player: Player) -> None:
    player.play(Enqueue("A", ("hang",)), Rest(1.5), Sever("A", 4.0), Rest(4.0))


def test_a_process_that_hears_nothing_ends_its_jobs_before_others_take_them(
    player: Player,
) -> None:
    player.play(Enqueue("A", ("hang",)), Rest(1.5), Sever("A", 9.0, "deaf"), Rest(9.0))


def test_the_fence_goes_on_where_a_retry_brings_a_job_back(player: Player) -> None:
    player.play(Enqueue("A", ("fail",), task="once"), Rest(0.3), Ask("retry", 0))


def test_a_job_that_has_run_before_its_enqueue_was_answered_is_not_stored_again(
    player: Player,
) -> None:
    player.play(Trap("A", "enqueue", "answer lost"), Enqueue("A", more=((), ())), Rest(0.3))


def test_a_due_job_whose_row_was_held_when_it_was_due_starts_when_it_is_let_go(
    player: Player,
) -> None:
    """It was skipped, as it should be, and then forgotten until the safety poll."""
    player.play(Enqueue("A", delay=0.5), Hold(0, 1.0))
