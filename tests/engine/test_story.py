"""Whatever an error says, what is remembered of it is bounded, and fit for Postgres."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.engine.story import LINE, WHOLE, one_line, storable, whole

ANY_TEXT = st.text(st.characters(), max_size=300)


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def is_storable(text: str) -> bool:
    text.encode()
    return "\0" not in text


def caught(error: Exception) -> Exception:
    try:
        raise error
    except Exception as raised:
        return raised


@given(ANY_TEXT, st.integers(10, 400))
def test_any_text_is_made_storable(text: str, limit: int) -> None:
    kept = storable(text, limit)

    assert is_storable(kept)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=["\0"]), max_size=300))
def test_text_that_postgres_can_hold_is_kept_as_it_is(text: str) -> None:
    assert storable(text, 300) == text


def test_the_middle_of_a_long_text_is_left_out() -> None:
    kept = storable("a" * 600 + "b" * 600, 100)

    assert kept.startswith("a" * 50)
    assert kept.endswith("b" * 50)
    assert "1,100 characters left out" in kept


@pytest.mark.parametrize("nasty", ["\0" * 10_000, "\ud800" * 10_000], ids=["NUL", "surrogates"])
def test_what_is_escaped_stays_bounded(nasty: str) -> None:
    assert len(storable(nasty, LINE)) <= 7 * LINE


def test_an_error_is_told_by_its_type_and_its_words() -> None:
    assert one_line(ValueError("no such photo")) == "ValueError: no such photo"


def test_an_error_without_words_is_told_by_its_type() -> None:
    assert one_line(KeyboardInterrupt()) == "KeyboardInterrupt"


def test_an_error_that_cannot_speak_is_told_all_the_same() -> None:
    assert one_line(Mute()) == "Mute: <its str() raised RuntimeError>"
    assert "Mute" in whole(caught(Mute()))


@given(ANY_TEXT)
def test_any_error_is_told_in_what_postgres_can_hold(words: str) -> None:
    error = caught(ValueError(words))

    assert is_storable(one_line(error))
    assert is_storable(whole(error))


def test_a_long_error_is_cut() -> None:
    error = caught(ValueError("x" * 1_000_000))

    assert len(one_line(error)) < LINE + 100
    assert len(whole(error)) < WHOLE + 100


def test_a_traceback_names_the_place_and_the_causes() -> None:
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise ValueError("outer") from inner
    except ValueError as error:
        told = whole(error)

    assert "test_a_traceback_names_the_place_and_the_causes" in told
    assert "KeyError: 'inner'" in told
    assert "direct cause" in told
    assert told.rstrip().endswith("ValueError: outer")


def test_an_error_that_was_never_raised_has_a_story_too() -> None:
    assert whole(ValueError("never raised")).strip() == "ValueError: never raised"
