"""The model of what must hold can fail: each of its promises, by a life that breaks it alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.faults.histories.life import Claim, Deed, Life, Numbness, Process, Row, Run
from tests.faults.histories.model import complaints

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
A = Process("A1", "A", None, pid=1)
B = Process("B1", "B", None, pid=2, code=-9)
OWNERS: dict[int | None, Process] = {1: A, 2: B}


def stored(what: str = "enqueue") -> Deed:
    return Deed(what, "A", 0.0, answered=0.1, learnt=["id"])


def run(number: int, process: Process, *, fence: int, attempt: int, ended: float, how: str) -> Run:
    return Run(
        f"run {number}", 0, "id", process, fence, attempt, "hang", ended - 0.5, ended=ended, how=how
    )


def row(**but: object) -> Row:
    values: dict[str, object] = {
        "id": "id", "number": 0, "state": "succeeded", "attempt": 2, "crashes": 1, "fence": 5, "claimed_by": 1,
        "claimed_at": NOON, "cancel_asked_at": None, "result": "run 3", "error": None,
        "history": [Claim(1, "failed", 1, "Failed: run 1"), Claim(2, "crashed", 2, "process B1 died")],
        **but,
    }  # fmt: skip
    return Row(**values)  # type: ignore[arg-type]


def life() -> Life:
    """One that failed once, died once with its process, and succeeded."""
    return Life(
        0, "thrice", ("fail", "hang"), stored(),
        runs=[
            run(1, A, fence=1, attempt=1, ended=1, how="failed"),
            run(2, B, fence=3, attempt=2, ended=2, how="died"),
            run(3, A, fence=5, attempt=2, ended=3, how="returned"),
        ],
        rows=[row()],
    )  # fmt: skip


def asked(what: str, at: float) -> Deed:
    return Deed(what, "A", at, answered=at, learnt=True)


def broken(life: Life) -> list[str]:
    return list(complaints(life, OWNERS))


def test_a_life_as_it_should_be_breaks_no_promise() -> None:
    assert broken(life()) == []


def test_what_was_acknowledged_and_is_not_there_breaks_one() -> None:
    assert broken(replace(life(), rows=[])) == [
        "job 0: what was acknowledged is there, what was taken back is not"
    ]


def test_what_was_rolled_back_and_is_there_breaks_one() -> None:
    assert broken(replace(life(), never=True)) == [
        "job 0: what was acknowledged is there, what was taken back is not"
    ]


def test_what_was_deleted_while_it_waited_and_is_there_breaks_one() -> None:
    assert broken(replace(life(), deeds=[asked("delete", 9)])) == [
        "job 0: what was acknowledged is there, what was taken back is not"
    ]


def test_two_rows_of_one_job_break_one() -> None:
    assert broken(replace(life(), rows=[row(), row()])) == [
        "job 0: what is finished is finished once"
    ]


def test_runs_that_overlap_break_one() -> None:
    late = life()
    late.runs[1].ended = 2.6

    assert broken(late) == ["job 0: no two runs overlap"]


def test_runs_that_overlap_break_none_where_the_process_could_not_notice() -> None:
    numb = replace(B, numb=[Numbness(1.7, 2.7)])
    late = life()
    late.runs[1] = replace(late.runs[1], process=numb, ended=2.6, how="returned")

    assert list(complaints(late, {1: A, 2: numb})) == []


def test_a_stopped_process_may_begin_late_what_runs_elsewhere_meanwhile() -> None:
    numb = replace(A, numb=[Numbness(1.0, 2.4)])
    late = life()
    late.runs[0] = replace(late.runs[0], process=numb)
    late.runs[1] = replace(late.runs[1], ended=2.6)
    late.runs[2] = replace(late.runs[2], process=numb)
    assert list(complaints(late, {1: numb, 2: B})) == []

    numb.numb[0] = Numbness(1.0, 1.9)  # it went on long before
    assert list(complaints(late, {1: numb, 2: B})) == ["job 0: no two runs overlap"]


def test_a_fence_that_goes_back_breaks_one() -> None:
    back = life()
    back.runs[1].fence = 0

    assert "job 0: the fence grows at every change of hands" in broken(back)


@pytest.mark.parametrize("attempt", [1, 3])
def test_an_attempt_too_few_or_too_many_breaks_one(attempt: int) -> None:
    miscounted = life()
    miscounted.runs[2].attempt = attempt
    miscounted.rows = [row(attempt=attempt)]

    assert broken(miscounted) == ["job 0: attempts are the runs that counted"]


def test_a_run_that_stands_nowhere_breaks_one() -> None:
    untold = life()
    untold.rows = [row(history=untold.rows[0].history[:1])]

    assert broken(untold) == ["job 0: every run stands in the row, as it ended"]


def test_a_failure_that_stands_as_a_success_breaks_one() -> None:
    turned = life()
    turned.runs[2].how = "failed"

    assert "job 0: every run stands in the row, as it ended" in broken(turned)


def test_a_result_of_an_earlier_run_breaks_one() -> None:
    assert broken(replace(life(), rows=[row(result="run 1")])) == ["job 0: the last run decides"]


def test_a_failure_before_the_last_attempt_breaks_one() -> None:
    early = life()
    early.runs[2].how = "failed"
    early.rows = [row(state="failed", result=None, error="Failed: run 3")]

    assert broken(early) == ["job 0: the last run decides"]


def test_a_claim_after_a_cancel_breaks_one() -> None:
    cancelled = life()
    cancelled.deeds = [asked("cancel", 1.2)]
    cancelled.rows = [row(cancel_asked_at=NOON - timedelta(seconds=1))]

    assert broken(cancelled) == ["job 0: what was cancelled is not claimed again"]


def test_a_retry_without_a_run_breaks_one() -> None:
    idle = life()
    idle.deeds = [asked("retry", 9)]
    idle.rows = [row(crashes=0)]

    assert broken(idle) == ["job 0: what was retried runs again"]


def test_a_death_of_the_living_breaks_one() -> None:
    alive = replace(B, code=0)
    taken = life()
    taken.runs[1].process = alive

    assert "job 0: who lives is not taken for dead" in list(complaints(taken, {1: A, 2: alive}))
