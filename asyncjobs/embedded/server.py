"""Start a server, or join one that is running."""

from __future__ import annotations

import os
import shlex
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from asyncjobs.embedded.binaries import find_binaries
from asyncjobs.embedded.cluster import Cluster
from asyncjobs.embedded.errors import BinariesNotFound, HomeBusy, HomeNotOurs, SettingsDiffer
from asyncjobs.embedded.guard import find_postmaster
from asyncjobs.embedded.locks import Lease, locked, post_guard
from asyncjobs.embedded.settings import validated

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from asyncjobs.embedded.binaries import Binaries
    from asyncjobs.embedded.guard import Postmaster
    from asyncjobs.embedded.settings import Setting

LOCK_LIMIT = (
    150.0  # seconds to wait for another starter: its initdb and its start, both at their worst
)


@dataclass(frozen=True)
class Server:
    """
    A running Postgres that stays for as long as somebody has it open.

    It is open until `close`, the end of the `with` block, or the end of the process.
    """

    dsn: str
    home: Path
    version: int
    binaries: Path
    log: Path
    _lease: Lease = field(repr=False, compare=False)

    def dsn_of(self, database: str) -> str:
        """Return the address of another database of this server."""
        return self.dsn.replace("/postgres?", f"/{quote(database, safe='')}?", 1)

    @property
    def psql(self) -> str:
        """The command to look inside."""
        return shlex.join([str(self.binaries / "psql"), self.dsn])

    def close(self) -> None:
        """Use the server no more: without other users it stops, soon after. May be called again."""
        self._lease.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def start(
    home: Path,
    *,
    settings: Mapping[str, Setting] | None = None,
    version: int | None = None,
    linger: timedelta = timedelta(0),
    bin: Path | None = None,
) -> Server:
    """
    Return a running server whose data lives in `home`, started if it was not.

    `settings` are Postgres's own. Without them a running server is taken as it is. If it has
    others, it is restarted when nobody else uses it, and else `SettingsDiffer` is raised.

    `version` is a major one; by default that of the data in `home`, else the newest there is. Each
    version has its own data. `linger` is how long the server outlives its last user; the last
    starter's word counts. It blocks: at worst for the limits in `cluster.py`, mostly for 0.1 s.

    Raises `EmbeddedPostgresError`: `BinariesNotFound`, `InvalidSetting`, `StartFailed` and others.
    """
    wanted = None if settings is None else validated(settings)
    home = home.expanduser().resolve()
    binaries = binaries_for(home, version, bin)
    cluster = Cluster(home / str(binaries.version), binaries)
    try:
        cluster.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(cluster.lock, LOCK_LIMIT):
            return opened(cluster, wanted, linger)
    except TimeoutError:
        raise HomeBusy(cluster.directory, timedelta(seconds=LOCK_LIMIT)) from None
    except PermissionError as error:
        raise HomeNotOurs(cluster.directory, error) from error


def default_home() -> Path:
    """Return a place for the project in the working directory, in the user's cache."""
    project = Path.cwd()
    told = Path(os.environ.get("XDG_CACHE_HOME", ""))
    cache = told if told.is_absolute() else Path.home() / ".cache"
    return cache / "asyncjobs" / sha256(os.fsencode(project)).hexdigest()[:12]


def binaries_for(home: Path, version: int | None, directory: Path | None) -> Binaries:
    """Return those asked for, else those for the newest data here: an upgrade must not hide data."""
    if version is None and directory is None:
        for known in sorted(
            (int(data.parent.name) for data in home.glob("[1-9]*/data")), reverse=True
        ):
            with suppress(BinariesNotFound):
                return find_binaries(known)
    return find_binaries(version, directory)


def opened(cluster: Cluster, wanted: Mapping[str, str] | None, linger: timedelta) -> Server:
    """Announce ourselves, see to a guard, then to the server: whatever fails, the guard cleans up."""
    lease = Lease(cluster.lease)
    try:
        (cluster.directory / "linger").write_text(str(linger.total_seconds()))
        post_guard(cluster.directory)
        refuse_other_settings(cluster, lease, wanted)
        server = cluster.ensure_running(wanted)
    except BaseException:
        lease.close()
        raise
    return Server(
        dsn=address(server),
        home=cluster.directory.parent,
        version=cluster.binaries.version,
        binaries=cluster.binaries.directory,
        log=cluster.log,
        _lease=lease,
    )


def refuse_other_settings(cluster: Cluster, lease: Lease, wanted: Mapping[str, str] | None) -> None:
    if wanted is None or find_postmaster(cluster.data) is None:
        return
    running = cluster.settings()
    if running != wanted:
        if not lease.is_the_only_one():
            raise SettingsDiffer(cluster.directory, running=running, wanted=wanted)
        cluster.stop()


def address(server: Postmaster) -> str:
    host = quote(server.socket_directory, safe="/")
    port = "" if server.port == "5432" else f"&port={server.port}"
    return f"postgresql://postgres@/postgres?host={host}{port}"
