"""Roles with the rights that the pages grant: all that they need, and nothing else."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from asyncjobs import Enqueued, Jobs, JobState
from asyncjobs.errors import NotPermitted
from asyncjobs.postgres.failures import Refused
from asyncjobs.postgres.migrate import migrate, migrations
from tests.dashboard.conftest import anybody, mounted, visitor
from tests.dashboard.reading import read
from tests.docs.pages import CHECKOUT, blocks_of
from tests.moments import until, until_state
from tests.postgres import Administrator

NAMES = (f"servant_{os.getpid()}_{number}" for number in count(1))
DENIED = asyncpg.exceptions.InsufficientPrivilegeError

Role = Callable[[str], str]


def grants_of(page: Path, role: str) -> str:
    """What a page has its reader run to make that role."""
    [found] = [
        block.text for block in blocks_of(page) if f"create role {role} login;" in block.text
    ]
    return found


def granting(page: str, role: str, name: str) -> str:
    grants = grants_of(CHECKOUT / "docs" / page, role).replace(f"create role {role} login;", "")
    return re.sub(rf"\b(to|from) {role};", rf"\1 {name};", grants)


@pytest.fixture
def name(administrator: Administrator) -> Iterator[str]:
    """A role that can log in, and nothing else."""
    name = next(NAMES)
    administrator.execute(f"create role {name} login")
    yield name
    administrator.execute(f"drop role {name}")


@pytest.fixture
def group(administrator: Administrator, name: str) -> Iterator[str]:
    """A role of which that one is a member."""
    group = next(NAMES)
    administrator.execute(f"create role {group}")
    administrator.execute(f"grant {group} to {name}")
    yield group
    administrator.execute(f"drop role {group}")


# A role is dropped after the databases in which it has rights.
@pytest.fixture
def database(name: str, database: str) -> str:
    return database


@pytest.fixture
def empty_database(group: str, empty_database: str) -> str:
    return empty_database


@pytest.fixture
async def owner(database: str) -> Iterator[asyncpg.Connection]:  # type: ignore[misc]
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


def as_role(database: str, name: str) -> str:
    return database.replace("postgres@", f"{name}@")


async def denied(connection: asyncpg.Connection, *statements: str) -> list[str]:
    """Try each, and give those that were not refused for want of a right."""
    passed: list[str] = []
    for statement in statements:
        try:
            async with connection.transaction():
                await connection.execute(statement)
                passed.append(statement)
                raise asyncpg.exceptions.RaiseError("not kept")
        except DENIED:
            pass
        except asyncpg.exceptions.RaiseError:
            continue
    return passed


READING = [
    "select arguments from asyncjobs.job",
    "select * from asyncjobs.job",
    "select extra from asyncjobs.job",
    "select * from asyncjobs.archive",
    "select * from asyncjobs.archive_spill",
    "select * from asyncjobs.finished",
    "select result from asyncjobs.finished",
    "select * from asyncjobs.process",
    "select * from asyncjobs.server_life",
    "select * from asyncjobs.home",
    "copy asyncjobs.job to stdout",
]
CHANGING = [
    "update asyncjobs.job set arguments = '{}'",
    "update asyncjobs.job set state = 'ready'",
    "delete from asyncjobs.job",
    "delete from asyncjobs.archive",
    "delete from asyncjobs.archive_spill",
    "delete from asyncjobs.process",
    "update asyncjobs.process set ended_at = now()",
    "delete from asyncjobs.server_life",
    "select * from asyncjobs.job for update",
    "lock table asyncjobs.job in access exclusive mode",
    "insert into asyncjobs.process (lock_key, life, name, kind, pid, slots, tasks, version) "
    "values (1, now(), 'x', 'x', 1, 1, '{}', 'x')",
    "insert into asyncjobs.archive select * from asyncjobs.finished",
]
RULING = [
    "truncate asyncjobs.job",
    "truncate asyncjobs.archive",
    "drop table asyncjobs.job",
    "drop function asyncjobs.enqueue",
    "alter table asyncjobs.job add column more text",
    "alter function asyncjobs.enqueue(text, jsonb, text, integer, timestamptz) security invoker",
    "create table asyncjobs.mine ()",
    "create function asyncjobs.mine() returns int language sql as 'select 1'",
    "create index on asyncjobs.job (task)",
    "create trigger mine after insert on asyncjobs.job execute function asyncjobs.mine()",
    "drop schema asyncjobs cascade",
    "create schema mine",
    "insert into asyncjobs.migration (number, name, oldest_code) values (9999, 'x', '99.0.0')",
    "update asyncjobs.migration set oldest_code = '99.0.0'",
    "delete from asyncjobs.migration",
    "select pg_read_file('/etc/passwd')",
    "copy asyncjobs.migration to program 'true'",
]
INSERTING = [
    "insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments, claimed_by) "
    "values (gen_random_uuid(), 't', 'q', 'running', now(), now(), '{}', 1)",
    "insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments, history) "
    "values (gen_random_uuid(), 't', 'q', 'ready', now(), now(), '{}', '7')",
    "insert into asyncjobs.job (id, task, queue, state, run_at, promise, arguments, crashes) "
    "values (gen_random_uuid(), 't', 'q', 'ready', now(), now(), '{}', 1)",
]
TENDING = ["select * from asyncjobs.tend_archive(array['2099-01-01']::date[])"]
THE_DOOR = ["select asyncjobs.enqueue('t')"]
FORGETTING = ["select asyncjobs.forget_recorded(array[gen_random_uuid()])"]


async def test_a_role_that_only_enqueues_may_do_that_and_nothing_else(
    database: str, owner: asyncpg.Connection, name: str
) -> None:
    await owner.execute(granting("security.md", "front", name))
    address = as_role(database, name)
    front, works = Jobs(address), Jobs(database)

    @works.task(name="greet")
    async def greet(name: str) -> str:
        return f"Hello, {name}"

    there = front.task(name="greet", secret=("name",))(greet.function)
    connection = await asyncpg.connect(address)
    async with front.connected():
        one = await there.enqueue("Ada")
        many = await front.enqueue_many([there.job("Bob"), there.job("Eve")])
        later = await there.options(delay=timedelta(milliseconds=10)).enqueue("Kim")
        async with connection.transaction():
            callers = await there.options(connection=connection).enqueue("Joe")
        stored = await front.connection.enqueuer._ledger.enqueue_again(
            [front.connection.road._request(there.job("Zoe"))]
        )
        again = [Enqueued(row.id, greet) for row in stored]
        for refused in (
            partial(front.get, one.id), one.status, partial(one.result, 1), partial(front.cancel, one.id),
            partial(front.retry, one.id), partial(front.delete, one.id),
        ):  # fmt: skip
            with pytest.raises(Refused, match="permission denied"):
                await refused()
    async with works.running():
        for job in (one, *many, later, callers, *again):
            assert (await Enqueued(job.id, greet).result(20)).startswith("Hello, ")
    passed = await denied(connection, *READING, *CHANGING, *RULING, *INSERTING, *TENDING, *THE_DOOR)
    await connection.close()

    assert passed == []


async def test_a_resend_by_a_role_that_only_enqueues_stores_no_job_twice(
    database: str, owner: asyncpg.Connection, name: str
) -> None:
    await owner.execute(granting("security.md", "front", name))
    front, works = Jobs(as_role(database, name)), Jobs(database)

    @works.task(name="greet")
    async def greet() -> None: ...

    there = front.task(name="greet")(greet.function)
    async with front.connected():
        request = front.connection.road._request(there.job())
        await front.connection.enqueuer._ledger.enqueue([request])
        async with works.running():
            await until_state(Enqueued(request.id, greet), JobState.SUCCEEDED)
        await front.connection.enqueuer._ledger.enqueue_again([request])

    assert await owner.fetchval("select count(*) from asyncjobs.job") == 0
    assert await owner.fetchval("select count(*) from asyncjobs.finished") == 1


async def test_what_takes_jobs_back_takes_none_that_is_not_recorded(
    database: str, owner: asyncpg.Connection, name: str
) -> None:
    await owner.execute(granting("security.md", "front", name))
    waiting = await owner.fetchval("select asyncjobs.enqueue('t')")
    connection = await asyncpg.connect(as_role(database, name))

    taken = await connection.fetch("select asyncjobs.forget_recorded($1)", [waiting, uuid4(), None])
    await connection.close()

    assert taken == []
    assert await owner.fetchval("select count(*) from asyncjobs.job") == 1


async def test_a_role_that_may_only_call_enqueue_may_do_that_and_nothing_else(
    database: str, owner: asyncpg.Connection, name: str, jobs: Jobs
) -> None:
    await owner.execute(granting("security.md", "clerk", name))
    connection = await asyncpg.connect(as_role(database, name))

    @jobs.task(name="greet")
    async def greet(name: str) -> str:
        return f"Hello, {name}"

    async with jobs.running():
        id: UUID = await connection.fetchval(
            "select asyncjobs.enqueue('greet', $1::jsonb)", json.dumps({"name": "Ada"})
        )
        assert await Enqueued(id, greet).result(20) == "Hello, Ada"
    passed = await denied(
        connection, *READING, *CHANGING, *RULING, *INSERTING, *TENDING, *FORGETTING,
        "select id from asyncjobs.job", "select * from asyncjobs.migration",
    )  # fmt: skip
    await connection.close()
    with pytest.raises(NotPermitted):
        async with Jobs(as_role(database, name)).connected():
            pass

    assert passed == []


@pytest.mark.parametrize(
    "call",
    [
        "enqueue('')",
        "enqueue(repeat('x', 201))",
        "enqueue(E'a\\nb')",
        "enqueue(E'\\x1b[2J')",
        "enqueue(null)",
        "enqueue('t', '{}', '')",
        "enqueue('t', '{}', repeat('x', 201))",
        "enqueue('t', '{}', E'a\\tb')",
        "enqueue('t', null)",
        "enqueue('t', jsonb_build_object('a', repeat('x', 1048576)))",
        "enqueue('t', '{}', 'q', 40000)",
        "enqueue('t', run_at => 'infinity')",
        "enqueue('t', run_at => '-infinity')",
        "enqueue('t', run_at => '20000-01-01')",
        "enqueue('t', run_at => '0044-03-15 BC')",
    ],
)
async def test_the_door_for_sql_takes_nothing_that_would_keep_others_from_working(
    owner: asyncpg.Connection, call: str
) -> None:
    with pytest.raises(asyncpg.PostgresError) as caught:
        await owner.execute(f"select asyncjobs.{call}")

    assert "xxxxx" not in str(caught.value)
    assert await owner.fetchval("select count(*) from asyncjobs.job") == 0


async def test_a_role_that_runs_jobs_needs_no_right_to_rule(
    database: str, owner: asyncpg.Connection, name: str
) -> None:
    await owner.execute(granting("database.md", "shop", name))
    address = as_role(database, name)
    jobs = Jobs(address)

    @jobs.task(name="greet", keep=timedelta(days=400))
    async def greet(name: str) -> str:
        return f"Hello, {name}"

    async with jobs.running():
        assert await (await greet.enqueue("Ada")).result(20) == "Hello, Ada"
        far = await owner.fetchval(
            "select to_regclass(format('asyncjobs.archive_%s', to_char(now() + interval '401 days', 'YYYYMMDD')))"
        )
    connection = await asyncpg.connect(address)
    passed = await denied(connection, *RULING)
    await connection.close()

    assert far is not None
    assert passed == []


async def test_a_dashboard_that_only_looks_shows_everything_and_changes_nothing(
    database: str, owner: asyncpg.Connection, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    await owner.execute(granting("security.md", "auditor", name))
    address = as_role(database, name)
    looks, works = Jobs(address), Jobs(database)

    @works.task(name="greet")
    async def greet(name: str) -> str:
        return f"Hello, {name}"

    async with works.running(), looks.connected():
        ended = await greet.enqueue("Ada")
        await until_state(ended, JobState.SUCCEEDED)
        waiting = await greet.options(delay=timedelta(hours=1)).enqueue("Bob")
        app = mounted(looks.dashboard(allow=anybody))
        async with visitor(app) as client:
            for path in paths_of(app):
                answer = await client.get(path)
                assert answer.status_code in (200, 303), (path, answer.text)
            assert "Hello, Ada" in read(await client.get(f"/jobs/job/{ended.id}")).text
            for verb in ("cancel", "retry", "delete"):
                answer = await client.post(f"/jobs/job/{waiting.id}/{verb}")
                assert answer.status_code == 403
                assert "it may only look" in answer.text
        assert (await works.get(waiting.id)).state is JobState.SCHEDULED
        with pytest.raises(Refused, match="permission denied"):
            await looks.task(name="greet")(greet.function).enqueue("Eve")
    connection = await asyncpg.connect(address)
    passed = await denied(
        connection, *CHANGING, *RULING, *INSERTING, *TENDING, *THE_DOOR, *FORGETTING
    )
    await connection.close()

    assert passed == []
    assert "permission denied for table job" in caplog.text


def paths_of(app: object) -> list[str]:
    """The pages of a mounted dashboard that need no id."""
    [mount] = app.routes  # type: ignore[attr-defined]
    return [
        f"/jobs{route.path}"
        for route in mount.app.routes
        if "{" not in route.path and "GET" in route.methods
    ]


async def test_a_role_without_any_right_gets_nowhere(database: str, name: str) -> None:
    connection = await asyncpg.connect(as_role(database, name))
    passed = await denied(
        connection, *READING, *CHANGING, *RULING, *INSERTING, *TENDING, *THE_DOOR, *FORGETTING
    )
    await connection.close()

    assert passed == []


async def test_days_that_no_job_is_kept_until_are_not_made(
    database: str, owner: asyncpg.Connection, name: str
) -> None:
    await owner.execute(granting("database.md", "shop", name))
    connection = await asyncpg.connect(as_role(database, name))
    wanted = """
        select array[
          '0001-01-01', '1999-12-31', current_date - 1, current_date + 3661, '9999-12-31', 'infinity', null
        ]::date[]
    """

    deeds = await connection.fetch(f"select * from asyncjobs.tend_archive(({wanted}))")
    most = await connection.fetch(
        "select * from asyncjobs.tend_archive(array[(now() at time zone 'utc')::date + 3660])"
    )
    await connection.close()

    assert deeds == []
    assert [row["deed"] for row in most] == ["attached"]


async def at_migration(connection: asyncpg.Connection, number: int) -> None:
    """Make the tables as they were then."""
    await connection.execute(
        """
        create schema asyncjobs;
        create table asyncjobs.migration (
          number integer primary key, name text not null, oldest_code text not null,
          applied_at timestamptz not null default statement_timestamp()
        )
        """
    )
    for each in migrations("asyncjobs")[:number]:
        await connection.execute(each.sql)
        await connection.execute(
            "insert into asyncjobs.migration (number, name, oldest_code) values ($1, $2, $3)",
            each.number, each.name, each.oldest_code,
        )  # fmt: skip


@pytest.mark.parametrize("to", ["the role", "a group", "everybody"])
async def test_a_role_that_was_made_before_loses_nothing_by_the_upgrade(
    empty_database: str, name: str, group: str, to: str
) -> None:
    owner = await asyncpg.connect(empty_database)
    grantee = {"the role": name, "a group": group, "everybody": "public"}[to]
    await at_migration(owner, 1)
    await owner.execute(
        f"""
        grant usage on schema asyncjobs to {grantee};
        grant select, insert, update, delete on all tables in schema asyncjobs to {grantee};
        revoke insert, update, delete on asyncjobs.migration from {grantee};
        """
    )
    await migrate(owner, "asyncjobs")
    jobs = Jobs(as_role(empty_database, name))

    @jobs.task(name="greet")
    async def greet(name: str) -> str:
        return f"Hello, {name}"

    async with jobs.running():
        assert await (await greet.enqueue("Ada")).result(20) == "Hello, Ada"
        sql = "select asyncjobs.enqueue('greet', '{\"name\": \"Eve\"}')"
        id = await jobs.database.fetchval(sql)
        assert await Enqueued(id, greet).result(20) == "Hello, Eve"
        request = jobs.connection.road._request(greet.job("Bob"))
        [stored] = await jobs.connection.enqueuer._ledger.enqueue_again([request])
        assert stored.id == request.id
        days = "select count(*) from pg_inherits where inhparent = 'asyncjobs.archive'::regclass"
        assert await owner.fetchval(days) >= 16
    await owner.close()


async def test_a_role_that_could_only_read_before_may_not_enqueue_after_the_upgrade(
    empty_database: str, name: str
) -> None:
    owner = await asyncpg.connect(empty_database)
    await at_migration(owner, 1)
    await owner.execute(
        f"grant usage on schema asyncjobs to {name}; grant select on all tables in schema asyncjobs to {name};"
    )
    await migrate(owner, "asyncjobs")
    reader = await asyncpg.connect(as_role(empty_database, name))

    passed = await denied(reader, *CHANGING, *INSERTING, *TENDING, *THE_DOOR, *FORGETTING)
    await reader.close()
    await owner.close()

    assert passed == []


async def test_whoever_may_write_all_data_may_go_on(
    database: str, name: str, owner: asyncpg.Connection
) -> None:
    if not await owner.fetchval("select to_regrole('pg_write_all_data') is not null"):
        pytest.skip("this Postgres has no such role")
    await owner.execute(f"grant pg_write_all_data, pg_read_all_data to {name}")
    jobs = Jobs(as_role(database, name))

    @jobs.task(name="greet")
    async def greet() -> str:
        return "Hello"

    async with jobs.running():
        assert await (await greet.enqueue()).result(20) == "Hello"
        id = await jobs.database.fetchval("select asyncjobs.enqueue('greet')")
        await until(partial(has_ended, jobs, id))


async def has_ended(jobs: Jobs, id: UUID) -> bool:
    return (await jobs.get(id)).state is JobState.SUCCEEDED
