"""A link stands on a server that takes writes, and on the one that the pool has; after a failover both are there."""

from __future__ import annotations

import asyncio
import logging

import asyncpg
import pytest

from asyncjobs import Jobs
from asyncjobs.errors import Unavailable
from asyncjobs.postgres.dial import Host, dial, hosts_of
from asyncjobs.postgres.failures import Unreachable
from tests.engine.harm import inside
from tests.faults.proxy import proxied
from tests.moments import until, until_true
from tests.pgbouncer import Start
from tests.standby import Pair

NOWHERE = "/nowhere/at/all"


@pytest.mark.parametrize(
    ("address", "hosts"),
    [
        ("postgresql://u:p@one,two/db", [Host("one", None), Host("two", None)]),
        ("postgresql://u:p%2C@one:1,two:2/db", [Host("one", 1), Host("two", 2)]),
        ("postgresql://[::1]:1,two:2/db", [Host("::1", 1), Host("two", 2)]),
        ("postgresql:///db?host=/a,/b", [Host("/a", None), Host("/b", None)]),
        ("postgresql:///db?host=a,b&port=1,2", [Host("a", 1), Host("b", 2)]),
        ("postgresql:///db?host=a,b&port=1", [Host("a", 1), Host("b", 1)]),
        ("postgresql://one/db", [Host("one", None)]),
        ("postgresql://one:1,two:2/db?target_session_attrs=any", []),
        ("postgresql://one:x,two:2/db", []),
        ("postgresql://[broken/db", []),
    ],
)
def test_the_hosts_of_an_address(address: str, hosts: list[Host]) -> None:
    assert hosts_of(address) == hosts


def test_the_hosts_may_be_named_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "one,two")
    assert hosts_of("postgresql:///db") == [Host("one", None), Host("two", None)]

    monkeypatch.setenv("PGTARGETSESSIONATTRS", "any")
    assert hosts_of("postgresql:///db") == []


async def test_when_no_host_can_be_reached_each_is_told(database: str) -> None:
    connect = dial(f"postgresql:///db?host={NOWHERE},{NOWHERE}&port=1,2", None)

    with pytest.raises(Unreachable) as caught:
        await connect()

    assert f"{NOWHERE}:1: FileNotFoundError" in str(caught.value)
    assert f"{NOWHERE}:2: FileNotFoundError" in str(caught.value)
    assert caught.value.is_stopping


async def test_a_standby_is_not_used(pair: Pair) -> None:
    with pytest.raises(Unreachable, match="standby"):
        async with Jobs(pair.standby.dsn).connected():
            pass
    with pytest.raises(Unreachable, match="standby"):
        async with Jobs(pair.primary.dsn, link_dsn=pair.standby.dsn, migrate=True).connected():
            pass


async def test_of_several_hosts_the_one_that_takes_writes_is_found(pair: Pair) -> None:
    jobs = Jobs(pair.dsn)

    @jobs.task
    async def double(number: int) -> int:
        return number * 2

    async with jobs.running():
        assert await (await double.enqueue(21)).result(timeout=20) == 42


async def test_who_says_which_host_it_shall_be_is_believed(pair: Pair) -> None:
    with pytest.raises(Unreachable, match="standby"):
        async with Jobs(f"{pair.dsn}&target_session_attrs=any").connected():
            pass


async def test_a_standby_that_answers_beside_a_primary_that_is_down_means_not_yet(
    pair: Pair,
) -> None:
    both = dial(pair.dsn, None)
    await pair.kill_primary()

    async def primary_is_down() -> bool:
        try:
            connection = await both()
        except Unreachable as error:
            return error.is_stopping and "standby" in str(error)
        connection.terminate()
        return False

    await until(primary_is_down)


