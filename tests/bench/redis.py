"""A Redis of the bench's own, where there is one to start."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.environments import NotHereError

STARTS_WITHIN = 10.0  # seconds


@contextmanager
def started(home: Path) -> Iterator[str]:
    """
    Start `redis-server` as it comes, on a port that is free; gives its address.

    It keeps its default persistence: a snapshot now and then. Raises NotHereError.
    """
    program = shutil.which("redis-server")
    if program is None:
        raise NotHereError("redis-server is not installed")
    home.mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(home)]
    with (home / "redis.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _wait(port, process)
        yield f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise NotHereError("redis-server does not start")


def version() -> str | None:
    """Tell which it is; None where there is none."""
    program = shutil.which("redis-server")
    if program is None:
        return None
    said = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False
    ).stdout
    return said.partition("v=")[2].partition(" ")[0] or None
