"""The server lives as long as somebody uses it, whatever happens to whom."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest

from asyncjobs import embedded
from asyncjobs.embedded.guard import wait_for
from tests.embedded.users import (
    CARELESS,
    LIMIT,
    guards,
    is_deserted,
    is_gone,
    postmaster,
    programs,
    user,
)

if TYPE_CHECKING:
    from pathlib import Path


async def execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute(statement)
    await connection.close()


def test_the_server_stops_when_its_only_user_closes_it(home: Path) -> None:
    server = embedded.start(home, settings=CARELESS)
    pid = postmaster(home)

    server.close()
    server.close()

    assert is_gone(pid)


def test_the_server_stops_when_its_user_exits_without_closing(home: Path) -> None:
    with user(home) as somebody:
        somebody.dsn()
        pid = postmaster(home)

        assert somebody.leave() == 0

        assert is_gone(pid)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_the_server_stops_when_its_user_is_killed(home: Path, sent: signal.Signals) -> None:
    with user(home) as somebody:
        somebody.dsn()
        pid = postmaster(home)

        somebody.end_by(sent)

        assert is_gone(pid)
        assert is_deserted(home)


def test_a_server_whose_starter_is_killed_half_way_does_not_stay(home: Path) -> None:
    embedded.start(home, settings=CARELESS).close()
    assert is_deserted(home)

    with user(home) as somebody:
        assert wait_for((home / "18" / "starting").exists, LIMIT)
        somebody.end_by(signal.SIGKILL)

        assert is_deserted(home)


def test_a_cluster_half_made_is_made_again(home: Path) -> None:
    with user(home) as somebody:
        assert wait_for(lambda: any(home.glob("18/new-*/PG_VERSION")), LIMIT)
        somebody.end_by(signal.SIGKILL)

    embedded.start(home, settings=CARELESS).close()

    assert is_deserted(home)
    assert wait_for(lambda: not programs(home, b"/initdb"), LIMIT)
    with embedded.start(home, settings=CARELESS):
        assert not list(home.glob("18/new-*"))


async def test_data_stays_from_one_run_to_the_next(home: Path) -> None:
    with embedded.start(home) as server:
        await execute(server.dsn, "create table kept ()")
    assert is_deserted(home)

    with embedded.start(home) as server:
        await execute(server.dsn, "drop table kept")


async def test_a_killed_postmaster_is_replaced_at_the_next_start(home: Path) -> None:
    with embedded.start(home) as server:
        await execute(server.dsn, "create table kept ()")
        killed = postmaster(home)
        os.kill(killed, signal.SIGKILL)

        with embedded.start(home) as again:
            assert postmaster(home) != killed
            assert again.dsn == server.dsn
            await execute(server.dsn, "drop table kept")


def test_a_postmaster_whose_pid_belongs_to_another_program_is_replaced(home: Path) -> None:
    embedded.start(home, settings=CARELESS).close()
    assert is_deserted(home)
    data = home / "18" / "data"
    stranger = os.getppid()
    (data / "postmaster.pid").write_text(f"{stranger}\n{data}\n1\n5432\n{home}\n\n1 1\nready\n")

    with embedded.start(home, settings=CARELESS):
        assert postmaster(home) != stranger


def test_a_killed_guard_is_replaced_at_the_next_start(home: Path) -> None:
    with user(home) as somebody:
        somebody.dsn()
        pid = postmaster(home)
        (guard,) = guards(home)
        os.kill(guard, signal.SIGKILL)
        assert is_gone(guard)

        with embedded.start(home, settings=CARELESS):
            (another,) = guards(home)
            assert another != guard
            assert postmaster(home) == pid


def test_a_server_that_outlived_its_guard_and_users_stops_after_the_next_ones(home: Path) -> None:
    with user(home) as somebody:
        somebody.dsn()
        pid = postmaster(home)
        (guard,) = guards(home)
        os.kill(guard, signal.SIGKILL)
        assert is_gone(guard)

    with embedded.start(home, settings=CARELESS):
        assert postmaster(home) == pid

    assert is_gone(pid)


def test_a_lingering_server_is_there_for_the_next_user(home: Path) -> None:
    linger = timedelta(seconds=3)
    embedded.start(home, settings=CARELESS, linger=linger).close()
    pid = postmaster(home)

    with embedded.start(home, settings=CARELESS, linger=linger):
        assert postmaster(home) == pid

    assert is_gone(pid)
