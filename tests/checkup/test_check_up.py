"""A check-up of a real Postgres to which something has been done: it is found, named, and takes no long time."""

from __future__ import annotations

import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from itertools import count

import asyncpg
import pytest

from asyncjobs import Jobs
from asyncjobs.checkup import Checkup, Finding, Grade, check_up
from asyncjobs.checkup import checkup as running
from asyncjobs.checkup import look as looking
from asyncjobs.checkup.server import writable
from asyncjobs.postgres.session import SETTINGS
from asyncjobs.postgres.statements import Statements
from tests.engine.harm import cut, inside
from tests.faults.proxy import proxied
from tests.moments import until_true
from tests.pgbouncer import Start
from tests.postgres import Administrator
from tests.standby import Pair

CARELESS = ["fsync is off", "full_page_writes is off"]  # as the tests' own server is
ROLES = (f"plain_{os.getpid()}_{number}" for number in count(1))


def about(checkup: Checkup, name: str) -> Finding:
    [found] = [finding for finding in checkup.findings if finding.about == name]
    return found


def amiss(checkup: Checkup) -> list[str]:
    """What is wrong, or worth an advice, but for how careless the tests' server is."""
    return [
        str(finding)
        for finding in checkup.findings
        if finding.grade in (Grade.WRONG, Grade.ADVICE)
        and not finding.words.startswith(tuple(CARELESS))
    ]


@pytest.fixture
async def running_jobs(jobs: Jobs) -> AsyncIterator[Jobs]:
    async with jobs.running():
        yield jobs


async def test_nothing_is_wrong_where_nothing_is(running_jobs: Jobs) -> None:
    checkup = await check_up(running_jobs)

    assert amiss(checkup) == []
    assert [str(each).partition(".")[0] for each in checkup.wrong] == CARELESS
    assert checkup.was_answered
    assert {finding.about for finding in checkup.findings} == set(running.LOOKS)
    assert "heard after" in about(checkup, "notifications").words


