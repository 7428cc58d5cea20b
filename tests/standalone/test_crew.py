"""How a supervisor judges what its workers say, and what they do not say any more."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from asyncjobs.health import is_alive, is_ready
from asyncjobs.standalone import crew as crew_module
from asyncjobs.standalone.crew import Crew
from asyncjobs.standalone.leash import Report


class Worker:
    """A child, as far as a crew sees one."""

    pid = 7
    age = timedelta(seconds=1)

    def __init__(self, report: Report | None) -> None:
        self.report = report


Said = dict[str, Any] | None


def crew_of(*said: Said) -> Crew:
    """A crew whose workers have said this; None: nothing yet."""
    crew = Crew(len(said))
    for number, words in enumerate(said, 1):
        worker: Any = Worker(None if words is None else report(**words))
        crew.joined(number, worker)
    return crew


def report(*, alive: bool = True, ready: bool = True, wrong: str = "", ago: float = 0.0) -> Report:
    return Report(alive, ready, wrong, time.monotonic() - ago)


@pytest.mark.parametrize(
    ("said", "alive", "ready", "words"),
    [
        ({}, True, True, "it is ready"),
        ({"ready": False, "wrong": "link: down"}, True, False, "link: down"),
        ({"alive": False, "ready": False, "wrong": "ended"}, False, False, "ended"),
        (None, True, False, "has not said anything yet"),
        ({"ago": 6}, True, False, "silent for 6 s"),
        ({"ago": 31}, False, False, "silent for 31 s"),
    ],
)
def test_all_have_to_be_well(said: Said, alive: bool, ready: bool, words: str) -> None:
    checks = list(crew_of({}, said).checks())

    assert (is_alive(checks), is_ready(checks)) == (alive, ready)
    assert words in checks[1].words


def test_a_place_that_is_empty_is_filled_by_the_supervisor_itself() -> None:
    crew = crew_of({}, {})
    crew.left(2)

    checks = list(crew.checks())

    assert (is_alive(checks), is_ready(checks)) == (True, False)


def test_a_report_every_second_is_never_taken_for_silence() -> None:
    from asyncjobs.standalone.leash import REPORT_EVERY

    assert crew_module.SILENT_AFTER >= 3 * REPORT_EVERY
