"""The oracle sees what it is there to see: stories in which each of its rules is broken once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.faults.diary import Entry
from tests.faults.figures import Figures, measure, percentiles, rescues, table
from tests.faults.oracle import Evidence, Kept, complaints, overlaps, runs_of


def entry(what: str, at: float, pid: int = 1, **more: Any) -> Entry:
    return Entry(what, at, pid, None if what == "up" else "a", more)


UP = entry("up", 0, process=7)
STORED = entry("stored", 1)
BEGAN = entry("began", 2, fence=1, attempt=1)
ENDED = entry("ended", 3, fence=1, how="returned")
TOLD = entry("told Finished", 4, state="succeeded", attempt=1)
KEPT = Kept("a", "succeeded", 1, 0, 1, 7, [])
WELL = Evidence([UP, STORED, BEGAN, ENDED, TOLD], [KEPT], {}, {})

CRASHED = {"outcome": "crashed"}
RESCUED = Evidence(
    [UP, entry("up", 0, pid=2, process=8), STORED, BEGAN, entry("began", 5, pid=2, fence=3, attempt=1),
     entry("ended", 6, pid=2, fence=3, how="returned")],
    [Kept("a", "succeeded", 1, 1, 3, 8, [CRASHED])],
    {}, {}, gone={1: 4.0},
)  # fmt: skip


def test_it_has_nothing_to_say_when_all_is_well() -> None:
    assert list(complaints(WELL)) == []
    assert list(complaints(RESCUED)) == []


def with_entries(*entries: Entry) -> Evidence:
    return replace(WELL, entries=[*WELL.entries, *entries])


BROKEN = {
    "is lost": replace(WELL, finished=[]),
    "is not finished: it is ready": replace(WELL, finished=[], unfinished={"a": "ready"}),
    "has succeeded, and should have failed": replace(WELL, expected={"a": "failed"}),
    "should have been left": replace(WELL, left=frozenset({"b"})),
    "was deleted or rolled back, and is there": replace(WELL, deleted=frozenset({"a"})),
    "that nobody stored": replace(WELL, entries=[UP, BEGAN, ENDED, TOLD]),
    "nobody saw it end": replace(WELL, entries=[UP, STORED, BEGAN]),
    "was run 2 times under the fence 1": with_entries(
        entry("began", 5, fence=1, attempt=1), entry("ended", 6, fence=1, how="returned")
    ),
    "overlapped": replace(RESCUED, gone={1: 5.5}),
    "times in the archive": replace(WELL, finished=[KEPT, KEPT]),
    "was told 2 times": with_entries(TOLD),
    "under which nobody ran it": replace(WELL, finished=[replace(KEPT, fence=2)]),
    "its run ended so: ValueError": replace(
        WELL, entries=[UP, STORED, BEGAN, replace(ENDED, more={"fence": 1, "how": "ValueError"}), TOLD]
    ),
    "was recorded by a stale run": with_entries(
        entry("began", 5, fence=2, attempt=1), entry("ended", 6, fence=2, how="returned")
    ),
    "is recorded for process 9": replace(WELL, finished=[replace(KEPT, claimed_by=9)]),
    "has attempt 2, after 0 that failed": replace(WELL, finished=[replace(KEPT, attempt=2)]),
    "failures in its history": replace(
        WELL, finished=[replace(KEPT, attempt=2, history=[{"outcome": "failed"}])]
    ),
    "is charged with 2 crashes": replace(RESCUED, finished=[replace(RESCUED.finished[0], crashes=2)]),
}  # fmt: skip


@pytest.mark.parametrize("complaint", BROKEN)
def test_it_says_what_is_broken(complaint: str) -> None:
    assert any(complaint in each for each in complaints(BROKEN[complaint]))


def test_overlaps_that_a_scenario_expects_are_counted_and_not_complained_of() -> None:
    cut_off = replace(
        RESCUED, gone={1: 5.5}, may_overlap="it was stopped for longer than its lease"
    )

    assert list(complaints(cut_off)) == []
    assert len(overlaps(runs_of(cut_off))) == 1


def test_what_a_kill_cost_is_measured_from_the_kill_to_the_next_begin() -> None:
    figures = Figures("a story", "01 chapter", "seed")

    measure(figures, RESCUED, [(3.5, frozenset({1}))])

    assert figures.again == [1.5]
    assert (figures.jobs, figures.runs, figures.twice, figures.standstill) == (1, 2, 0, 2.0)


def test_a_rescue_is_what_follows_a_death_beside_one_that_lives() -> None:
    def rescued(harm: float, evidence: Evidence) -> list[float]:
        figures = Figures("a story", "01 chapter", "seed")
        measure(figures, evidence, [(harm, frozenset({1}))])
        return figures.rescued

    came_later = [entry("up", 4.5, pid=2) if each.pid == 2 and each.what == "up" else each for each in RESCUED.entries]  # fmt: skip
    assert rescued(4.0, RESCUED) == [1.0]
    assert rescued(3.0, RESCUED) == []  # it was only stopped then
    assert rescued(4.0, replace(RESCUED, entries=came_later)) == []
    words = rescues([Figures("a story", "01 chapter", "seed", rescued=[1.0, 2.0, 2.0])])
    assert "Of 3 jobs" in words
    assert "95 of a hundred within 2.0 s" in words


def test_the_table_puts_the_repetitions_of_a_story_into_one_line() -> None:
    one = Figures("a story", "01 chapter", "x", jobs=1000, runs=1001, again=[1.0], standstill=2.0)
    two = Figures("a story", "01 chapter", "y", jobs=1000, runs=1001, again=[3.0], standstill=1.0)

    drawn = table([one, two]).splitlines()

    assert drawn[2].startswith("| **chapter** |")
    assert drawn[3] == "| a story | 2 | 2,000 | 2,002 | 2.0 / 3.0 / 3.0 | 2.0 | 0 | 0 |"
    assert len(drawn) == 4
    assert percentiles([]) == "–"