async def test_a_process_that_only_enqueues_listens_on_a_connection_for_the_moment(
    jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    async with jobs.connected():
        checkup = await check_up(jobs)

        assert "heard after" in about(checkup, "notifications").words
    assert amiss(checkup) == []


async def test_the_worst_comes_first(running_jobs: Jobs, eyes: asyncpg.Connection) -> None:
    await eyes.execute("alter table asyncjobs.job set (autovacuum_enabled = false)")

    checkup = await check_up(running_jobs)

    grades = [list(Grade).index(finding.grade) for finding in checkup.findings]
    assert grades == sorted(grades)
    assert "Autovacuum is off for job" in about(checkup, "vacuum").words


async def test_notifications_that_do_not_arrive_are_missed(running_jobs: Jobs) -> None:
    await inside(running_jobs).link.fetch("unlisten *")

    checkup = await check_up(running_jobs)

    assert about(checkup, "notifications").grade is Grade.WRONG
    assert "not heard on the link within 2 s" in about(checkup, "notifications").words


async def test_who_holds_a_transaction_open_is_named(
    running_jobs: Jobs, eyes: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncjobs.checkup.holders.TOO_OLD", 0.0)
    monkeypatch.setattr("asyncjobs.checkup.holders.OLD", 0.0)
    await eyes.execute("set application_name = 'the culprit'")
    async with eyes.transaction():
        await eyes.execute("select pg_current_xact_id()")

        found = about(await check_up(running_jobs), "transactions")

    assert found.grade is Grade.WRONG
    pid = eyes.get_server_pid()
    assert f"pid {pid} 'the culprit' of postgres, idle in transaction" in found.words
    assert f"pg_terminate_backend({pid})" in found.advice


async def test_a_lock_on_our_table_is_named_and_nothing_stays_behind_that_waits_for_it(
    running_jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    ours = """
    select count(*) from pg_stat_activity
    where application_name = 'asyncjobs check' and datname = current_database()
    """
    async with eyes.transaction():
        await eyes.execute("lock table asyncjobs.job in access exclusive mode")
        began = time.monotonic()

        checkup = await check_up(running_jobs)

        took = time.monotonic() - began
        assert await eyes.fetchval(ours) == 0  # nobody stays behind to wait
    assert "holds AccessExclusiveLock on job" in about(checkup, "locks").words
    assert "could not answer this now" in about(checkup, "processes").words
    assert took < 10


async def test_a_schema_that_lacks_a_migration_is_told(
    running_jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    await eyes.execute(
        "delete from asyncjobs.migration where number = (select max(number) from asyncjobs.migration)"
    )

    found = about(await check_up(running_jobs), "schema")

    assert found.grade is Grade.WRONG
    assert "it is older and lacks" in found.words
    assert "asyncjobs migrate" in found.words


async def test_a_schema_that_is_ahead_is_an_advice(
    running_jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    await eyes.execute(
        "insert into asyncjobs.migration (number, name, oldest_code) values (900, '0900_far', '0.0.1')"
    )

    found = about(await check_up(running_jobs), "schema")

    assert found.grade is Grade.ADVICE
    assert "0900_far" in found.words


async def test_days_that_the_archive_lacks_and_what_spilled_are_told(
    running_jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    day = await eyes.fetchval(
        "select to_char((now() at time zone 'utc')::date + 8, '\"archive_\"YYYYMMDD')"
    )
    await eyes.execute(f"drop table asyncjobs.{day}")
    await eyes.execute(
        """
        insert into asyncjobs.archive_spill
          (id, task, queue, priority, state, run_at, promise, attempt, crashes, fence, created_at, arguments,
          finished_at, forget_on)
        values (gen_random_uuid(), 't', 'q', 0, 'succeeded', now(), now(), 1, 0, 1, now(), '{}', now(), now())
        """
    )

    told = amiss(await check_up(running_jobs))

    assert "lacks the day for jobs that end today and are kept for 7 days" in told[0]
    assert "1 finished jobs found no day" in told[1]


async def test_work_that_nobody_can_do_is_told(
    running_jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    await eyes.execute("select asyncjobs.enqueue('shop.gone')")

    found = about(await check_up(running_jobs), "work")

    assert (
        "No living process knows the task shop.gone (1 job ready in queue default)" in found.words
    )


@pytest.fixture
def plain(administrator: Administrator) -> Iterator[str]:
    """A role that may use our tables, and see nothing of others."""
    name = next(ROLES)
    administrator.execute(f"create role {name} login")
    yield name
    administrator.execute(f"drop role {name}")


async def test_a_role_that_sees_little_gets_words_instead_of_errors(
    plain: str, database: str, eyes: asyncpg.Connection
) -> None:
    await eyes.execute(f"grant usage on schema asyncjobs to {plain}")
    await eyes.execute(
        f"grant select, insert, update, delete on all tables in schema asyncjobs to {plain}"
    )
    await eyes.execute(f"grant execute on all functions in schema asyncjobs to {plain}")
    async with eyes.transaction(isolation="repeatable_read"):
        await eyes.execute("select count(*) from asyncjobs.job")
        jobs = Jobs(database.replace("postgres@", f"{plain}@"))
        async with jobs.running():
            checkup = await check_up(jobs)
    await eyes.execute(f"drop owned by {plain}")

    assert amiss(checkup) == []
    assert checkup.was_answered
    hidden = about(checkup, "transactions")
    assert hidden.grade is Grade.UNSEEN
    assert f"Pid {eyes.get_server_pid()}" in hidden.words
    assert "not visible to this role" in hidden.words
    assert "pg_monitor" in hidden.advice


async def test_what_a_role_may_not_ask_is_told_as_that(
    plain: str, database: str, eyes: asyncpg.Connection
) -> None:
    await eyes.execute(f"grant usage on schema asyncjobs to {plain}")
    await eyes.execute(f"grant select on asyncjobs.migration to {plain}")
    jobs = Jobs(database.replace("postgres@", f"{plain}@"))

    async with jobs.connected():
        checkup = await check_up(jobs)
    await eyes.execute(f"drop owned by {plain}")

    for name in ("archive", "processes", "work"):
        assert about(checkup, name).grade is Grade.UNSEEN
        assert "Not visible to this role" in about(checkup, name).words


async def test_a_postgres_that_is_away_is_a_finding_and_asked_once(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)
        async with jobs.running():
            proxy.refuse()
            proxy.hang_up()
            await until_true(lambda: not jobs.health().link_is_up)

            checkup = await check_up(jobs)

            proxy.refuse(on=False)
            await until_true(lambda: jobs.health().link_is_up)

    told = [finding.words for finding in checkup.wrong]
    assert told[0].startswith("None could be made for this check-up: ")
    assert told[1].startswith("Postgres does not answer: ")
    assert len(told) == 2
    assert not checkup.was_answered
    assert time.monotonic() - began < 15


async def test_a_black_hole_holds_nobody_up_for_long(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "ANSWER_WITHIN", 0.5)
    async with proxied(database) as proxy:
        jobs = Jobs(proxy.dsn)
        async with jobs.connected():
            proxy.silence()
            began = time.monotonic()

            checkup = await check_up(jobs)

            took = time.monotonic() - began
            await proxy.heal()

    assert "does not answer" in checkup.wrong[1].words
    assert took < 6


async def test_a_pooled_connection_that_was_cut_is_no_finding(
    running_jobs: Jobs, eyes: asyncpg.Connection
) -> None:
    await cut(eyes, running_jobs.database.application)

    assert amiss(await check_up(running_jobs)) == []


async def test_a_pooler_that_shares_sessions_is_named(bouncer: Start) -> None:
    async with Jobs(bouncer("transaction").dsn).connected() as jobs:
        checkup = await check_up(jobs)

    assert "shares its sessions" in about(checkup, "pooler").words
    assert "link_dsn" in about(checkup, "pooler").advice
    assert "Not tried" in about(checkup, "notifications").words
    assert about(checkup, "pooler").grade is Grade.ADVICE


async def test_a_pooler_beside_a_direct_link_is_as_it_should_be(
    bouncer: Start, database: str
) -> None:
    async with Jobs(bouncer("transaction").dsn, link_dsn=database).running() as jobs:
        checkup = await check_up(jobs)

    assert "which is fine" in about(checkup, "pooler").words
    assert "heard after" in about(checkup, "notifications").words
    assert amiss(checkup) == []


async def test_behind_a_proxy_the_seconds_are_its_word(bouncer: Start) -> None:
    async with Jobs(bouncer("session").dsn).running() as jobs:
        checkup = await check_up(jobs)

    assert "keeps a session for each client" in about(checkup, "pooler").words
    assert "20 s" in about(checkup, "pooler").advice
    assert "the proxy's word" in about(checkup, "pooler").advice
    assert "heard after" in about(checkup, "notifications").words


async def test_a_relay_that_only_passes_on_is_seen_by_its_addresses(database: str) -> None:
    async with proxied(database) as proxy, Jobs(proxy.dsn).running() as jobs:
        checkup = await check_up(jobs)

    assert about(checkup, "network").grade is Grade.ADVICE
    assert "something is in between" in about(checkup, "network").words


async def test_a_process_with_a_lease_needs_no_notifications(bouncer: Start) -> None:
    async with Jobs(bouncer("transaction").dsn, presence="lease").running() as jobs:
        checkup = await check_up(jobs)

    assert about(checkup, "notifications").grade is Grade.WELL
    assert "lease" in about(checkup, "pooler").words
    assert amiss(checkup) == []


STATEMENTS = Statements("asyncjobs.checkup", "asyncjobs")
ARGUMENTS: dict[str, list[object]] = {
    "archive": [[7]], "clock": [], "connected": [3], "connections": [], "locks": [],
    "next_scheduled": [], "processes": [1], "ready_tasks": [1], "route": [], "server": [],
    "settings": [["fsync"]], "spill": [1], "transactions": [1], "vacuum": [],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(STATEMENTS))
async def test_no_table_of_jobs_is_read_as_a_whole(database: str, name: str) -> None:
    known = {key: value for key, value in SETTINGS.items() if key != "idle_session_timeout"}
    connection = await asyncpg.connect(database, server_settings=known)
    plan = "\n".join(
        row[0] for row in await connection.fetch(f"explain {STATEMENTS[name]}", *ARGUMENTS[name])
    )
    await connection.close()

    assert not re.search(r"Seq Scan on (job|archive)", plan), plan


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_every_statement_says_what_it_promises(name: str) -> None:
    text = STATEMENTS[name]

    assert text.startswith("-- ")
    assert re.search(r"^-- .*(Walks|walks|Leaps)", text, re.MULTILINE)
    assert ";" not in re.sub(r"--.*", "", text)


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_every_statement_runs_in_another_schema(name: str) -> None:
    elsewhere = Statements("asyncjobs.checkup", "a_b")[name]

    assert "asyncjobs." not in re.sub(r"--.*", "", elsewhere)


async def test_a_standby_is_found_out(pair: Pair) -> None:
    connection = await asyncpg.connect(pair.standby.dsn)
    row = await connection.fetchrow(STATEMENTS["server"])
    await connection.close()

    assert row is not None
    assert writable(dict(row)).grade is Grade.WRONG
