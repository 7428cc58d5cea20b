"""
Who runs Postgres.

Postgres refuses to run as root. If we are root, it runs in a user namespace in which we are called
nobody: its files stay ours, and a private home stays private. Where namespaces are forbidden (as
in most containers), it runs as the real nobody, who owns its files and keeps root's right to walk
through directories. Data that is there already is run by its owner. No user is made, and no mode
is changed outside the home.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncjobs.embedded.errors import NoAccount

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65534
PROBE_LIMIT = 10  # seconds; it takes milliseconds


@dataclass(frozen=True)
class Account:
    """How to become the one that runs Postgres, and who that is, seen from here."""

    prefix: tuple[str, ...]
    uid: int

    def reaches(self, directory: Path) -> bool:
        """Tell whether it works here, all the way to that directory."""
        try:
            asked = subprocess.run(  # noqa: S603
                [*self.prefix, "test", "-d", f"{directory}/."],
                capture_output=True,
                timeout=PROBE_LIMIT,
                check=False,
            )
        except FileNotFoundError:
            return False
        return asked.returncode == 0

    def give(self, directory: Path) -> None:
        """Make a directory of ours its own."""
        if directory.stat().st_uid != self.uid:
            os.chown(directory, self.uid, self.uid)


def find_account(directory: Path, data: Path) -> Account:
    """
    Return who can run the data in a directory, or make it there.

    Raises `NoAccount`.
    """
    if os.geteuid() != 0:
        return Account((), os.geteuid())
    owner = data.stat().st_uid if data.exists() else None
    for account in ways_down_from_root(owner):
        if account.reaches(directory.parent):
            return account
    raise NoAccount(directory)


def ways_down_from_root(owner: int | None) -> list[Account]:
    """List the ways to be the owner, or, while there is none, somebody."""
    somebody = owner or NOBODY
    other = ("setpriv", f"--reuid={somebody}", f"--regid={somebody}", "--clear-groups")
    walking = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    namespace = ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--")
    ways = [
        Account(namespace, 0),
        Account((*other, *walking, "--"), somebody),
        Account((*other, "--"), somebody),
    ]
    return [way for way in ways if owner in {None, way.uid}]
