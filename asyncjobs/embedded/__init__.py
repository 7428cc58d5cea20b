"""
A Postgres of your own, started when it is needed and gone when nobody needs it.

    from asyncjobs import embedded

    with embedded.start(embedded.default_home()) as server:
        print(server.dsn)

For development, tests and demonstrations. Several processes may `start` the same home: they share
one server, and the server stops soon after the last of them has ended, even by `kill -9`.
"""

from asyncjobs.embedded.binaries import Binaries, find_binaries
from asyncjobs.embedded.errors import (
    BinariesNotFound,
    EmbeddedPostgresError,
    HomeBusy,
    HomeNotOurs,
    InvalidSetting,
    NoAccount,
    SettingsDiffer,
    StartFailed,
    UnsafeDirectory,
)
from asyncjobs.embedded.server import Server, default_home, start
from asyncjobs.embedded.settings import Setting

__all__ = [
    "Binaries",
    "BinariesNotFound",
    "EmbeddedPostgresError",
    "HomeBusy",
    "HomeNotOurs",
    "InvalidSetting",
    "NoAccount",
    "Server",
    "Setting",
    "SettingsDiffer",
    "StartFailed",
    "UnsafeDirectory",
    "default_home",
    "find_binaries",
    "start",
]
