"""Taking the jobs of the dead, and nothing from the living."""

from __future__ import annotations

import math
import os
import time

import asyncpg

from asyncjobs.engine import identity
from asyncjobs.engine.rescue import Rescuer
from asyncjobs.postgres.values import Silent
from tests.engine.conftest import STATEMENTS

KEY = 4711


async def owner(
    eyes: asyncpg.Connection, *, key: int = KEY, life: str = "began_at", **also: object
) -> int:
    """A process row; it is alive while somebody holds the key."""
    await eyes.execute(STATEMENTS["begin_life"])
    columns = {"name": "host:1", "kind": "script", "pid": 1, "slots": 1, "version": "0", **also}
    names = ", ".join(columns)
    marks = ", ".join(f"${number}" for number in range(2, len(columns) + 2))
    id: int = await eyes.fetchval(
        f"""
        insert into asyncjobs.process (lock_key, life, tasks, {names})
        select $1, {life}, '{{}}', {marks} from asyncjobs.server_life returning id
        """,
        key,
        *columns.values(),
    )
    return id


async def running(
    eyes: asyncpg.Connection, process: int, *, crashes: int = 0, asked: bool = False
) -> None:
    await eyes.execute(
        """
        insert into asyncjobs.job
          (id, task, queue, state, run_at, promise, arguments, attempt, fence, claimed_by, claimed_at, crashes,
           cancel_asked_at)
        values (gen_random_uuid(), 't', 'q', 'running', now(), now(), '{}', 1, 5, $1, now(), $2,
          case when $3 then now() end)
        """,
        process,
        crashes,
        asked,
    )


async def rescue(
    eyes: asyncpg.Connection, process: int, generation: int | None = 1, *, is_gone: bool = False
) -> list[str]:
    if not eyes.is_in_transaction():
        await eyes.fetch(STATEMENTS["tend_archive"], [7, 30])
    rows = await eyes.fetch(STATEMENTS["rescue"], process, generation, 3, 30, 7, is_gone)
    return [row["state"] for row in rows]


async def look(eyes: asyncpg.Connection) -> list[Silent]:
    rows = await eyes.fetch(STATEMENTS["look"], -1)
    return [Silent(*(row[name] for name in Silent._fields)) for row in rows]


async def test_a_living_owner_keeps_everything(database: str, eyes: asyncpg.Connection) -> None:
    alive = await asyncpg.connect(database)
    await alive.fetchval("select pg_try_advisory_lock($1::bigint)", KEY)
    process = await owner(eyes)
    await running(eyes, process)

    assert await look(eyes) == []
    assert await rescue(eyes, process) == []
    await alive.close()


async def test_a_leased_owner_keeps_everything(eyes: asyncpg.Connection) -> None:
    process = await owner(eyes)
    await running(eyes, process)
    await eyes.fetch(STATEMENTS["lease"], process, 20.0)

    assert [silent.is_leased for silent in await look(eyes)] == [True]
    assert await rescue(eyes, process) == []


async def test_an_owner_that_has_linked_anew_since_the_look_keeps_everything(
    eyes: asyncpg.Connection,
) -> None:
    process = await owner(eyes)
    await running(eyes, process)
    [seen] = await look(eyes)
    await eyes.fetch(STATEMENTS["relink"], process, KEY + 1)

    assert await rescue(eyes, process, seen.generation) == []


async def test_the_dead_are_buried_and_their_jobs_are_ready_with_the_attempt_given_back(
    eyes: asyncpg.Connection,
) -> None:
    process = await owner(eyes)
    await running(eyes, process)

    assert await rescue(eyes, process) == ["ready"]
    [row] = await eyes.fetch("select state, attempt, crashes, fence, claimed_by from asyncjobs.job")
    assert tuple(row) == ("ready", 0, 1, 6, None)
    assert (
        await eyes.fetchval("select ending from asyncjobs.process where id = $1", process) == "died"
    )


async def test_the_key_is_held_while_its_owner_is_buried(
    database: str, eyes: asyncpg.Connection
) -> None:
    process = await owner(eyes)
    await running(eyes, process)
    other = await asyncpg.connect(database)

    async with eyes.transaction():
        await rescue(eyes, process)
        returning = await other.fetchval("select pg_try_advisory_lock($1::bigint)", KEY)
    await other.close()

    assert returning is False


