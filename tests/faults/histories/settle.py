"""The end of a history: all harm is undone, everybody may work, and then it is looked at what is left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from tests.faults.histories.life import Claim, Deed, Life, Process, Row
from tests.faults.histories.stage import PLACES, Stage
from tests.moments import until, until_true

RESTS_WITHIN = 20.0  # seconds after the last harm

UNFINISHED = "select count(*) from asyncjobs.job"
ROWS = """
select
  id::text, arguments ->> 'number' as number, state, attempt, crashes, fence, claimed_by, claimed_at,
  cancel_asked_at, history, null as result, null as error
from asyncjobs.job
union all
select
  id::text, arguments ->> 'number', state, attempt, crashes, fence, claimed_by, claimed_at,
  cancel_asked_at, history, result #>> '{}', error
from asyncjobs.finished
"""
SESSIONS = """
select count(*) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and application_name like 'asyncjobs%'
and application_name <> $1
"""
STANDING = """
select
  id, pid, generation, draining, ended_at, ending, lease_until - statement_timestamp() as leased_for,
  exists (
    select from pg_locks where locktype = 'advisory' and (classid::bigint << 32) | objid::bigint = lock_key
  ) as is_locked
from asyncjobs.process
"""
PROCESSES = "select id, pid from asyncjobs.process"


async def settle(stage: Stage) -> list[str]:
    """Bring the history to its end; gives what is not as it should be with the processes."""
    stage.tell("the end begins")
    stage.is_settling = True
    for process in stage.up:
        await stage.command(process, Deed("disarm", process.place, 0.0))
    await stage.calm()
    complaints = []
    try:
        await _come_to_rest(stage)
    except TimeoutError:
        unfinished, held = await stage.see(UNFINISHED), await _held(stage)
        complaints.append(
            f"{RESTS_WITHIN:g} s after the last harm {unfinished} jobs are unfinished, and held: {held}"
        )
        for row in await stage.look_at(STANDING):
            stage.tell(row)
    stage.tell("all is at rest")
    living = [process for process in stage.processes if not process.is_over]
    await asyncio.gather(*(stage.stop(process) for process in living))
    complaints += [
        f"{process.name} ended with code {process.code}" for process in living if process.code != 0
    ]
    left = await stage.see(SESSIONS, stage.door_application)
    if left:
        complaints.append(f"{left} sessions were left behind")
    return complaints


async def _come_to_rest(stage: Stage) -> None:
    """Wait until all is at rest; raises TimeoutError. A job that had begun to die may still take its process along."""
    deaths = -1

    async def rests_or_changed() -> bool:
        return _deaths(stage) > deaths or await _is_at_rest(stage)

    while _deaths(stage) > deaths:
        deaths = _deaths(stage)
        await until_true(
            lambda: all(each.code is not None for each in stage.processes if each.is_over)
        )
        await _see_to_living(stage)
        await until(rests_or_changed, RESTS_WITHIN)


def _deaths(stage: Stage) -> int:
    return sum(process.is_over for process in stage.processes)


async def _see_to_living(stage: Stage) -> None:
    """Start one after the last death: whoever comes looks at the others, where all are busy with nothing."""
    died = max((each.died_at or 0.0 for each in stage.processes), default=0.0)
    came = max((each.up_at or 0.0 for each in stage.processes if not each.is_over), default=0.0)
    if came <= died:
        for place in PLACES:
            if stage.at(place) is None:
                await stage.start(place)
                return


async def _is_at_rest(stage: Stage) -> bool:
    """Whether nothing is unfinished, and nobody holds anything; what waits to be let go is let go now."""
    for life in stage.lives.values():
        if not _ends_by_itself(life):
            stage.let_go(life)
    if any(run.ended is None for run in stage.runs.values()) or await stage.see(UNFINISHED):
        return False
    return not await _held(stage) and not await stage.see(UNFINISHED)


def _ends_by_itself(life: Life) -> bool:
    """Whether a job was cancelled for certain: who died while it asked may never have been heard."""
    return any(deed.is_done for deed in life.asked("cancel")) and not life.was_asked("retry")


async def _held(stage: Stage) -> dict[str, object]:
    """What somebody still holds, a slot or an outcome or a caller; a service that has failed counts, too."""
    held: dict[str, object] = {"the door": stage.held_at_the_door()}
    for process in stage.up:
        deed = Deed("rest", process.place, 0.0)
        await stage.command(process, deed)
        held[process.name] = deed.error or deed.learnt
    return {name: what for name, what in held.items() if what}


async def rows(stage: Stage) -> Iterator[Row]:
    """Read every row of the queue."""
    return map(_row, await stage.look_at(ROWS))


async def owners(stage: Stage) -> dict[int | None, Process]:
    """Give who it was that each process row speaks of."""
    by_pid = {process.pid: process for process in stage.processes}
    return {row["id"]: by_pid[row["pid"]] for row in await stage.look_at(PROCESSES)}


def _row(found: Any) -> Row:
    history = [
        Claim(each["attempt"], each["outcome"], each["process"], each["error"])
        for each in json.loads(found["history"] or "[]")
    ]
    return Row(**{**found, "number": int(found["number"]), "history": history})
