"""The kernel's locks on files: they end with the process that holds them, however it ends."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from asyncjobs.embedded import guard
from asyncjobs.embedded.errors import StartFailed
from asyncjobs.embedded.guard import nobody_holds, wait_for

if TYPE_CHECKING:
    from collections.abc import Generator

ALONE_LIMIT = 0.5  # seconds; a guard may hold the lease for a moment while nobody uses it
SPAWN_LIMIT = 30  # seconds for the guard to detach; it takes a few hundredths


@contextmanager
def locked(path: Path, limit: float) -> Generator[None]:
    """
    Be the only one who starts or stops this server.

    Raises `TimeoutError`. Waits by looking again: a wait inside the kernel would have no end.
    """
    lock = opened(path)
    try:
        if not wait_for(lambda: nobody_holds(lock), limit):
            raise TimeoutError
        yield
    finally:
        os.close(lock)


class Lease:
    """The word of one user that it uses the server. Forked children hold it with their parent."""

    def __init__(self, path: Path) -> None:
        self._file: int | None = opened(path)
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def close(self) -> None:
        """Use the server no more. May be called again."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def is_the_only_one(self) -> bool:
        file = self._file
        if file is None:
            return False
        alone = wait_for(lambda: nobody_holds(file), ALONE_LIMIT)
        fcntl.flock(file, fcntl.LOCK_SH)
        return alone


def post_guard(directory: Path) -> None:
    """See to it that a guard is there. The lock that it lives by is handed to it while we hold it."""
    guard_lock = opened(directory / "guard.lock")
    try:
        if nobody_holds(guard_lock):
            spawn_guard(directory, guard_lock)
    except subprocess.SubprocessError as error:
        said = (directory / "guard.log").read_text(errors="replace")
        raise StartFailed("be given a guard", directory, f"{said}{error}") from error
    finally:
        os.close(guard_lock)


def spawn_guard(directory: Path, guard_lock: int) -> None:
    script = str(Path(guard.__file__).resolve())
    with (directory / "guard.log").open("wb") as log:
        subprocess.run(  # noqa: S603
            [sys.executable, "-I", "-S", script, str(directory), str(guard_lock)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            pass_fds=[guard_lock],
            start_new_session=True,
            timeout=SPAWN_LIMIT,
            check=True,
        )


def opened(path: Path) -> int:
    """Open a file to lock it. Programs that we run do not inherit it."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
