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
from tests.faults.histories.steps import Enqueue, Step, Trap
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


# What histories have found, each as short as it became.


def test_a_delayed_job_whose_first_answer_was_lost_starts_when_it_is_due(player: Player) -> None:
    """The resend found it stored, took it for ready, and told nobody of its time."""
    player.play(Trap("A", "enqueue", "answer lost"), Enqueue("A", delay=0.5))
