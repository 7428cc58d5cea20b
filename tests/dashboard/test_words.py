"""Numbers and moments in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncjobs.dashboard.json_text import tokens
from asyncjobs.dashboard.values import as_called
from asyncjobs.dashboard.words import ago, duration, number, size

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (-1, "0.0 ms"),
        (0.0004, "0.4 ms"),
        (0.34, "340 ms"),
        (0.9996, "1.0 s"),
        (2.31, "2.3 s"),
        (59.4, "59 s"),
        (9.96, "10 s"),
        (59.6, "59 s"),
        (60, "1 min"),
        (75, "1 min 15 s"),
        (3600, "1 h"),
        (7384, "2 h 3 min"),
        (200_000, "2 d 7 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float | None, words: str) -> None:
    assert duration(seconds).replace("\xa0", " ") == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.9, "now"),
        (-0.9, "now"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (-90, "in 1 min"),
        (86_399, "23 h ago"),
        (86_400, "1 day ago"),
        (-200_000, "in 2 days"),
    ],
)
def test_moments_are_told_from_now(seconds: float, words: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW).replace("\xa0", " ") == words


def test_sizes_and_numbers_are_grouped() -> None:
    assert number(1234567) == "1\u202f234\u202f567"
    assert [size(n).replace("\xa0", " ") for n in (12, 1234, 25_600_000)] == [
        "12 bytes",
        "1.23 kB",
        "25.6 MB",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("", ""),
        ("{}", ""),
        ('{"photo_id": 7}', "photo_id: 7"),
        ('{"a": {"b": "c"}}', 'a: {"b": "c"}'.replace('"b": ', "b: ")),
        ('{"a": "say \\"b\\": c"}', 'a: "say \\"b\\": c"'),
    ],
)
def test_arguments_are_told_as_one_reads_a_call(arguments: str, told: str) -> None:
    assert as_called(arguments) == told


@given(st.text())
def test_tokens_of_anything_are_the_thing_again(text: str) -> None:
    assert "".join(token for _, token in tokens(text)) == text


def test_tokens_know_keys_from_texts() -> None:
    found = [
        kind
        for kind, token in tokens('{"a\\"": ["b", -1.5e3, null, true, "cut o')
        if kind != "plain"
    ]

    assert found == ["key", "text", "number", "word", "word", "text"]
