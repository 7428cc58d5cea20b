"""One look after the other, and what came of each."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from asyncjobs.checkup import between, holders, processes, server, tables, work
from asyncjobs.checkup.finding import ORDER, Finding, Grade, unseen, wrong
from asyncjobs.checkup.look import Look, looking
from asyncjobs.errors import Unavailable
from asyncjobs.jobs import Jobs
from asyncjobs.postgres.failures import NotNow, Refused

PATIENCE = 12.0  # seconds for all looks together; none begins after that

Looks = Mapping[str, Callable[[Look], Awaitable[list[Finding]]]]

# Those that touch no table of ours come first. Locks come last: whatever made us wait has lasted by then.
LOOKS: Looks = {
    "writes": server.writes,
    "pooler": between.pooler,
    "network": between.network,
    "notifications": between.listening,
    "clock": server.clock,
    "settings": server.settings,
    "connections": server.connections,
    "transactions": holders.transactions,
    "vacuum": tables.vacuum,
    "schema": tables.schema,
    "copy": tables.copy,
    "archive": tables.archive,
    "processes": processes.processes,
    "work": work.work,
    "locks": holders.locks,
}


@dataclass(frozen=True, slots=True)
class Checkup:
    """What was found, the worst first; `was_answered`: every look came to an end."""

    findings: Sequence[Finding]
    was_answered: bool
    took: timedelta
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def wrong(self) -> Sequence[Finding]:
        """What has to be seen to."""
        return [finding for finding in self.findings if finding.grade is Grade.WRONG]


async def check_up(jobs: Jobs) -> Checkup:
    """
    Look at everything once, as a process that is connected.

    Raises NotConnected; whatever Postgres says, or does not say, is a finding.
    """
    began = time.monotonic()
    async with looking(jobs) as look:
        findings, was_answered = await _take_all(look, began)
    findings.sort(key=lambda finding: ORDER.index(finding.grade))
    return Checkup(findings, was_answered, timedelta(seconds=time.monotonic() - began))


async def _take_all(look: Look, began: float) -> tuple[list[Finding], bool]:
    findings, was_answered = [*_without_own(look)], True
    for about, take in LOOKS.items():
        if not was_answered or time.monotonic() - began > PATIENCE:
            was_answered = False
            findings.append(unseen(about, "Not asked, as Postgres did not answer before."))
            continue
        found, was_answered = await _taken(about, take, look)
        findings += found
    return findings, was_answered


def _without_own(look: Look) -> Iterator[Finding]:
    if look.refusal is not None:
        words = f"None could be made for this check-up: {look.refusal}."
        yield wrong(
            "connections", words, "A process that starts, or whose link was cut, gets none either."
        )


async def _taken(
    about: str, take: Callable[[Look], Awaitable[list[Finding]]], look: Look
) -> tuple[list[Finding], bool]:
    """Take one look; tells whether there was an answer, whichever."""
    try:
        return await take(look), True
    except Refused as error:
        if error.sqlstate == "42501":
            return [unseen(about, f"Not visible to this role: {error.reason}.")], True
        return [unseen(about, f"Postgres refused to tell: {error.reason}.")], True
    except NotNow as error:
        words = f"Postgres could not answer this now: {error.reason}."
        return [wrong(about, words, "It is overloaded, or somebody holds what it needs.")], True
    except Unavailable as error:
        words = f"Postgres does not answer: {error.reason}."
        return [wrong(about, words, "See that it runs, and can be reached from here.")], False