async def test_a_job_that_somebody_holds_is_left_for_the_next_look(
    database: str, eyes: asyncpg.Connection
) -> None:
    process = await owner(eyes)
    await running(eyes, process)
    await running(eyes, process)
    holder = await asyncpg.connect(database)

    async with holder.transaction():
        await holder.fetch("select from asyncjobs.job order by id limit 1 for update")
        assert await rescue(eyes, process) == ["ready"]
    await holder.close()
    [again] = await look(eyes)

    assert (again.id, again.generation) == (process, None)
    assert await rescue(eyes, process, None) == ["ready"]


async def test_a_job_born_running_during_the_burial_is_found_by_the_next_look(
    eyes: asyncpg.Connection,
) -> None:
    process = await owner(eyes)
    await rescue(eyes, process)
    await running(eyes, process)

    assert [silent.id for silent in await look(eyes)] == [process]
    assert await rescue(eyes, process, None) == ["ready"]


async def test_the_suspect_is_charged_and_the_innocent_beside_it_are_not(
    eyes: asyncpg.Connection,
) -> None:
    process = await owner(eyes)
    await running(eyes, process, crashes=2)
    await running(eyes, process, crashes=1)
    await running(eyes, process)

    await rescue(eyes, process)

    crashes = [
        row["crashes"]
        for row in await eyes.fetch("select crashes from asyncjobs.job order by crashes")
    ]
    assert crashes == [0, 1]
    assert await eyes.fetchval("select crashes from asyncjobs.finished where state = 'failed'") == 3


async def test_whatever_ran_beside_the_first_death_is_charged(eyes: asyncpg.Connection) -> None:
    process = await owner(eyes)
    for _ in range(3):
        await running(eyes, process)

    await rescue(eyes, process)

    rows = await eyes.fetch("select crashes from asyncjobs.job")
    assert [row["crashes"] for row in rows] == [1, 1, 1]


async def test_a_draining_process_charges_nobody(eyes: asyncpg.Connection) -> None:
    process = await owner(eyes)
    await running(eyes, process)
    await eyes.execute(STATEMENTS["drain"], process)

    await rescue(eyes, process)

    assert await eyes.fetchval("select crashes from asyncjobs.job") == 0


async def test_a_job_that_too_many_died_of_is_failed_with_the_reason(
    eyes: asyncpg.Connection,
) -> None:
    process = await owner(eyes)
    await running(eyes, process, crashes=2)

    assert await rescue(eyes, process) == ["failed"]
    [row] = await eyes.fetch("select state, crashes, error, fence from asyncjobs.finished")
    assert row["error"] == "ProcessDied: 3 processes died while running it, the last was host:1"
    assert (row["state"], row["crashes"], row["fence"]) == ("failed", 3, 6)


async def test_a_job_that_somebody_asked_to_cancel_is_cancelled_at_the_rescue(
    eyes: asyncpg.Connection,
) -> None:
    process = await owner(eyes)
    await running(eyes, process, asked=True)

    assert await rescue(eyes, process) == ["cancelled"]


async def test_in_a_young_life_an_owner_from_an_earlier_one_is_dead_only_on_proof(
    eyes: asyncpg.Connection,
) -> None:
    # Postgres crashed: every lock is gone, and the unlogged row with it.
    earlier = await owner(eyes)
    await running(eyes, earlier)
    await eyes.execute("truncate asyncjobs.server_life")
    await eyes.execute(STATEMENTS["begin_life"])
    rescuer = Rescuer(None, 3, lambda ready: None, lambda event: None)  # type: ignore[arg-type]

    [silent] = await look(eyes)
    assert silent.of_an_earlier_life
    assert not rescuer._is_dead(silent, seen_for=5)
    assert rescuer._is_dead(silent._replace(life_age=21), seen_for=5)

    here = identity.machine()
    mine = silent._replace(machine=here, pid=os.getpid(), pid_started=identity.started(os.getpid()))
    gone = mine._replace(pid_started=1)
    assert not rescuer._is_dead(mine, seen_for=5)
    assert rescuer._is_dead(gone, seen_for=0)


