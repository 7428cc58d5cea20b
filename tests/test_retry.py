"""Policies are pure functions of the attempt: when to try again, and when to give up."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs import exponential, fixed, never
from asyncjobs.errors import BadOption

SECOND = timedelta(seconds=1)
NOW = timedelta(0)
ATTEMPTS = st.integers(min_value=1, max_value=10_000)
LENGTHS = st.timedeltas(timedelta(milliseconds=1), timedelta(days=3650))


@given(attempt=st.integers(1, 12))
def test_an_exponential_pause_lies_in_the_upper_half_of_its_doubled_length(attempt: int) -> None:
    policy = exponential(20, base=SECOND, cap=timedelta(days=1))
    nominal = SECOND * 2 ** (attempt - 1)

    pause = policy.after(ValueError(), attempt, NOW)

    assert pause is not None
    assert nominal / 2 <= pause <= nominal


@given(attempt=ATTEMPTS, base=LENGTHS, cap=LENGTHS)
def test_an_exponential_pause_is_never_longer_than_its_cap(
    attempt: int, base: timedelta, cap: timedelta
) -> None:
    policy = exponential(20_000, base=base, cap=cap)

    pause = policy.after(ValueError(), attempt, NOW)

    assert pause is not None
    assert NOW <= pause <= cap


def test_exponential_pauses_differ_so_that_a_herd_scatters() -> None:
    policy = exponential(base=timedelta(hours=1))

    pauses = {policy.after(ValueError(), 1, NOW) for _ in range(10)}

    assert len(pauses) > 1


@given(attempt=st.integers(1, 4))
def test_a_fixed_pause_is_always_the_same(attempt: int) -> None:
    assert fixed(timedelta(seconds=7)).after(ValueError(), attempt, NOW) == timedelta(seconds=7)


@given(most=st.integers(1, 50), attempt=st.integers(1, 100))
def test_no_policy_tries_more_often_than_it_says(most: int, attempt: int) -> None:
    for policy in (exponential(most), fixed(SECOND, most)):
        pause = policy.after(ValueError(), attempt, NOW)

        assert (pause is None) == (attempt >= most)


def test_never_tries_once() -> None:
    assert never().after(ValueError(), 1, NOW) is None


def test_only_what_is_to_be_retried_is_tried_again() -> None:
    policy = fixed(SECOND, retry_on=(ConnectionError, TimeoutError))

    assert policy.after(ConnectionResetError(), 1, NOW) == SECOND
    assert policy.after(TimeoutError(), 1, NOW) == SECOND
    assert policy.after(ValueError(), 1, NOW) is None


def test_what_is_to_be_discarded_is_not_tried_again() -> None:
    policy = exponential(retry_on=OSError, discard_on=PermissionError)

    assert policy.after(OSError(), 1, NOW) is not None
    assert policy.after(PermissionError(), 1, NOW) is None


@given(age=st.timedeltas(NOW, timedelta(minutes=5)))
def test_no_attempt_starts_after_the_window(age: timedelta) -> None:
    policy = fixed(timedelta(minutes=1), within=timedelta(minutes=3))

    pause = policy.after(ValueError(), 1, age)

    assert (pause is None) == (age + timedelta(minutes=1) > timedelta(minutes=3))


@pytest.mark.parametrize("most", [0, -1, 1.5, "3", None])
def test_a_number_of_attempts_that_makes_no_sense_is_refused(most: Any) -> None:
    with pytest.raises(BadOption, match="max_attempts must be a whole number from 1"):
        exponential(most)
    with pytest.raises(BadOption, match="max_attempts must be a whole number from 1"):
        fixed(SECOND, most)


@pytest.mark.parametrize("length", [timedelta(seconds=-1), 5, 1.5, "1 s"])
@pytest.mark.parametrize("option", ["base", "cap", "within"])
def test_a_length_that_makes_no_sense_is_refused(option: str, length: Any) -> None:
    with pytest.raises(BadOption, match=f"{option} must be a timedelta"):
        exponential(**{option: length})


@pytest.mark.parametrize("delay", [timedelta(seconds=-1), 5, None])
def test_a_fixed_delay_that_makes_no_sense_is_refused(delay: Any) -> None:
    with pytest.raises(BadOption, match="delay must be a timedelta"):
        fixed(delay)


def test_an_exponential_pause_of_nothing_is_no_pause() -> None:
    policy = exponential(base=timedelta(0))

    assert policy.after(ValueError(), 3, NOW) == NOW


@pytest.mark.parametrize(
    "what", [ValueError(), "ValueError", [ValueError], (ValueError, "x"), int, None]
)
@pytest.mark.parametrize("option", ["retry_on", "discard_on"])
def test_what_is_no_exception_type_is_refused(option: str, what: Any) -> None:
    with pytest.raises(BadOption, match=option):
        exponential(**{option: what})
    with pytest.raises(BadOption, match=option):
        fixed(SECOND, **{option: what})
