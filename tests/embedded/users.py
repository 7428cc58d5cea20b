"""Processes that use an embedded server, to be ended in every way there is."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncjobs.embedded.guard import command_line, find_postmaster, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from asyncjobs.embedded import Setting

LIMIT = 30.0  # seconds for a moment to come that should come at once
CARELESS: dict[str, Setting] = {"fsync": False}

PROGRAM = """
import json, sys
from datetime import timedelta
from pathlib import Path
from asyncjobs import embedded

options = json.loads(sys.argv[2])
options["linger"] = timedelta(seconds=options.get("linger", 0))
server = embedded.start(Path(sys.argv[1]), **options)
print(server.dsn, flush=True)
sys.stdin.read()
"""


class User:
    """Another process that starts the server of a home, and then waits to be ended."""

    def __init__(
        self,
        home: Path,
        *,
        prefix: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        options = {"settings": CARELESS, **options}
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-c", PROGRAM, str(home), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
        )

    def dsn(self) -> str:
        """Wait until it has the server."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def leave(self) -> int:
        self.process.communicate(timeout=LIMIT)
        return self.process.returncode

    def end_by(self, sent: signal.Signals) -> None:
        self.process.send_signal(sent)
        self.process.communicate(timeout=LIMIT)


@contextmanager
def user(home: Path, **options: Any) -> Iterator[User]:
    somebody = User(home, **options)
    try:
        yield somebody
    finally:
        somebody.end_by(signal.SIGKILL)


def postmaster(home: Path, version: int = 18) -> int:
    found = find_postmaster(home / str(version) / "data")
    assert found
    return found.pid


def guards(home: Path) -> list[int]:
    """Return the guards at work for the clusters of a home."""
    return programs(home, b"/guard.py")


def programs(home: Path, name: bytes) -> list[int]:
    return [
        int(process.name)
        for process in Path("/proc").iterdir()
        if process.name.isdigit()
        and (called := command_line(int(process.name)))
        and any(argument.endswith(name) for argument in called)
        and any(argument.startswith(bytes(home)) for argument in called)
    ]


def is_gone(pid: int) -> bool:
    """Wait for a process to end; one that nobody has buried yet has ended too."""
    return wait_for(lambda: not command_line(pid), LIMIT)


def is_deserted(home: Path) -> bool:
    """Wait for the servers and the guards of a home to be gone."""
    return wait_for(lambda: not guards(home) and not any(servers(home)), LIMIT)


def servers(home: Path) -> Iterator[int]:
    for data in home.glob("*/data"):
        if found := find_postmaster(data):
            yield found.pid
