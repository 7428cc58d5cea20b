"""
Each hot statement walks the index that its comment promises, and touches rows in proportion to its answer.

On tables large enough to tempt the planner, with each kind of statistics that a table may have: none, as right
after the first rush; of a time when it was all but empty; and true ones. With generic plans, as our sessions
have them, and with custom ones.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import asyncpg
import pytest

from asyncjobs.postgres.session import SETTINGS
from tests.engine.conftest import STATEMENTS
from tests.postgres import Administrator

MANY = 6_000  # rows of each kind
ME, DEAD = 1, 2  # processes: one that runs very much, one that ran a little
FEW = 10
MOST = 6 * FEW  # rows that a node may look at
PAGES = 20 * FEW  # and pages; thousands of dead ones lie on more

FILL = """
insert into asyncjobs.job
  (id, task, queue, state, run_at, promise, arguments, priority, claimed_by, claimed_at, fence)
select
  ('00000000-0000-7000-8000-' || lpad(kind.number || to_hex(nth), 12, '0'))::uuid, 'app.small', kind.queue,
  kind.state, due.at, due.at, '{"args": [1]}', 0, kind.owner,
  case when kind.owner is not null then now() end, 1
from (
  values
    (1, 'default', 'ready', null, 1.0), (2, 'mail', 'ready', null, 1.0), (3, 'default', 'scheduled', null, -1.0),
    (4, 'default', 'running', 1, 1.0), (5, 'seldom', 'ready', null, 0.001), (6, 'default', 'running', 2, 0.001),
    (7, 'default', 'scheduled', null, 0.001)
) as kind (number, queue, state, owner, share)
cross join generate_series(1, greatest($1 * abs(kind.share), 1)::integer) as nth
cross join lateral (select now() - sign(kind.share) * nth * interval '1 s' as at) as due
"""
FILL_ARCHIVE = """
insert into asyncjobs.archive
  (id, task, queue, priority, state, run_at, promise, attempt, crashes, fence, claimed_by, created_at, arguments,
    finished_at, forget_on)
select
  ('00000000-0000-7000-8000-' || lpad('a' || to_hex(nth), 12, '0'))::uuid, 'app.small', 'default', 0, 'succeeded',
  now(), now(), 1, 0, 1, 1, now(), '{}', now() - nth * interval '1 s',
  (now() at time zone 'utc')::date + 8 + nth % 5