async def test_one_look_is_not_enough(eyes: asyncpg.Connection) -> None:
    await owner(eyes)
    rescuer = Rescuer(None, 3, lambda ready: None, lambda event: None)  # type: ignore[arg-type]
    [silent] = await look(eyes)

    assert not rescuer._is_dead(silent, seen_for=0)
    assert rescuer._is_dead(silent, seen_for=1)


async def test_a_restart_of_the_server_begins_a_life_and_a_second_comer_does_not(
    eyes: asyncpg.Connection,
) -> None:
    began = []
    for note in (
        "select 1",
        "select 1",
        "update asyncjobs.server_life set postmaster_started_at = now() - interval '1 h'",
    ):
        await eyes.execute(note)
        await eyes.execute(STATEMENTS["begin_life"])
        began.append(await eyes.fetchval("select began_at from asyncjobs.server_life"))

    assert began[0] == began[1]
    assert began[2] > began[1]


async def test_the_life_of_the_server_does_not_survive_a_crash_of_it(
    eyes: asyncpg.Connection,
) -> None:
    kinds = await eyes.fetch(
        "select relname, relpersistence from pg_class where relname in ('server_life', 'job', 'process', 'archive_spill')"
    )
    assert {row["relname"]: row["relpersistence"] for row in kinds} == {
        "server_life": b"u",
        "job": b"p",
        "process": b"p",
        "archive_spill": b"p",
    }


async def test_a_lease_does_not_speak_for_whom_our_own_machine_knows_to_be_gone(
    eyes: asyncpg.Connection,
) -> None:
    here = identity.machine()
    process = await owner(eyes, machine=here, pid=os.getpid(), pid_started=1)
    elsewhere = await owner(eyes, key=KEY + 2, machine="another boot")
    for each in (process, elsewhere):
        await running(eyes, each)
        await eyes.fetch(STATEMENTS["lease"], each, 20.0)
    rescuer = Rescuer(None, 3, lambda ready: None, lambda event: None)  # type: ignore[arg-type]

    seen = {silent.id: silent for silent in await look(eyes)}

    assert [seen[each].is_leased for each in (process, elsewhere)] == [True, True]
    assert rescuer._is_dead(seen[process], seen_for=0)
    assert not rescuer._is_dead(seen[elsewhere], seen_for=60)
    assert await rescue(eyes, process) == []
    assert await rescue(eyes, process, is_gone=True) == ["ready"]


async def test_a_restart_that_nobody_has_noted_begins_a_young_life_all_the_same(
    eyes: asyncpg.Connection,
) -> None:
    # Postgres was restarted behind a pooler: every lock is gone, and those who ask have not noticed.
    process = await owner(eyes)
    await running(eyes, process)
    await eyes.execute(
        "update asyncjobs.server_life set began_at = now() - interval '1 h',"
        " postmaster_started_at = now() - interval '1 h'"
    )
    await eyes.execute("update asyncjobs.process set life = began_at from asyncjobs.server_life")

    [silent] = await look(eyes)

    assert (silent.of_an_earlier_life, silent.life_age) == (True, 0.0)


async def test_many_that_fail_together_take_no_longer_than_many_that_go_back(
    eyes: asyncpg.Connection,
) -> None:
    # Compared with each other row by row, four thousand that fail took twenty times as long.
    for setting in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin"):
        await eyes.execute(f"set {setting} = off")
    await eyes.fetch(STATEMENTS["tend_archive"], [7, 30])
    best = {"ready": math.inf, "failed": math.inf}
    for number in range(6):  # the best of three each, as the machine may be busy
        crashes, state = ((0, "ready"), (2, "failed"))[number % 2]
        process = await owner(eyes, key=KEY + number)
        await eyes.execute(
            """
            insert into asyncjobs.job
              (id, task, queue, state, run_at, promise, arguments, attempt, fence, claimed_by, claimed_at, crashes)
            select gen_random_uuid(), 't', 'q', 'running', now(), now(), '{}', 1, 5, $1, now(), $2
            from generate_series(1, 4000)
            """,
            process,
            crashes,
        )
        began = time.perf_counter()
        assert await rescue(eyes, process) == [state] * 4000
        best[state] = min(best[state], time.perf_counter() - began)

    assert best["failed"] < 5 * best["ready"]
