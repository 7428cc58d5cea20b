"""Connections are cut: by the server's side at any moment, and by the network in exactly the worst one."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.faults.connections import (
    ALL,
    LINKS,
    POOLS,
    cut,
    generation_of,
    network,
    until_linked,
    until_linked_anew,
    watching,
)
from tests.faults.field import Field
from tests.faults.proxy import Proxy
from tests.faults.requests import requests, store
from tests.faults.trap import Moment, Trap
from tests.moments import until_true

CHAPTER = "05 Connections are cut"

SOON = 8.0  # seconds: less than the safety poll, which in the end finds whatever nobody told of


async def test_the_link_alone_again_and_again_in_mid_job(field: Field) -> None:
    victim = await field.worker("victim")
    gate = field.directory / "gate"
    jobs = await field.enqueue("held_by", str(gate), n=5)
    await field.until_began(jobs)
    await watching(field, "other")

    for _ in range(int(field.seconds(full=30, short=4))):
        before = await generation_of(field, victim)
        await cut(field, LINKS)
        await until_linked_anew(field, victim, after=before)
    gate.touch()

    await field.until_finished()
    assert [run.pid for run in field.runs()] == [victim.pid] * len(jobs)


async def test_links_alone_at_random_moments_under_load(field: Field) -> None:
    await cut_under_load(field, LINKS)


async def test_pool_connections_alone_at_random_moments_under_load(field: Field) -> None:
    await cut_under_load(field, POOLS)


async def test_all_at_random_moments_under_load(field: Field) -> None:
    await cut_under_load(field, ALL)


async def test_all_at_random_moments_while_the_web_app_stores_and_runs(field: Field) -> None:
    web = await field.web()
    await field.worker("other")

    async with requests(field, web, "steady"), requests(field, web, "threaded"):
        await cut_at_random(field, ALL)

    await field.until_finished()


async def test_in_the_midst_of_a_claim(field: Field) -> None:
    proxy = await crew_behind_a_proxy(field)

    for moment in Moment:
        trap = proxy.trap("claim", moment)
        jobs = await field.enqueue("steady", n=5)
        await until_sprung(trap)
        await field.until_finished(jobs, within=SOON)


async def test_in_the_midst_of_a_finish(field: Field) -> None:
    proxy = await crew_behind_a_proxy(field)

    for moment in Moment:
        trap = proxy.trap("finish", moment)
        jobs = await field.enqueue("steady", n=5)
        await field.until_finished(jobs, within=SOON)
        assert trap.sprung
        assert all(len(field.runs_of(job)) == 1 for job in jobs)


async def test_in_the_midst_of_the_finish_of_a_run_that_comes_again(field: Field) -> None:
    proxy = await crew_behind_a_proxy(field)

    for moment in Moment:
        gate = field.directory / moment.name
        trap = proxy.trap("finish", moment)
        jobs = await field.enqueue("fails", 2) + await field.enqueue("snoozes", str(gate))
        await until_sprung(trap)
        gate.touch()
        await field.until_finished(jobs, within=SOON)


async def test_in_the_midst_of_an_enqueue(field: Field) -> None:
    proxy = await network(field)
    web = await field.web(dsn=proxy.dsn, queues=["none"])
    await field.worker("other")

    for statement in ("enqueue", "notify"):
        for moment in moments(field):
            trap = proxy.trap(statement, moment)
            job = await store(field, web, "steady")
            await field.until_finished([job], within=SOON)
            assert trap.sprung


async def test_in_the_midst_of_the_resend_of_an_enqueue(field: Field) -> None:
    proxy = await network(field)
    web = await field.web(dsn=proxy.dsn, queues=["none"])
    await field.worker("other")

    for statement in ("enqueue_again", "forget_recorded", "commit"):
        for moment in moments(field):
            traps = [proxy.trap("enqueue", Moment.AFTER), proxy.trap(statement, moment)]
            job = await store(field, web, "steady")
            await field.until_finished([job], within=SOON)
            assert all(trap.sprung for trap in traps)


async def test_in_the_midst_of_a_direct_start(field: Field) -> None:
    proxy = await network(field)
    web = await field.web(dsn=proxy.dsn)

    for moment in Moment:
        trap = proxy.trap("enqueue_and_start", moment)
        async with asyncio.timeout(SOON):
            while not trap.sprung:  # a process that has just come up does not start directly yet
                await store(field, web, "steady")
        await field.until_finished(within=SOON)


async def test_in_the_midst_of_a_promotion(field: Field) -> None:
    proxy = await crew_behind_a_proxy(field)

    for moment in Moment:
        trap = proxy.trap("promote", moment)
        jobs = await field.enqueue("steady", delay=timedelta(milliseconds=300), n=5)
        await field.until_finished(jobs, within=SOON)
        assert trap.sprung


async def test_in_the_midst_of_a_beat(field: Field) -> None:
    proxy = await crew_behind_a_proxy(field)
    gate = field.directory / "gate"
    jobs = await field.enqueue("held_by", str(gate), n=5)
    await field.until_began(jobs)

    for moment in Moment:
        trap = proxy.trap("beat", moment, times=2)
        await cut(field, LINKS)
        await until_sprung(trap)
    await until_linked(field, *field.processes)
    gate.touch()

    await field.until_finished()
    assert len(field.runs()) == len(jobs)


async def test_in_the_midst_of_making_a_link(field: Field) -> None:
    proxy = await crew_behind_a_proxy(field)
    gate = field.directory / "gate"
    jobs = await field.enqueue("held_by", str(gate), n=5)
    await field.until_began(jobs)

    for statement in ("settings", "begin_life", "relink"):
        for moment in moments(field):
            trap = proxy.trap(statement, moment, times=2)
            await cut(field, LINKS)
            await until_sprung(trap)
            await until_linked(field, *field.processes)
    gate.touch()

    await field.until_finished()
    assert len(field.runs()) == len(jobs)


async def test_in_the_midst_of_a_look_at_the_dead_and_of_their_rescue(field: Field) -> None:
    proxy = await network(field)
    crew = [
        (moment, await field.worker(moment.name, dsn=proxy.dsn, queues=[moment.name]))
        for moment in Moment
    ]
    jobs = {
        moment: await field.enqueue(
            "held_by", str(field.directory / moment.name), queue=moment.name
        )
        for moment in Moment
    }
    await field.until_began([job for each in jobs.values() for job in each])
    await watching(field, "rescuer", dsn=proxy.dsn)

    for moment, victim in crew:
        traps = [proxy.trap("look", moment), proxy.trap("rescue", moment)]
        await field.kill(victim)
        (field.directory / moment.name).touch()
        await field.until_finished(jobs[moment], within=SOON)
        assert all(trap.sprung for trap in traps)


def moments(field: Field) -> list[Moment]:
    """Give all of them in the full form, and in the short one the worst."""
    return list(Moment) if field.full else [Moment.AFTER]


async def until_sprung(trap: Trap) -> None:
    """Wait until it has sprung as often as it should."""
    await until_true(lambda: not trap.left)


async def crew_behind_a_proxy(field: Field) -> Proxy:
    """Start two workers whose connections pass through one network."""
    proxy = await network(field)
    await asyncio.gather(field.worker("one", dsn=proxy.dsn), field.worker("two", dsn=proxy.dsn))
    return proxy


async def cut_under_load(field: Field, connections: str) -> None:
    """Cut connections of this kind, while two workers have all sorts of jobs to do."""
    await asyncio.gather(field.worker("one"), field.worker("two"))
    async with field.load("steady"), field.load("threaded"), field.load("fails", 2):
        await cut_at_random(field, connections)
    await field.until_finished()


async def cut_at_random(field: Field, connections: str) -> None:
    """Cut every connection of this kind again and again, at moments that nobody could foresee."""
    for _ in range(int(field.seconds(full=100, short=8))):
        await field.lasts(field.random.uniform(0.02, 0.6))
        await cut(field, connections)
