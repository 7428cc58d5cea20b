"""Our tables: do they fit, are they at home, are they kept clean, has the archive its days?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from asyncjobs.checkup.finding import Finding, advice, unseen, well, wrong
from asyncjobs.checkup.look import ANSWER_WITHIN, Look, Row, TooSlow
from asyncjobs.engine.prune import days_kept
from asyncjobs.errors import SchemaMismatch
from asyncjobs.postgres.failures import Refused
from asyncjobs.postgres.migrate import migrations
from asyncjobs.postgres.statements import Statements
from asyncjobs.postgres.values import Home

SPILLED_TO_COUNT = 10_000
DEAD = 100_000  # rows
DEAD_FOR_ONE = 10  # that lives


async def schema(look: Look) -> list[Finding]:
    """Tell whether the tables are those of this code."""
    fit = look.jobs.connection.fit
    try:
        async with asyncio.timeout(ANSWER_WITHIN):
            await fit.look()
    except TimeoutError as error:
        raise TooSlow from error
    except SchemaMismatch as mismatch:
        reason = str(mismatch.reason)
        return [wrong("schema", f"It does not fit this code: {reason}.", "")]
    newest = migrations(look.jobs.schema)[-1].name
    if fit.migration == newest:
        return [well("schema", f"It fits, at {newest}.")]
    words = f"It is newer than this code, at {fit.migration} instead of {newest}, and says that both go together."
    return [advice("schema", words, "Deploy the newer code here when you can.")]


async def copy(look: Look) -> list[Finding]:
    """Tell whether the jobs belong to this database; see engine/opening.py."""
    statements = Statements("asyncjobs.postgres", look.jobs.schema)
    try:
        [row] = await look.fetch(statements["home"])
    except Refused as error:
        words = f"Whether this database is a copy cannot be told: {error.reason}."
        return [unseen("copy", words)]
    if Home(*row.values()).is_elsewhere:
        return [
            wrong(
                "copy",
                "This database is a copy: the jobs that wait in it belong to another one, so none is run.",
                "If they are to run here, say `asyncjobs adopt`; if not, delete them.",
            )
        ]
    return [well("copy", "The jobs belong to this database.")]


async def vacuum(look: Look) -> list[Finding]:
    """Tell whether vacuum keeps up."""
    found = [*uncleaned(await look.rows("vacuum"))]
    return found or [well("vacuum", "It keeps up with the hot tables.")]


def uncleaned(rows: Sequence[Row]) -> Iterator[Finding]:
    """Judge each table."""
    for row in rows:
        name, living, dead = row["name"], row["living"], row["dead"]
        if row["is_off"]:
            yield wrong(
                "vacuum",
                f"Autovacuum is off for {name}: claims get slower without end.",
                f"alter table {name} reset (autovacuum_enabled)",
            )
        elif dead > DEAD and dead > DEAD_FOR_ONE * living:
            yield advice(
                "vacuum",
                f"{name} has {dead:,} dead rows beside {living:,} living ones: claims walk over them.",
                "See who holds the oldest transaction; then vacuum it.",
            )


async def archive(look: Look) -> list[Finding]:
    """Tell whether the archive has the days that it needs, and no others."""
    row = await look.row("archive", days_kept(look.jobs.tasks))
    spilled = (await look.row("spill", SPILLED_TO_COUNT + 1))["spilled"]
    found = [*untended(row, spilled)]
    return found or [well("archive", "Its days are there, and those that have passed are gone.")]


def untended(row: Row, spilled: int) -> Iterator[Finding]:
    """Judge it. Before the first process has ever run nobody has tended it, and nothing is missing."""
    if row["was_tended"] and (row["missing_today"] or row["missing_tomorrow"]):
        when = "today" if row["missing_today"] else "tomorrow"
        days = ", ".join(str(kept) for kept in row["missing_today"] or row["missing_tomorrow"])
        yield advice(
            "archive",
            f"It lacks the day for jobs that end {when} and are kept for {days} days: they spill into a table of "
            "their own, and nothing is lost.",
            "A process that runs jobs makes the days a week ahead, each hour; its log says why it could not.",
        )
    if row["overdue"]:
        days = "1 day" if row["overdue"] == 1 else f"{row['overdue']} days"
        yield advice(
            "archive",
            f"It still has {days} that could have been dropped.",
            "Somebody reads them all the time, or no process that runs jobs has tended it.",
        )
    if spilled:
        number = f"over {SPILLED_TO_COUNT:,}" if spilled > SPILLED_TO_COUNT else f"{spilled:,}"
        yield advice(
            "archive",
            f"{number} finished jobs found no day and lie in archive_spill.",
            "They are shown and forgotten like all others. If there are more each hour, see above.",
        )
