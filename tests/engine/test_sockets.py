"""A dead peer is noticed in seconds by both sides, not in the fifteen minutes of the kernel."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from asyncjobs import Jobs, embedded
from asyncjobs.engine.wake import PAUSE
from asyncjobs.postgres.sockets import GIVE_UP_AFTER, make_room
from tests.engine.harm import inside
from tests.moments import until, until_true
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


async def test_the_server_drops_what_is_silent_within_the_budget_even_with_a_notify_under_way(
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
    ask = "select name, setting::integer as setting from pg_settings where name = any ($1)"
    async with jobs.running():
        sides = [await inside(jobs).link.fetch(ask, names), await jobs.database.fetch(ask, names)]

    # The pool's too: a network that comes and goes would else leave more of them behind each time.
    for rows in sides:
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


async def test_a_blocked_process_keeps_its_lock_though_others_go_on_talking(by_tcp: str) -> None:
    # Three processes that say all they may to one whose loop is blocked for a minute: without the room that
    # we make for them, the limit that ends a dead connection would end this one as well.
    words = 3 * round(1 / PAUSE) * 60
    blocked, others = [await asyncpg.connect(by_tcp) for _ in range(2)]
    make_room(blocked)
    # Two seconds instead of twenty: whether there is room does not depend on it.
    await blocked.execute(
        "set tcp_user_timeout = 2000; select pg_advisory_lock(1); listen asyncjobs"
    )
    inner: Any = blocked
    inner._transport.pause_reading()

    async def is_held() -> bool:
        return bool(
            await others.fetchval(
                "select exists (select from pg_locks where locktype = 'advisory')"
            )
        )

    async def is_gone() -> bool:
        return not await is_held()

    for _ in range(words):
        await others.execute("""notify asyncjobs, '{"from": 12, "ready": ["default"]}'""")
    since = time.monotonic()
    await until_true(lambda: time.monotonic() > since + 4)
    assert await is_held()

    # And there is a limit: this test would notice if there were no room at all.
    await others.fetchval(
        "select count(pg_notify('asyncjobs', n::text || repeat('.', 60))) from generate_series(1, 400000) as n"
    )
    await until(is_gone)
    blocked.terminate()
    await others.close()


async def test_the_link_has_room_for_what_others_say(by_tcp: str) -> None:
    jobs = Jobs(by_tcp, migrate=True)
    async with jobs.running(), jobs.database.connection() as lent:
        sockets = (
            each._transport.get_extra_info("socket")
            for each in (inside(jobs).link._connection, lent._con)  # type: ignore[attr-defined]
        )
        link, pool = (own.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for own in sockets)

    assert link > pool