from generate_series(1, $1::integer) as nth
"""
REST = "alter table asyncjobs.job set (autovacuum_enabled = off); select set_config('jit', 'off', false)"


class Hot(NamedTuple):
    """A statement, how it is called here, the indexes that it may walk, and whether it finds rows by their place, too."""

    name: str
    call: str
    indexes: set[str]
    by_place: bool = False


def ids(kind: int, count: int = FEW) -> str:
    return ",".join(
        f"00000000-0000-7000-8000-{f'{kind}{nth:x}':0>12}" for nth in range(1, count + 1)
    )


def each(value: object, count: int = FEW) -> str:
    return "'{" + ",".join([str(value)] * count) + "}'"


NOW_ON = "'{default}', '{0}', '{-infinity}', '{00000000-0000-0000-0000-000000000000}', '{32767}'"
ENDS = f"{ME}, '{{{ids(4)}}}', {each(1)}, {each('succeeded')}, {each(0.1)}, {each('null')}"
NEW = "'{0193a3c4-7f1e-7abc-9def-0123456789ab}', '{app.small}', '{q}', '{0}', '{null}', '{0}', '{\"{}\"}', '{null}'"
HOT = [
    Hot("claim", f"'{{default}}', '{{{FEW}}}', {FEW}, 3, '{{}}', {FEW}, 1, 2, '{{}}', '{{}}', '{{}}', '{{}}', '{{}}'", {"job_ready"}, by_place=True),
    Hot("claim", f"'{{default}}', '{{{FEW}}}', {FEW}, 3, '{{}}', {FEW}, 1, 2, {NOW_ON}", {"job_ready"}, by_place=True),
    Hot("claim", f"'{{nothing,seldom}}', '{{{FEW},{FEW}}}', {FEW}, 3, '{{}}', {FEW}, 4, 2, '{{}}', '{{}}', '{{}}', '{{}}', '{{}}'", {"job_ready"}, by_place=True),
    Hot("survey", "'{default,mail,seldom,nothing}', '{}', 2", {"job_ready"}),
    Hot("finish", f"{ENDS}, {each(7)}, {each('null')}", {"job_pkey"}),
    Hot("finish", f"{ENDS}, {each(0)}, {each('null')}", {"job_pkey"}),
    Hot("finish", f"{ME}, '{{{ids(4)}}}', '{{1}}', '{{succeeded}}', {each(0.1)}, '{{}}', '{{7}}', '{{}}'", {"job_pkey"}),
    Hot("unrecorded", f"{ME}, '{{{ids(4)}}}', {each(1)}", {"job_pkey", "archive_id"}),
    Hot("progress", f"{ME}, '{{{ids(4)}}}', {each(1)}, {each(0.5)}, {each('half')}", {"job_pkey"}),
    Hot("promote", f"{FEW}, null", {"job_scheduled", "job_pkey"}),
    Hot("promote", f"{FEW}, '2000-01-01 00:00:00+00'", {"job_scheduled", "job_pkey"}),
    Hot("poll", f"{ME}", {"job_ready", "job_scheduled", "job_running"}),
    Hot("beat", f"{DEAD}", {"job_running"}),
    Hot("rescue", f"{DEAD}, 1, 3, 7, 7, true", {"job_running", "job_pkey"}),
    Hot("enqueue_and_start", f"{NEW}, '{{true}}', {ME}, 1, '{{nothing}}', '{{}}'", {"job_ready"}),
    Hot("enqueue_and_start", f"{NEW}, '{{true}}', {ME}, 1, '{{default,mail}}', '{{}}'", {"job_ready"}),
    Hot("arguments", f"'{ids(4, 1)}', {ME}, 1", {"job_pkey"}),
    Hot("ending", f"'{ids(4, 1)}'", {"job_pkey", "archive_id"}),
    Hot("snapshot", f"'{ids(4, 1)}'", {"job_pkey", "archive_id"}),
]  # fmt: skip


@pytest.fixture(scope="module", params=["none", "stale", "true"])
def filled(
    administrator: Administrator, template: str, request: pytest.FixtureRequest
) -> Iterator[str]:
    """A large database, with such statistics."""
    with administrator.database(template) as dsn:
        administrator.runner.run(_fill(dsn, request.param))
        yield dsn


async def _fill(dsn: str, statistics: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(REST)
    await connection.fetch(STATEMENTS["tend_archive"], [7])
    if statistics == "stale":
        await connection.execute(FILL.replace("$1", "2"))
        await connection.execute("analyze asyncjobs.job, asyncjobs.archive")
        await connection.execute("delete from asyncjobs.job")
    await connection.execute(FILL.replace("$1", str(MANY)))
    await connection.execute(FILL_ARCHIVE.replace("$1", str(MANY)))
    if statistics == "true":
        await connection.execute("vacuum analyze asyncjobs.job, asyncjobs.archive")
    await connection.close()


@pytest.fixture(params=["generic", "custom"])
async def ours(filled: str, request: pytest.FixtureRequest) -> AsyncIterator[asyncpg.Connection]:
    """A session of ours, with such plans."""
    mode = {"plan_cache_mode": f"force_{request.param}_plan"}
    known = {name: value for name, value in SETTINGS.items() if not name.startswith("tcp_")}
    connection = await asyncpg.connect(filled, server_settings=known | mode)
    yield connection
    await connection.close()


async def plan_of(connection: asyncpg.Connection, hot: Hot) -> dict[str, Any]:
    """Run it, look at what it did, and take it back."""
    began = connection.transaction()
    await began.start()
    await connection.execute(f"prepare hot as {STATEMENTS[hot.name]}")
    explained = await connection.fetchval(
        f"explain (analyze, buffers, format json) execute hot({hot.call})"
    )
    await connection.execute("deallocate hot")
    await began.rollback()
    plan: dict[str, Any] = json.loads(explained)[0]["Plan"]
    return plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def scans(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give the nodes that read the tables of jobs."""
    for node in nodes(plan):
        if "Scan" in node["Node Type"]:
            relation = node.get("Relation Name", "")
            if relation == "job" or relation.startswith("archive"):
                yield node


def looked_at(node: dict[str, Any]) -> float:
    """Tell how many rows a node read, whether or not it gave them on."""
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return float((node["Actual Rows"] + removed) * node["Actual Loops"])


