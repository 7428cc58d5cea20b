"""The wire to a process goes dark, and the kernels at both its ends find out in their own time."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from asyncjobs.engine.presence import CANCEL_BY
from asyncjobs.postgres.sockets import GIVE_UP_AFTER
from tests.faults.connections import LINKS_OF, may_be_reborn, until_linked
from tests.faults.field import Field
from tests.faults.island import Island, NoIsland, an_island
from tests.faults.long_jobs import gate, until_cancelled, until_rescued, with_long_jobs
from tests.faults.plugin import Fields
from tests.faults.process import Process, python
from tests.faults.server import Server, a_server
from tests.moments import until

CHAPTER = "07 The network: who is cut off cancels before others may rescue"

BY_TWO_LOOKS = 4.0  # seconds, on a machine that does much else
SLACK = 1.0  # seconds

pytestmark = pytest.mark.full


@pytest.fixture
async def island() -> AsyncIterator[Island]:
    try:
        async with an_island() as island:
            yield island
    except NoIsland as reason:
        pytest.skip(str(reason))


@pytest.fixture
async def server(island: Island, tmp_path: Path) -> AsyncIterator[Server]:
    """A server that listens at this end of the wire too."""
    async with a_server(
        tmp_path / "postgres", listen_addresses=f"127.0.0.1,{island.here}"
    ) as server:
        with (server.data / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {island.there}/32 trust\n")
        await server.reload()
        yield server


async def test_the_wire_goes_dark(fields: Fields, server: Server, island: Island) -> None:
    async with fields(server.dsn) as field:
        victim = await on_the_island(field, island, server)
        jobs = await with_long_jobs(field)
        may_be_reborn(field, victim)

        await island.go_dark()
        dark_at = time.monotonic()
        field.harm(victim.pid)
        cancelled_at = await until_cancelled(field, jobs, victim)
        unlocked_at = await until_unlocked(server, victim)
        assert cancelled_at < dark_at + CANCEL_BY < unlocked_at < dark_at + GIVE_UP_AFTER + SLACK

        gate(field).touch()
        assert await until_rescued(field, jobs, victim) < unlocked_at + BY_TWO_LOOKS
        await island.come_back()
        await until_linked(field, victim)


async def test_a_machine_vanishes_without_a_word(
    fields: Fields, server: Server, island: Island
) -> None:
    async with fields(server.dsn) as field:
        victim = await on_the_island(field, island, server)
        jobs = await with_long_jobs(field)

        await island.go_dark()
        await field.kill(victim)
        dark_at = time.monotonic()
        gate(field).touch()

        rescued_at = await until_rescued(field, jobs, victim)
        assert rescued_at < dark_at + GIVE_UP_AFTER + BY_TWO_LOOKS


async def on_the_island(field: Field, island: Island, server: Server) -> Process:
    """Start a worker there, as if on a machine of its own, and wait until it is up."""
    victim = await field.start(
        "victim",
        [*island.enter, *python("-m", "asyncjobs", "work", "tests.faults.crew:jobs")],
        dsn=server.dsn.replace("127.0.0.1", island.here) + "?sslmode=disable",
        environment={"FAULTS_MACHINE": "the island"},
    )
    await field.until_up(victim)
    return victim


async def until_unlocked(server: Server, process: Process) -> float:
    """Wait until Postgres has given up the link of this process; gives when (`time.monotonic()`)."""
    eyes = await asyncpg.connect(server.dsn)

    async def is_gone() -> bool:
        return not await eyes.fetch(LINKS_OF, process.pid)

    try:
        await until(is_gone, within=GIVE_UP_AFTER + BY_TWO_LOOKS)
    finally:
        await eyes.close()
    return time.monotonic()
