"""How a process is: what was looked at, and how each thing stands. Frozen values, no IO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum


class Verdict(StrEnum):
    """How one thing stands: fine, worth a look, or wrong."""

    PASS = "pass"  # noqa: S105
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """
    One thing that was looked at.

    `words` are ours alone, so anybody may read them; `cause` is what Postgres or Python said, which may
    name hosts, roles and values. `value` is the number or word that was judged; durations are in seconds.
    `restart_helps`: it is wrong in a way that only a new process mends.
    """

    name: str
    verdict: Verdict
    words: str
    value: float | str | None = None
    cause: str | None = None
    restart_helps: bool = False


@dataclass(frozen=True, slots=True)
class Manners:
    """
    How jobs give way to the rest of the event loop, in a process that is there for something else.

    `slots` may be in use now, at most; `late` is how late a timer came lately, in the mean, while jobs ran. `worked` is the
    time for which steps of jobs have held the loop since the start, `rested` the time for which jobs were held back after
    them. `requests` are under way; None where nobody counts them. `why` says it in words.
    """

    slots: int
    late: timedelta
    worked: timedelta
    rested: timedelta
    requests: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Health:
    """
    How a process is, as far as it knows without asking anybody: `jobs.health()`.

    `link_is_up`, since when, and how long ago it answered; `claim_answered` is how long ago a claim was,
    or the safety poll, which says whether there was anything to claim. All three are None where nothing
    runs jobs, and before the first answer. `loop_lag` is how late the event loop woke, last and at worst
    within a minute. `manners` tell how jobs give way to requests; None where they do not. `migration` is the newest one of the schema. Of `slots`, `running` hold a job; `overdue` of
    these were told to stop and have not. `unrecorded` outcomes wait to be stored. `troubles` counts the
    failures of each service of ours since the start.
    """

    checks: tuple[Check, ...]
    link_is_up: bool | None = None
    link_since: timedelta | None = None
    link_answered: timedelta | None = None
    claim_answered: timedelta | None = None
    loop_lag: timedelta = timedelta(0)
    worst_loop_lag: timedelta = timedelta(0)
    manners: Manners | None = None
    migration: str | None = None
    slots: int = 0
    running: int = 0
    overdue: int = 0
    unrecorded: int = 0
    is_draining: bool = False
    troubles: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def is_alive(self) -> bool:
        """False where only a restart helps: never because Postgres is down."""
        return is_alive(self.checks)

    @property
    def is_ready(self) -> bool:
        """Whether this process can do its work right now."""
        return is_ready(self.checks)

    @property
    def last_error(self) -> str | None:
        """What Postgres or Python said of the first thing that is not well; it may name hosts and roles."""
        return next((check.cause for check in self.checks if check.cause), None)


def is_alive(checks: Sequence[Check]) -> bool:
    """Whether nothing is wrong that a restart would mend."""
    return not any(check.verdict is Verdict.FAIL and check.restart_helps for check in checks)


def is_ready(checks: Sequence[Check]) -> bool:
    """Whether nothing is wrong."""
    return not any(check.verdict is Verdict.FAIL for check in checks)


def wrong(checks: Sequence[Check]) -> Iterator[str]:
    """Tell what is wrong, a line each."""
    for check in checks:
        if check.verdict is Verdict.FAIL:
            yield f"{check.name}: {check.words}"


def in_words(seconds: float) -> str:
    """Say how long that is, in the largest unit that fits."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
