"""Settings reach Postgres, or are refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from asyncjobs import embedded
from tests.embedded.users import CARELESS, postmaster, user

if TYPE_CHECKING:
    from pathlib import Path

    from asyncjobs.embedded import Setting


async def test_settings_arrive(home: Path) -> None:
    settings: dict[str, Setting] = {
        **CARELESS,
        "max_connections": 7,
        "application_name": 'it\'s "so" $HOME',
    }

    with embedded.start(home, settings=settings) as server:
        connection = await asyncpg.connect(server.dsn)
        found = [await connection.fetchval(f"show {name}") for name in settings]
        await connection.close()

    assert found == ["off", "7", 'it\'s "so" $HOME']


async def test_a_server_may_be_reached_by_tcp_if_told_so(home: Path, free_tcp_port: int) -> None:
    settings: dict[str, Setting] = {
        **CARELESS,
        "listen_addresses": "127.0.0.1",
        "port": free_tcp_port,
    }

    with embedded.start(home, settings=settings) as server:
        for address in (server.dsn, f"postgresql://postgres@127.0.0.1:{free_tcp_port}/postgres"):
            connection = await asyncpg.connect(address)
            assert await connection.fetchval("show port") == str(free_tcp_port)
            await connection.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fsync", None),
        ("fsync", 0.5),
        ("fsync", "off\n"),
        ("Fsync", True),
        ("fsync -c x", True),
        ("data_directory", "/elsewhere"),
    ],
)
def test_a_setting_that_cannot_be_given_is_refused(home: Path, name: str, value: Any) -> None:
    with pytest.raises(embedded.InvalidSetting) as refused:
        embedded.start(home, settings={name: value})

    assert refused.value.name == name
    assert not home.exists()


def test_a_setting_that_postgres_does_not_know_fails_the_start_with_its_words(home: Path) -> None:
    with pytest.raises(embedded.StartFailed, match='unrecognized configuration parameter "colour"'):
        embedded.start(home, settings={**CARELESS, "colour": "blue"})

    with embedded.start(home, settings=CARELESS):
        pass


def test_other_settings_are_refused_while_others_use_the_server(home: Path) -> None:
    with user(home) as somebody:
        somebody.dsn()

        with pytest.raises(embedded.SettingsDiffer, match="fsync is off, wanted default"):
            embedded.start(home, settings={})


def test_without_settings_a_server_is_taken_as_it_is(home: Path) -> None:
    with user(home) as somebody:
        address = somebody.dsn()

        with embedded.start(home) as server:
            assert server.dsn == address


async def test_a_server_that_nobody_else_uses_is_restarted_with_other_settings(home: Path) -> None:
    with user(home, linger=30) as somebody:
        somebody.dsn()
    before = postmaster(home)

    with embedded.start(home, settings={**CARELESS, "max_connections": 7}) as server:
        connection = await asyncpg.connect(server.dsn)
        assert await connection.fetchval("show max_connections") == "7"
        await connection.close()

    assert postmaster(home) != before
