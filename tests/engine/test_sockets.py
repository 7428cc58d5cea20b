"""A dead peer is noticed in seconds by both sides, not in the fifteen minutes of the kernel."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncjobs import Jobs, embedded
from asyncjobs.postgres.sockets import GIVE_UP_AFTER
from tests.engine.harm import inside
from tests.postgres import SETTINGS, postgres_version


@pytest.fixture
def by_tcp(tmp_path: Path) -> Iterator[str]:
    """A server of the test's own that listens on the loopback interface."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {**SETTINGS, "listen_addresses": "127.0.0.1", "port": port}
    with embedded.start(tmp_path / "pg", settings=settings, version=postgres_version()):
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres?sslmode=disable"


async def test_the_server_drops_a_silent_link_within_the_budget_even_with_a_notify_under_way(
    by_tcp: str,
) -> None:
    # Keepalive alone does not run while the server waits for an acknowledgement: that is the other limit.
    jobs = Jobs(by_tcp, migrate=True)
    names = [
        "tcp_keepalives_idle",
        "tcp_keepalives_interval",
        "tcp_keepalives_count",
        "tcp_user_timeout",
    ]
    async with jobs.running():
        rows = await inside(jobs).link.fetch(
            "select name, setting::integer as setting from pg_settings where name = any ($1)", names
        )
    set_to = {row["name"]: row["setting"] for row in rows}

    assert set_to["tcp_user_timeout"] == GIVE_UP_AFTER * 1000
    probes = set_to["tcp_keepalives_interval"] * set_to["tcp_keepalives_count"]
    assert 0 < set_to["tcp_keepalives_idle"] + probes <= GIVE_UP_AFTER


async def test_our_side_of_the_link_and_of_the_pool_gives_up_in_time_too(by_tcp: str) -> None:
    jobs = Jobs(by_tcp, migrate=True)
    async with jobs.running(), jobs.database.connection() as lent:
        for connection in (inside(jobs).link._connection, lent._con):  # type: ignore[attr-defined]
            own = connection._transport.get_extra_info("socket")
            assert own.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            timeout = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            assert timeout == GIVE_UP_AFTER * 1000