async def test_after_a_failover_link_and_pool_are_on_the_new_primary(pair: Pair) -> None:
    jobs = Jobs(pair.dsn)

    @jobs.task
    async def double(number: int) -> int:
        return number * 2

    async with jobs.running():
        assert await (await double.enqueue(21)).result(timeout=20) == 42
        link, generation = inside(jobs).link, inside(jobs).link.generation
        await pair.until_caught_up()
        await pair.kill_primary()
        storing = asyncio.ensure_future(double.enqueue(4))
        await pair.promote()

        assert await (await storing).result(timeout=20) == 8
        await until_true(lambda: link.is_up and link.generation > generation)
        [row] = await link.fetch("select pg_postmaster_start_time() as began")
        assert row["began"] == await jobs.database.fetchval("select pg_postmaster_start_time()")


async def test_after_half_a_failover_the_link_waits_for_the_pool(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    # The standby is promoted while the old primary lives: two histories, and each of ours has its own way.
    async with proxied(pair.primary.dsn) as to_link, proxied(pair.primary.dsn) as to_pool:
        jobs = Jobs(to_pool.dsn, link_dsn=to_link.dsn)

        @jobs.task
        async def double(number: int) -> int:
            return number * 2

        async with jobs.running():
            assert await (await double.enqueue(1)).result(timeout=20) == 2
            await pair.until_caught_up()
            await pair.promote()
            link = inside(jobs).link
            to_link.lead_to(pair.standby.dsn)
            to_link.hang_up()

            with caplog.at_level(logging.WARNING, "asyncjobs.link"):
                await until_true(lambda: "two servers" in caplog.text)
            assert not link.is_up

            to_pool.lead_to(pair.standby.dsn)
            await until_true(lambda: link.is_up)
            assert await (await double.enqueue(2)).result(timeout=20) == 4
            began = "select date_part('epoch', pg_postmaster_start_time())"
            assert await jobs.database.fetchval(began) == await _began(pair.standby.dsn)


async def test_a_pool_that_finds_another_server_makes_the_link_dial_again(pair: Pair) -> None:
    async with proxied(pair.primary.dsn) as to_link, proxied(pair.primary.dsn) as to_pool:
        jobs = Jobs(to_pool.dsn, link_dsn=to_link.dsn)

        @jobs.task
        async def double(number: int) -> int:
            return number * 2

        async with jobs.running():
            assert await (await double.enqueue(1)).result(timeout=20) == 2
            await pair.until_caught_up()
            await pair.promote()
            to_link.lead_to(pair.standby.dsn)
            to_pool.lead_to(pair.standby.dsn)
            to_pool.hang_up()

            # The first connection that the pool makes tells that the link was left behind.
            assert await (await double.enqueue(2)).result(timeout=20) == 4
            assert await _count(pair.standby.dsn) == 2
            assert await _count(pair.primary.dsn) == 1


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that starts waits two seconds for its link."""
    monkeypatch.setattr("asyncjobs.engine.connection.LINK_WITHIN", 2.0)


@pytest.mark.usefixtures("hasty")
async def test_a_link_to_another_database_is_refused(database: str, empty_database: str) -> None:
    with pytest.raises(Unavailable, match="two databases"):
        async with Jobs(database, link_dsn=empty_database).running():
            pass


@pytest.mark.usefixtures("hasty")
async def test_behind_a_shared_pooler_the_pool_is_asked_where_it_leads(
    pair: Pair, bouncer: Start
) -> None:
    await pair.until_caught_up()
    await pair.promote()
    own = bouncer("transaction", before=pair.standby.dsn)
    with pytest.raises(Unavailable, match="two servers"):
        async with Jobs(own.dsn, link_dsn=pair.primary.dsn).running():
            pass


async def _began(dsn: str) -> float:
    connection = await asyncpg.connect(dsn)
    began: float = await connection.fetchval(
        "select date_part('epoch', pg_postmaster_start_time())"
    )
    await connection.close()
    return began


async def _count(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    number: int = await connection.fetchval("select count(*) from asyncjobs.finished")
    await connection.close()
    return number
