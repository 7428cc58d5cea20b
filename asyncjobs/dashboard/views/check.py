"""The check-up: how this process is, and what is wrong with Postgres and with what is in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from asyncjobs.checkup import Finding, Grade
from asyncjobs.health import Check, Health, Verdict

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from asyncjobs.dashboard.desk import Desk

GRADES: Mapping[Verdict, Grade] = {
    Verdict.FAIL: Grade.WRONG,
    Verdict.WARN: Grade.ADVICE,
    Verdict.PASS: Grade.WELL,
}
ORDER = list(GRADES)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was looked at; `cause` is what Postgres or Python said of it."""

    about: str
    grade: Grade
    words: str
    advice: str = ""
    cause: str | None = None


async def show_check(desk: Desk, request: Request) -> Response:
    checkup = await desk.lately.checkup()
    health = desk.jobs.health()
    return desk.page(
        request,
        "check",
        checkup=checkup,
        findings=[found(finding) for finding in checkup.findings],
        health=health,
        checks=own(health),
        now=datetime.now(UTC),
        flash=None,
    )


def found(finding: Finding) -> Line:
    return Line(finding.about, finding.grade, finding.words, finding.advice)


def own(health: Health) -> Sequence[Line]:
    """Tell of this process, the worst first."""
    checks = sorted(health.checks, key=lambda check: ORDER.index(check.verdict))
    return [line(check) for check in checks]


def line(check: Check) -> Line:
    words = f"{check.words[:1].upper()}{check.words[1:]}."
    return Line(check.name, GRADES[check.verdict], words, cause=check.cause)
