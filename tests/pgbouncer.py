"""
A PgBouncer between a test and its database: `bouncer("transaction")`, or `"session"`, or `"statement"`.

It listens on a socket in the test's own directory and nowhere else, runs as an ordinary account where the
tests run as root, and ends when its test does, or when the process of the tests is gone by whatever way.
Debian's is 1.18, which knows no prepared statements in transaction mode: the hard case.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from asyncjobs.embedded.account import find_account

PATIENCE = 10.0  # seconds
PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# It lives for as long as somebody holds the other end of its stdin.
KEEP = '"$0" -q "$1" & own=$!; read gone; kill $own; wait $own'

INI = """
[databases]
* = host={host} port={port} user={user}

[pgbouncer]
unix_socket_dir = {directory}
listen_addr =
listen_port = 6432
auth_type = any
logfile = {directory}/pgbouncer.log
pool_mode = {mode}
default_pool_size = {sessions}
max_client_conn = {clients}
query_wait_timeout = 30
server_login_retry = 1
"""

Start = Callable[..., "Bouncer"]


class Bouncer:
    """One PgBouncer; `dsn` leads through it."""

    def __init__(
        self, directory: Path, database: str, mode: str, sessions: int, clients: int, more: str
    ) -> None:
        parts = urlsplit(database)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        name = quote(parts.path.lstrip("/"))
        self.dsn = f"postgresql:///{name}?host={quote(str(directory))}&port=6432&user=anybody"
        self._directory = directory
        self._socket = directory / ".s.PGSQL.6432"
        self._ini = directory / "pgbouncer.ini"
        self._ini.write_text(
            INI.format(
                host=query.get("host") or parts.hostname,
                port=query.get("port") or parts.port or 5432,
                user=query.get("user") or parts.username or "postgres",
                directory=directory, mode=mode, sessions=sessions, clients=clients,
            ) + more
        )  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert PROGRAM is not None
        account = find_account(self._directory, self._directory / "nothing")
        account.give(self._directory)
        self._process = subprocess.Popen(
            [*account.prefix, "/bin/sh", "-c", KEEP, PROGRAM, str(self._ini)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        began = time.monotonic()
        while not self._answers():
            gone = self._process.poll() is not None or time.monotonic() - began > PATIENCE
            assert not gone, (self._directory / "pgbouncer.log").read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        """End it at once, and all connections through it."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._socket.unlink(missing_ok=True)

    def turn(self, mode: str) -> None:
        """Restart it in another mode."""
        self.stop()
        said = self._ini.read_text()
        self._ini.write_text(re.sub(r"pool_mode = \w+", f"pool_mode = {mode}", said))
        self.start()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as caller:
            try:
                caller.connect(str(self._socket))
            except OSError:
                return False
            return True


@pytest.fixture
def bouncer(tmp_path: Path, database: str) -> Iterator[Start]:
    """
    Start a PgBouncer before the test's database: `bouncer(mode, sessions=5, clients=100, more="")`.

    `sessions`: how many of the server's it shares out. `more`: further lines of its configuration.
    """
    if PROGRAM is None:
        pytest.skip("pgbouncer is not on this machine")
    started: list[Bouncer] = []
    numbers = count(1)

    def start(
        mode: str = "transaction",
        *,
        sessions: int = 5,
        clients: int = 100,
        more: str = "",
        before: str | None = None,
    ) -> Bouncer:
        directory = tmp_path / f"b{next(numbers)}"
        directory.mkdir(mode=0o700)
        own = Bouncer(directory, before or database, mode, sessions, clients, more)
        started.append(own)
        own.start()
        return own

    yield start
    for each in started:
        each.stop()
