"""What a job is: states and outcomes, as values."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs import Attempt, Cancel, JobState, Snapshot, Snooze
from asyncjobs.errors import BadOption


def test_three_states_are_final() -> None:
    final = {state for state in JobState if state.is_final}

    assert final == {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


@pytest.mark.parametrize("state", JobState)
def test_a_state_is_the_word_that_postgres_knows(state: JobState) -> None:
    assert JobState(state.value) is state
    assert f"{state}" == str(state) == state == state.value
    assert json.dumps(state) == f'"{state.value}"'


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(seconds=5), timedelta(days=365)])
def test_a_snooze_has_a_length(delay: timedelta) -> None:
    assert Snooze(delay).delay == delay


@pytest.mark.parametrize("delay", [timedelta(microseconds=-1), 5, 1.5, "5 s", None])
def test_a_snooze_of_no_sensible_length_is_refused(delay: Any) -> None:
    with pytest.raises(BadOption, match=r"Snooze.*timedelta that is not negative") as caught:
        Snooze(delay)

    assert caught.value.found == delay


@pytest.mark.parametrize("reason", [None, 5, ValueError("no")])
def test_a_cancel_whose_reason_is_no_text_is_refused(reason: Any) -> None:
    with pytest.raises(BadOption, match="reason"):
        Cancel(reason)


def test_a_cancel_needs_no_reason() -> None:
    assert Cancel().reason == ""


@pytest.mark.parametrize("kind", [Snooze, Cancel, Attempt, Snapshot])
def test_what_is_told_of_a_job_cannot_be_changed(kind: Any) -> None:
    assert kind.__dataclass_params__.frozen
