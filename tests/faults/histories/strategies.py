"""
Random histories for hypothesis: what may happen, and how likely.

Each draws a few kinds of harm and mixes those among its enqueues: where everything may happen at once, no
harm comes often enough to meet another of its kind.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from tests.faults.histories.hand import MAX_ATTEMPTS
from tests.faults.histories.stage import PLACES
from tests.faults.histories.steps import (
    Ask,
    Bury,
    Cut,
    Enqueue,
    Freeze,
    Hold,
    Kill,
    LetGo,
    Rest,
    SetClock,
    Sever,
    Start,
    Step,
    Stop,
    Transact,
    Trap,
)
from tests.faults.histories.traps import HARMS

ACTS = (
    "return", "toil", "hang", "fail", "snooze", "cancel", "progress", "block", "die", "linger", "ignore",
)  # fmt: skip

# Statements that some traps of a history wait for, and what makes a process send them.
ENQUEUES = ("enqueue", "enqueue_and_start")
RESENDS = ("enqueue_again", "forget_recorded", "commit")
RUNS = ("claim", "finish", "finish", "progress", "beat", "notify")
OTHERS = (
    "promote",
    "rescue",
    "look",
    "poll",
    "lease",
    "cancel",
    "retry",
    "delete",
    "leave",
    "drain",
)

places = st.sampled_from(sorted(PLACES))
acts = st.lists(st.sampled_from(ACTS), max_size=3).map(tuple)
more = st.lists(acts, max_size=3).map(tuple)
jobs = st.integers(-3, 5)  # from the last one, or from the first
hurry = st.booleans()
harms = st.sampled_from(HARMS)

Steps = tuple[Step, ...]


def one(step: type[Step], *args: st.SearchStrategy[Any], **named: Any) -> st.SearchStrategy[Steps]:
    """One step of this kind."""
    return st.tuples(st.builds(step, *args, **named))


def trapped(statements: tuple[str, ...], harms: st.SearchStrategy[str]) -> st.SearchStrategy[Trap]:
    return st.builds(Trap, places, st.sampled_from(statements), harms)


def beside(
    trap: st.SearchStrategy[Trap], *others: st.SearchStrategy[Trap]
) -> st.SearchStrategy[Steps]:
    """Traps in one process, and then jobs that may snap them: stored there, or elsewhere."""

    def at_one_place(drawn: tuple[Trap, ...]) -> Steps:
        return tuple(replace(each, place=drawn[0].place) for each in drawn)

    traps = st.tuples(trap, *others).map(at_one_place)
    return st.builds(
        lambda traps, there, step: (*traps, replace(step, by=traps[0].place) if there else step),
        traps, st.booleans(), st.builds(Enqueue, places, acts, more, hurry=hurry),
    )  # fmt: skip


stored = st.one_of(
    one(Enqueue, places, acts, task=st.sampled_from(sorted(MAX_ATTEMPTS)), hurry=hurry),
    one(Enqueue, places, acts, more, hurry=hurry),
    one(Enqueue, places, acts, delay=st.sampled_from((0.1, 0.5)), hurry=hurry),
)
calm = st.one_of(one(Rest, st.sampled_from((0.01, 0.05, 0.3, 1.2))), one(Start, places))

HARM: dict[str, st.SearchStrategy[Steps]] = {
    "kills": one(Kill, places),
    "stops": one(Stop, places),
    "freezes": one(Freeze, places, st.sampled_from((0.1, 1.5))),
    "cuts": one(Cut, places, st.sampled_from(("all", "link", "pool"))),
    "severs": one(
        Sever, places, st.sampled_from((0.1, 0.3, 2.0)), st.sampled_from(("refused", "unheard", "deaf"))
    ),
    "burials": one(Bury, places),
    "traps at runs": beside(trapped(RUNS, harms)),
    "traps at enqueues": beside(trapped(ENQUEUES, harms)),
    "traps at resends": beside(
        trapped(ENQUEUES, st.sampled_from(("never sent", "answer lost"))), trapped(RESENDS, harms)
    ),
    "traps at others": beside(trapped(OTHERS, harms)),
    "clocks": one(SetClock, places, st.sampled_from((1, -1))),
    "holds": one(Hold, jobs, st.sampled_from((0.1, 0.6))),
    "asks": one(Ask, st.sampled_from(("cancel", "retry", "delete")), jobs, places, hurry),
    "gates": one(LetGo, jobs),
    "transactions": one(
        Transact, places, acts, more, st.booleans(), st.sampled_from((0.0, 0.1, 0.7))
    ),
    "callers": one(
        Enqueue, places, acts, more, leaves_after=st.sampled_from((0.0, 0.001, 0.004, 0.02)), hurry=hurry
    ),
}  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> list[Step]:
    """Give a history of some dozen steps, with up to four kinds of harm."""
    kinds = draw(
        st.lists(st.sampled_from((*HARM, "kills", "asks", "traps at runs")), min_size=1, max_size=4)
    )
    step = st.one_of(stored, calm, *(HARM[kind] for kind in kinds))
    pages = draw(st.lists(st.lists(step, max_size=8), min_size=3, max_size=5))
    return [each for page in pages for steps in page for each in steps]
