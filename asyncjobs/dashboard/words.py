"""Numbers and moments in words, as one says them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from asyncjobs.dashboard.reader import Count
from asyncjobs.job import JobState

SPACE = "\N{NO-BREAK SPACE}"
MINUTE, HOUR, DAY = 60, 3600, 86400
FINE = ((0.0095, 1000, ".1f", "ms"), (0.9995, 1000, ".0f", "ms"), (9.95, 1, ".1f", "s"))
COARSE = (
    (DAY, "d", HOUR, "h"),
    (HOUR, "h", MINUTE, "min"),
    (MINUTE, "min", 1, "s"),
    (1, "s", 1, ""),
)

ABOUT: Mapping[JobState | None, str] = {
    None: "Jobs appear here as soon as one is enqueued.",
    JobState.HELD: "Nothing is held back by a limit, a dependency or a pause.",
    JobState.SCHEDULED: "Nothing is planned for later, and nothing waits to be tried again.",
    JobState.READY: "Nothing waits: whatever could start has started.",
    JobState.RUNNING: "Nothing runs at this moment.",
    JobState.SUCCEEDED: "Nothing has succeeded yet, or it has been forgotten since.",
    JobState.FAILED: "Nothing has failed. May it stay so.",
    JobState.CANCELLED: "Nothing has been cancelled.",
}


def duration(seconds: float | None) -> str:
    """Say how long: two units at most, and no digits that nobody needs. Nothing when it is not known."""
    if seconds is None:
        return ""
    seconds = max(seconds, 0.0)
    for until, scale, form, unit in FINE:
        if seconds < until:
            return f"{seconds * scale:{form}}{SPACE}{unit}"
    whole = max(int(seconds), 10)  # not rounded, as `rough` does not
    size, unit, smaller, small = next(step for step in COARSE if whole >= step[0])
    rest = whole % size // smaller
    return f"{whole // size}{SPACE}{unit}" + (f"{SPACE}{rest}{SPACE}{small}" if rest else "")


def rough(seconds: float) -> str:
    """Say about how long, in one unit: what changes slowly is easy to read while it is live."""
    for unit, size, until in (("s", 1, MINUTE), ("min", MINUTE, HOUR), ("h", HOUR, DAY)):
        if seconds < until:
            return f"{int(seconds // size)}{SPACE}{unit}"
    days = int(seconds // DAY)
    return f"{days}{SPACE}day" + ("s" if days != 1 else "")


def ago(moment: datetime, now: datetime) -> str:
    """Say when, seen from now."""
    passed = (now - moment).total_seconds()
    if -1 < passed < 1:
        return "now"
    return f"{rough(passed)} ago" if passed > 0 else f"in {rough(-passed)}"


def absolute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def number(value: int) -> str:
    """Group the digits of a number; thin spaces, as points and commas mean different things to different people."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def counted(count: Count) -> str:
    return number(count.found) + ("+" if count.is_partial else "")


def size(octets: int) -> str:
    """Say how much is stored."""
    amount = float(octets)
    for unit in ("bytes", "kB"):
        if amount < 1000:
            return f"{amount:.3g}{SPACE}{unit}"
        amount /= 1000
    return f"{amount:.3g}{SPACE}MB"
