"""The network between a process and Postgres: silent, slow, half there, or gone in the middle of a word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from uuid import UUID

import pytest

from asyncjobs.engine.presence import CANCEL_BY
from asyncjobs.postgres.sockets import GIVE_UP_AFTER
from tests.faults.connections import (
    generation_of,
    may_be_reborn,
    network,
    until_leased,
    until_linked,
    until_linked_anew,
)
from tests.faults.field import Field
from tests.faults.long_jobs import gate, until_cancelled, until_rescued, with_long_jobs
from tests.faults.process import Process
from tests.faults.proxy import Proxy, Side, Way
from tests.faults.requests import requests
from tests.faults.trap import Moment
from tests.moments import until_true

CHAPTER = "07 The network: who is cut off cancels before others may rescue"

AT_ONCE = 1.0  # seconds: nobody rescues before a second look
BY_TWO_LOOKS = 4.0  # seconds, on a machine that does much else


async def test_a_black_hole_around_a_process(
    field: Field,
) -> None:
    await lose(field, *Way)


@pytest.mark.full
async def test_nothing_arrives_at_postgres_any_more(
    field: Field,
) -> None:
    await lose(field, Way.ASKED)


@pytest.mark.full
async def test_nothing_comes_back_from_postgres_any_more(
    field: Field,
) -> None:
    await lose(field, Way.ANSWERED)


async def test_connections_are_reset_and_new_ones_refused(
    field: Field,
) -> None:
    proxy, victim, jobs = await victim_and_other(field)
    proxy.refuse()

    await reset_and_see_rescued(field, proxy, victim, jobs)


async def test_connections_are_reset_and_new_ones_hang(
    field: Field,
) -> None:
    proxy, victim, jobs = await victim_and_other(field)
    proxy.silence()

    await reset_and_see_rescued(field, proxy, victim, jobs)


async def test_a_proxy_in_between_is_restarted(
    field: Field,
) -> None:
    # Nobody listens there for a while, as when Postgres itself is restarted; but Postgres lives.
    proxy, victim, jobs = await victim_and_other(field)
    proxy.close()

    await reset_and_see_rescued(field, proxy, victim, jobs)


async def test_a_black_hole_of_three_seconds_that_costs_nothing(field: Field) -> None:
    proxy, victim, jobs = await victim_and_other(field)

    proxy.silence()
    await field.lasts(3)
    await proxy.heal()
    gate(field).touch()

    await field.until_finished()
    assert [run.pid for run in field.runs()] == [victim.pid] * len(jobs)


@pytest.mark.full
async def test_a_black_hole_that_heals_after_the_process_has_cancelled(field: Field) -> None:
    proxy, victim, jobs = await victim_and_other(field)

    proxy.silence()
    field.harm(victim.pid)
    await until_cancelled(field, jobs, victim)
    await proxy.heal()
    gate(field).touch()

    await field.until_finished()


async def test_answers_half_a_second_to_three_seconds_late_for_one_process_under_load(
    field: Field,
) -> None:
    proxy = await network(field)
    _, far = await asyncio.gather(field.worker("near"), field.worker("far", dsn=proxy.dsn))

    async with field.load():
        proxy.delay(0.5, 3.0, field.random)
        await field.lasts(full=40, short=6)

    may_be_reborn(field, far)
    await proxy.heal()
    await field.until_finished()
    await until_linked(field, *field.processes)


@pytest.mark.full
async def test_answers_half_a_second_to_three_seconds_late_for_all_under_load(
    field: Field,
) -> None:
    proxy = await network(field)
    await asyncio.gather(*(field.worker(name, dsn=proxy.dsn) for name in ("one", "two")))

    async with field.load("steady", 1.5, every=0.2):
        proxy.delay(0.5, 3.0, field.random)
        await field.lasts(25)

    # Statements wait for each other, too: a link may be given up, and no lease comes about in time.
    for process in field.processes:
        may_be_reborn(field, process)
    await proxy.heal()
    await field.until_finished()
    await until_linked(field, *field.processes)


async def test_resets_in_the_middle_of_answers_at_random_under_load(field: Field) -> None:
    proxy = await network(field)
    await asyncio.gather(*(field.worker(name, dsn=proxy.dsn) for name in ("one", "two")))
    spoken = ("claim", "finish", "beat", "look", "notify", "poll", "relink")

    async with field.load(), field.load("fails", 2):
        for _ in range(int(field.seconds(full=100, short=10))):
            proxy.trap(field.random.choice(spoken), Moment.HALF)
            await field.lasts(field.random.uniform(0.05, 0.5))

    proxy.disarm()
    await field.until_finished()


async def test_postgres_believes_in_connections_whose_process_has_lost_them_and_is_killed(
    field: Field,
) -> None:
    proxy, victim, _ = await victim_and_other(field)

    for _ in range(3):
        before = await generation_of(field, victim)
        proxy.hang_up(Side.PROCESS)
        await until_linked_anew(field, victim, after=before)
    await field.kill(victim)
    gate(field).touch()

    await field.until_finished(within=BY_TWO_LOOKS)
    proxy.hang_up()


@pytest.mark.full
async def test_a_process_believes_in_connections_that_were_ended_while_it_could_not_hear_of_it(
    field: Field,
) -> None:
    # Sooner than any silence allows it; so this is the one where runs may overlap, and late ends are refused.
    proxy, victim, jobs = await victim_and_other(field)
    may_be_reborn(field, victim)
    field.may_overlap = (
        "its sessions were ended behind its back, long before the network gave it up"
    )

    proxy.silence()
    proxy.hang_up(Side.POSTGRES)
    field.harm(victim.pid)
    await until_rescued(field, jobs, victim, number=1)
    await until_cancelled(field, jobs, victim)

    await proxy.heal()
    gate(field).touch()
    await until_linked(field, victim)


@pytest.mark.full
async def test_the_link_alone_is_silent_and_a_lease_speaks_for_what_runs(field: Field) -> None:
    proxy, victim, jobs = await victim_and_other(field)

    proxy.silence(only="link")
    await until_leased(field, victim)
    proxy.hang_up(Side.POSTGRES, only="link")
    await field.lasts(30)
    await proxy.heal()
    await until_linked(field, victim)
    gate(field).touch()

    await field.until_finished()
    assert [run.pid for run in field.runs()] == [victim.pid] * len(jobs)


@pytest.mark.full
async def test_the_pool_alone_is_silent_and_the_ends_are_recorded_all_the_same(
    field: Field,
) -> None:
    proxy, victim, jobs = await victim_and_other(field)

    proxy.silence(only="pool")
    gate(field).touch()

    await field.until_finished()
    assert [run.pid for run in field.runs()] == [victim.pid] * len(jobs)
    await proxy.heal()


@pytest.mark.full
async def test_nothing_comes_back_from_postgres_while_the_web_app_stores_and_runs(
    field: Field,
) -> None:
    proxy = await network(field)
    web = await field.web(dsn=proxy.dsn)
    may_be_reborn(field, web)
    await field.worker("other")

    async with requests(field, web, "steady"), requests(field, web, "threaded"):
        await field.lasts(1)
        proxy.silence(Way.ANSWERED)
        await field.lasts(25)
        await proxy.heal()
        await field.lasts(2)

    await field.until_finished()


async def lose(field: Field, *ways: Way) -> None:
    """Let nothing pass in these directions, until the server's kernel would give up, and see the order kept."""
    proxy, victim, jobs = await victim_and_other(field)
    may_be_reborn(field, victim)

    proxy.silence(*ways)
    field.harm(victim.pid)
    heard_at = proxy.asked_at("link")
    assert await until_cancelled(field, jobs, victim) - heard_at < CANCEL_BY
    gate(field).touch()

    # The proxy plays the kernel; the real one gives up in test_wire.py.
    await until_true(lambda: time.monotonic() > heard_at + GIVE_UP_AFTER)
    proxy.hang_up(Side.POSTGRES)
    assert await until_rescued(field, jobs, victim) - heard_at < GIVE_UP_AFTER + BY_TWO_LOOKS

    await proxy.heal()
    await until_linked(field, victim)


async def reset_and_see_rescued(
    field: Field, proxy: Proxy, victim: Process, jobs: Sequence[UUID]
) -> None:
    """Reset what is there; what is dialled anew meets what the network was told."""
    may_be_reborn(field, victim)
    proxy.hang_up()
    field.harm(victim.pid)
    await until_cancelled(field, jobs, victim, within=AT_ONCE)
    gate(field).touch()
    await until_rescued(field, jobs, victim)

    await proxy.heal()
    await until_linked(field, victim)


async def victim_and_other(field: Field) -> tuple[Proxy, Process, list[UUID]]:
    """Put a network before a process that runs long jobs, while another looks each second whether it lives."""
    proxy = await network(field)
    victim = await field.worker("victim", dsn=proxy.dsn)
    return proxy, victim, await with_long_jobs(field)
