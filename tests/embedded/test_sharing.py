"""Several processes, one server."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from typing import TYPE_CHECKING

from asyncjobs import embedded
from tests.embedded.users import CARELESS, guards, is_gone, postmaster, user

if TYPE_CHECKING:
    from pathlib import Path


def test_two_users_share_one_server_and_the_last_one_ends_it(home: Path) -> None:
    with user(home) as first, user(home) as second:
        assert first.dsn() == second.dsn()
        pid = postmaster(home)

        first.end_by(signal.SIGKILL)

        with embedded.start(home, settings=CARELESS):
            assert postmaster(home) == pid
        second.end_by(signal.SIGKILL)
        assert is_gone(pid)


def test_four_first_starts_at_once_make_one_server_and_one_guard(home: Path) -> None:
    with ExitStack() as ending:
        users = [ending.enter_context(user(home)) for _ in range(4)]

        addresses = {somebody.dsn() for somebody in users}

        assert len(addresses) == 1
        assert all(addresses)
        assert len(guards(home)) == 1


def test_one_process_may_start_it_twice(home: Path) -> None:
    first = embedded.start(home, settings=CARELESS)
    second = embedded.start(home, settings=CARELESS)
    pid = postmaster(home)

    first.close()

    with embedded.start(home, settings=CARELESS):
        assert postmaster(home) == pid
    second.close()
