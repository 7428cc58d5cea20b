"""One data directory and the server on it. Whoever changes it holds the lock of its directory."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from asyncjobs.embedded.account import find_account
from asyncjobs.embedded.errors import StartFailed, UnsafeDirectory
from asyncjobs.embedded.guard import find_postmaster, forget_the_dead, stop_postmaster, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asyncjobs.embedded.account import Account
    from asyncjobs.embedded.binaries import Binaries
    from asyncjobs.embedded.guard import Postmaster

INIT_LIMIT = 120.0  # seconds for initdb; it takes half a second
START_LIMIT = 60.0  # seconds for the server to be ready; recovery may take most of it
RETRY_LIMIT = 10.0  # seconds in which the children of a killed server let go of its memory
RETRY_EVERY = 0.2  # seconds
LOG_LIMIT = 10 * 2**20  # bytes after which the log begins anew
LAST_WORDS = 20  # lines of the log in an error

SOCKET_NAME = "/.s.PGSQL.65535"
SOCKET_PATH_LIMIT = 103  # bytes; 107 on Linux, 103 on macOS
PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-")

# What Postgres says while the children of a killed server are still at work.
NOT_GONE_YET = "pre-existing shared memory block"


@dataclass(frozen=True)
class Cluster:
    directory: Path
    binaries: Binaries

    @property
    def data(self) -> Path:
        return self.directory / "data"

    @property
    def log(self) -> Path:
        return self.directory / "postgres.log"

    @property
    def lock(self) -> Path:
        return self.directory / "lock"

    @property
    def lease(self) -> Path:
        return self.directory / "lease"

    def ensure_running(self, settings: Mapping[str, str] | None) -> Postmaster:
        """Return the server, started if it was not; the settings matter only then."""
        server = find_postmaster(self.data)
        if server is not None:
            wait_for(lambda: is_usable_or_gone(self.data), START_LIMIT)
            server = find_postmaster(self.data)
        if server is not None and server.reachable:
            return server
        stop_postmaster(self.data)
        return self.start(settings or {})

    def start(self, settings: Mapping[str, str]) -> Postmaster:
        account = find_account(self.directory, self.data)
        account.give(self.directory)
        for half_made in self.directory.glob("new-*"):
            shutil.rmtree(half_made, ignore_errors=True)  # its initdb, if it lives, gives up then
        if not self.data.exists():
            self.create(account, durable=settings.get("fsync") != "off")
        forget_the_dead(self.data)
        (self.directory / "settings.json").write_text(json.dumps(dict(settings)))
        self.launch(account, settings)
        server = find_postmaster(self.data)
        if server is None:
            raise StartFailed("stay up", self.directory, f"see {self.log}")
        return server

    def stop(self) -> None:
        stop_postmaster(self.data)

    def settings(self) -> dict[str, str]:
        """Return what the server was started with."""
        stored: dict[str, str] = json.loads((self.directory / "settings.json").read_text())
        return stored

    def create(self, account: Account, *, durable: bool) -> None:
        """Make the data directory, all of it or nothing: a starter may be killed at any moment."""
        new = Path(tempfile.mkdtemp(prefix="new-", dir=self.directory))
        account.give(new)
        options = ["-D", str(new), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"]
        sync = [] if durable else ["--no-sync"]
        complaint = self.run(account, "initdb", *options, *sync, limit=INIT_LIMIT)
        if complaint is not None:
            raise StartFailed("make a cluster", self.directory, complaint)
        new.rename(self.data)

    def launch(self, account: Account, settings: Mapping[str, str]) -> None:
        """Start the server; again for some seconds if what is left of a killed one is in the way."""
        options = shlex.join(self.options(account, settings))
        command = ("pg_ctl", "-w", "-t", f"{START_LIMIT:g}", "-o", options, "start")
        give_up = time.monotonic() + RETRY_LIMIT
        starting = self.directory / "starting"  # tells the guard, if we are killed, what to expect
        starting.touch()
        while (complaint := self.run(account, *command, limit=2 * START_LIMIT)) is not None:
            if NOT_GONE_YET not in complaint or time.monotonic() > give_up:
                starting.unlink()
                raise StartFailed("start", self.directory, complaint)
            time.sleep(RETRY_EVERY)
        starting.unlink()

    def options(self, account: Account, settings: Mapping[str, str]) -> list[str]:
        sockets = self.socket_directory(account)
        for left_over in sockets.glob(".s.PGSQL.*"):
            left_over.unlink(missing_ok=True)
        ours = {"unix_socket_directories": str(sockets), "listen_addresses": ""}
        given = {**ours, **settings}
        # The directory is named here, not to pg_ctl: guards know the server by its command line.
        return ["-D", str(self.data), *(f"--{name}={value}" for name, value in given.items())]

    def socket_directory(self, account: Account) -> Path:
        """Return a place whose name is short and plain enough for the address of a socket."""
        if is_fit_for_sockets(self.directory):
            return self.directory
        name = f"asyncjobs-{os.geteuid()}-{sha256(os.fsencode(self.directory)).hexdigest()[:12]}"
        temporary = Path(tempfile.gettempdir())
        place = (temporary if is_fit_for_sockets(temporary / name) else Path("/tmp")) / name  # noqa: S108
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
        if (
            place.is_symlink()
            or found.st_uid not in {os.geteuid(), account.uid}
            or found.st_mode & 0o77
        ):
            raise UnsafeDirectory(place)
        account.give(place)
        return place

    def run(self, account: Account, program: str, *arguments: str, limit: float) -> str | None:
        """Run one of the binaries. If it fails, return its last words; they are in the log too."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        with self.log.open("a+", errors="replace") as log:
            if log.tell() > LOG_LIMIT:
                log.truncate(0)
            before = log.seek(0, os.SEEK_END)
            try:
                subprocess.run(  # noqa: S603
                    [*account.prefix, self.binaries / program, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env={**kept, "LC_ALL": "C", "PGDATA": str(self.data)},
                    timeout=limit,
                    check=True,
                )
            except subprocess.SubprocessError as error:
                log.seek(before)
                return "".join([*log.readlines()[-LAST_WORDS:], str(error)])
            return None


def is_usable_or_gone(data: Path) -> bool:
    server = find_postmaster(data)
    return server is None or server.ready


def is_fit_for_sockets(directory: Path) -> bool:
    path = str(directory) + SOCKET_NAME
    return len(os.fsencode(path)) <= SOCKET_PATH_LIMIT and PLAIN.issuperset(path)
