"""
What must hold of every job, whatever happened: the model.

It knows nothing of how the queue works. It is asked when all is at rest, of one job at a time, with all that
was asked of it, whoever ran it, and its row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from math import inf

from tests.faults.histories.hand import MAX_ATTEMPTS
from tests.faults.histories.life import Claim, Life, Process, Row, Run

MAX_CRASHES = 3
AT_ONCE = 0.5  # seconds in which a run that was just given may begin

# How a run may stand in its row, by how it ended for itself. The words are those of `Attempt.outcome`.
MAY_STAND_AS = {
    "returned": ("succeeded",),
    "failed": ("failed", "cancelled", "released"),
    "snoozed": ("snoozed", "cancelled"),
    "cancelled": ("cancelled",),
    "stopped": ("released", "cancelled", "failed"),
    "died": (),
}
OF_THE_DEAD = ("crashed", "failed", "cancelled")

Owners = Mapping[int | None, Process]  # by the row of asyncjobs.process


def complaints(life: Life, owners: Owners) -> Iterator[str]:
    """Tell what does not hold of this job."""
    for promise, holds in {
        "what is finished is finished once": _is_finished_once(life),
        "what was acknowledged is there, what was taken back is not": _is_there_or_not(life),
        "no two runs overlap": _do_not_overlap(life.runs),
        "the fence grows at every change of hands": _fences_grow(life),
        "attempts are the runs that counted": all(_counts(life, row) for row in life.rows),
        "every run stands in the row, as it ended": all(_stand(life, row, owners) for row in life.rows),
        "the last run decides": all(_last_decides(life, row) for row in life.rows),
        "what was cancelled is not claimed again": _stays_cancelled(life),
        "what was retried runs again": _runs_again(life),
        "who lives is not taken for dead": all(_are_dead(row, owners) for row in life.rows),
    }.items():  # fmt: skip
        if not holds:
            yield f"job {life.number}: {promise}"


def _is_finished_once(life: Life) -> bool:
    ids = {each.id for each in life.rows} | {run.job for run in life.runs}
    return len(life.rows) <= 1 and len(ids) <= 1 and all(row.is_finished for row in life.rows)


def _is_there_or_not(life: Life) -> bool:
    if life.never:
        return not life.rows and not life.runs
    if not life.was_asked("delete"):
        return bool(life.rows) or not (life.stored.is_done or life.runs)
    if not any(deed.is_done for deed in life.asked("delete")) or life.was_asked("retry"):
        return True
    # One that ran was only asked to stop, and stays.
    return all(row.cancel_asked_at for row in life.rows)


def _do_not_overlap(runs: Iterable[Run]) -> bool:
    return all(
        (earlier.ended is not None and earlier.ended <= later.began)
        or _was_cut_off(earlier)
        or _was_numb(later)  # it begins what was given to it before it was stopped, and taken since
        for earlier, later in pairwise(sorted(runs, key=lambda run: run.began))
    )


def _was_cut_off(run: Run) -> bool:
    """Whether others could take its process for dead before it could end this run."""
    ended = inf if run.ended is None else run.ended
    in_vain = not run.obeys and any(run.began - AT_ONCE < at < ended for at in run.process.cut_off)
    return in_vain or _was_numb(run)


def _was_numb(run: Run) -> bool:
    """Whether its process could not even notice; it may begin what was given to it before."""
    ended = inf if run.ended is None else run.ended
    return any(run.began < numb.until + AT_ONCE and ended > numb.since for numb in run.process.numb)


def _fences_grow(life: Life) -> bool:
    known = [run for run in life.runs if not _was_numb(run)]
    fences = [run.fence for run in sorted(known, key=lambda run: run.began)]
    return (
        all(a < b for a, b in pairwise(fences))
        and len({run.fence for run in life.runs}) == len(life.runs)
        and all(row.fence >= run.fence for row in life.rows for run in life.runs)
    )


def _counts(life: Life, row: Row) -> bool:
    retries = sum(deed.is_done or deed.is_in_doubt for deed in life.asked("retry"))
    attempt = 1
    for claim in row.claims:
        if claim.attempt == 1 < attempt:
            retries, attempt = retries - 1, 1
        if claim.attempt != attempt or retries < 0:
            return False
        attempt += claim.outcome == "failed"
    return row.claimed_by is not None or row.attempt in (attempt - 1, 0 if retries else attempt - 1)


def _stand(life: Life, row: Row, owners: Owners) -> bool:
    """Whether each run is one of the row's claims, in the same order."""
    claims = iter(row.claims)
    in_order = sorted(life.runs, key=lambda run: run.fence)
    return all(any(_stands_as(run, claim, owners) for claim in claims) for run in in_order)


def _stands_as(run: Run, claim: Claim, owners: Owners) -> bool:
    if owners.get(claim.process) is not run.process or claim.attempt != run.attempt:
        return False
    if claim.outcome in OF_THE_DEAD and run.process.may_be_taken_for_dead:
        return True
    is_its_failure = run.how != "failed" or claim.error == f"Failed: {run.id}"
    return claim.outcome in MAY_STAND_AS[run.how] and (claim.outcome != "failed" or is_its_failure)


def _last_decides(life: Life, row: Row) -> bool:
    last = max(life.runs, key=lambda run: run.fence, default=None)
    match row.state:
        case "succeeded":
            return last is not None and last.how == "returned" and row.result == last.id
        case "failed" if (row.error or "").startswith("ProcessDied"):
            return row.crashes == MAX_CRASHES
        case "failed":
            return last is not None and row.attempt == MAX_ATTEMPTS[life.task]
    asked = [deed for deed in life.deeds if deed.what in ("cancel", "delete")]
    was_asked = any(deed.is_done or deed.is_in_doubt for deed in asked)
    return was_asked or (last is not None and last.how == "cancelled")


def _stays_cancelled(life: Life) -> bool:
    cancels = [deed.answered for deed in life.asked("cancel") if deed.is_done and deed.answered]
    if not cancels or life.was_asked("retry"):
        return True
    later = [run for run in life.runs if run.began > min(cancels)]
    return len(later) <= 1 and all(_was_claimed_before(row) for row in life.rows)


def _was_claimed_before(row: Row) -> bool:
    """Whether nobody has claimed it since it was asked to end."""
    asked = row.cancel_asked_at
    return asked is not None and (row.claimed_at is None or row.claimed_at <= asked)


def _runs_again(life: Life) -> bool:
    retried = max((deed.sent for deed in life.asked("retry") if deed.is_done), default=None)
    others: Sequence[float] = [
        inf if deed.answered is None else deed.answered
        for deed in life.deeds
        if deed.what != "retry"
    ]
    if retried is None or any(answered > retried for answered in others):
        return True
    died = any(row.crashes for row in life.rows)
    return died or any(run.began > retried for run in life.runs)


def _are_dead(row: Row, owners: Owners) -> bool:
    crashed = [owners.get(claim.process) for claim in row.claims if claim.outcome == "crashed"]
    return all(each is not None and each.may_be_taken_for_dead for each in crashed)