@pytest.mark.parametrize("hot", HOT, ids=[f"{hot.name}-{nth}" for nth, hot in enumerate(HOT)])
async def test_a_hot_statement_walks_its_index_and_no_further_than_it_must(
    ours: asyncpg.Connection, hot: Hot
) -> None:
    plan = await plan_of(ours, hot)

    read = list(scans(plan))
    assert read
    for node in read:
        if node["Actual Loops"] and looked_at(node):
            by_place = hot.by_place and node["Node Type"] == "Tid Scan"
            assert by_place or node["Node Type"] in ("Index Scan", "Index Only Scan"), node
        if "Index Name" in node and node["Relation Name"] == "job":
            assert node["Index Name"] in hot.indexes, node
        assert looked_at(node) <= MOST, node


async def test_the_claim_does_not_sort_all_that_is_ready(ours: asyncpg.Connection) -> None:
    plan = await plan_of(ours, HOT[0])

    assert all(node["Actual Rows"] <= MOST for node in nodes(plan)), plan


# Where an old transaction keeps the dead, statistics say that hardly anything lives, and every index looks small.

BACK = r'"{\"delay\": 1, \"story\": \"failed\", \"counts\": true}"'
PLACE = "'{default}', '{0}', array[(now() - interval '1000 s')::text], '{00000000-0000-0000-0000-000000000000}', '{32767}'"
AMONG_THE_DEAD = [
    Hot("claim", f"'{{default}}', '{{{FEW}}}', {FEW}, 3, '{{}}', {FEW}, 1, 2, {PLACE}", {"job_ready"}, by_place=True),
    *(hot for hot in HOT if hot.name in ("finish", "unrecorded", "progress", "rescue", "arguments", "ending", "snapshot")),
    Hot("finish", ENDS.replace("succeeded", "ready") + f", {each(7)}, {each(BACK)}", {"job_pkey"}),
    Hot("cancel", f"'{ids(4, 1)}', 7, null", {"job_pkey"}),
    Hot("delete", f"'{ids(4, 1)}'", {"job_pkey", "archive_id"}),
    Hot("promote", f"{FEW}, (now() - interval '1000 s')::text", {"job_scheduled", "job_pkey"}),
]  # fmt: skip
DIED = "update asyncjobs.job set id = gen_random_uuid(), run_at = run_at - interval '1 d', promise = promise - interval '1 d'"


@pytest.fixture(scope="module")
def full_of_the_dead(administrator: Administrator, template: str) -> Iterator[str]:
    """Thousands have died before the few that live, and somebody may still want to see them."""
    with administrator.database(template) as dsn:
        holder = administrator.runner.run(_bury(dsn))
        yield dsn
        administrator.runner.run(holder.close())


async def _bury(dsn: str) -> asyncpg.Connection:
    holder, connection = [await asyncpg.connect(dsn) for _ in range(2)]
    await holder.execute("begin isolation level repeatable read; select pg_current_xact_id()")
    await connection.execute(REST)
    await connection.fetch(STATEMENTS["tend_archive"], [7])
    await connection.execute(FILL.replace("$1", str(MANY)))
    await connection.execute(DIED)
    await connection.execute(
        "update asyncjobs.job set claimed_by = 99 where claimed_by is not null"
    )
    await connection.execute("delete from asyncjobs.job")
    await connection.execute("vacuum analyze asyncjobs.job")
    await connection.execute(FILL.replace("$1", str(FEW)))
    await connection.close()
    return holder


@pytest.mark.parametrize("mode", ["generic", "custom"])
@pytest.mark.parametrize(
    "hot", AMONG_THE_DEAD, ids=[f"{hot.name}-{nth}" for nth, hot in enumerate(AMONG_THE_DEAD)]
)
async def test_a_hot_statement_does_not_walk_over_the_dead(
    full_of_the_dead: str, hot: Hot, mode: str
) -> None:
    known = {name: value for name, value in SETTINGS.items() if not name.startswith("tcp_")}
    known["plan_cache_mode"] = f"force_{mode}_plan"
    connection = await asyncpg.connect(full_of_the_dead, server_settings=known)
    plan = await plan_of(connection, hot)
    await connection.close()

    for node in scans(plan):
        pages = node["Shared Hit Blocks"] + node["Shared Read Blocks"]
        below = sum(each["Shared Hit Blocks"] for each in node.get("Plans", []))
        assert pages - below <= PAGES, (node.get("Index Name"), pages - below, node)
