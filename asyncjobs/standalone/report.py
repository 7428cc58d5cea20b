"""The status in words: what there is, then what was found."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from asyncjobs.checkup import Grade
from asyncjobs.checkup.processes import Process
from asyncjobs.health import in_words
from asyncjobs.job import JobState
from asyncjobs.standalone.status import EXACT, Standing, Status

MARKS = {
    Grade.WRONG: "!",
    Grade.ADVICE: "*",
    Grade.UNSEEN: "?",
}  # wrong, worth an advice, not visible


def report(status: Status) -> Iterator[str]:
    """Tell what there is, and then what was found."""
    if isinstance(status.standing, Standing):
        yield from map(plain, _lines(status.standing))
    else:
        yield f"How the jobs stand was not told: {status.standing.reason}"
    for finding in status.checkup.findings:
        if finding.grade is not Grade.WELL:
            yield f"\n{MARKS[finding.grade]} {plain(str(finding))}"


def plain(line: str) -> str:
    """Write out what a terminal would obey: whoever may write rows may have put it into a name."""
    return "".join(_written_out(letter) if _commands(letter) else letter for letter in line)


def _commands(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _written_out(letter: str) -> str:
    return ascii(letter)[1:-1]


def _lines(standing: Standing) -> Iterator[str]:
    server = standing.server
    yield f"Postgres {server['version']}, database {server['database']}"
    yield f"schema {standing.schema}, at {server['migration']}"
    yield ""
    yield f"{_many(len(standing.alive), 'process', 'processes')} alive"
    for process in standing.alive:
        yield f"  {_of(process)}"
        for row in standing.running:
            if row["claimed_by"] == process.id:
                yield f"      {row['jobs']} x {row['task']}, the oldest for {in_words(row['longest'])}"
    yield ""
    for state in JobState:
        yield f"{state.value:<12}{_count(standing.counts[state]):>12}{_more(standing, state)}"


def _of(process: Process) -> str:
    queues = "all queues" if process.queues is None else ", ".join(sorted(process.queues))
    busy = f"{process.running} of {process.slots} slots busy"
    draining = ", draining" if process.is_draining else ""
    return (
        f"{process.id}  {process.kind}  {process.name}  up {in_words(process.age)}{draining}  "
        f"{busy}  {queues}  asyncjobs {process.version}"
    )


def _more(standing: Standing, state: JobState) -> str:
    if state is JobState.READY and standing.oldest_wait is not None:
        return f"   the oldest has waited for {in_words(standing.oldest_wait)}"
    if state is JobState.SCHEDULED and standing.next_due_in is not None:
        when = f"in {in_words(standing.next_due_in)}" if standing.next_due_in > 0 else "now"
        return f"   the next is due {when}, {standing.next_task}"
    if state is JobState.FAILED and standing.failed_lately:
        return f"   {_count(standing.failed_lately)} in the last 24 hours"
    return ""


def _count(number: int) -> str:
    return f"{number:,}" if number <= EXACT else f"over {EXACT:,}"


def _many(number: int, one: str, more: str) -> str:
    return f"{_count(number) if number else 'no'} {one if number == 1 else more}"
