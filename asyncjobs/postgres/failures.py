"""What asyncpg raises, told in our words."""

from __future__ import annotations

import asyncpg

from asyncjobs.errors import Unavailable

_PASSES = (
    "25006",
    "40",
    "53",
    "55",
    "57",
)  # read-only, conflicts, resources, locks, somebody's word
_STOPPING = ("57P01", "57P02", "57P03")


class Refused(Unavailable):
    """Postgres understood the statement and refused it; nothing of it happened."""

    def __init__(self, wanted: str, cause: asyncpg.PostgresError) -> None:
        super().__init__(wanted, cause)
        self.sqlstate: str = cause.sqlstate or ""

    @property
    def blames_the_row(self) -> bool:
        """Whether the values are at fault: data exceptions, constraints, limits."""
        return self.sqlstate[:2] in ("22", "23", "54")

    @property
    def lacks_a_day(self) -> bool:
        """Whether the archive has no partition for a row."""
        return self.sqlstate == "23514"


class NotNow(Unavailable):
    """Postgres refused for a reason that passes: a lock, a timeout, no room, a server about to stop."""


class InDoubt(Unavailable):
    """The connection broke, or no answer came, after the statement was sent: it may have happened."""


class Unreachable(Unavailable):
    """There was no connection, so nothing was sent. `is_stopping`: the server itself said no."""

    def __init__(
        self, wanted: str, cause: BaseException | str, *, is_stopping: bool = False
    ) -> None:
        super().__init__(wanted, cause)
        self.is_stopping = is_stopping


_BROKEN = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.exceptions.AdminShutdownError,
    asyncpg.exceptions.CrashShutdownError,
    asyncpg.exceptions.CannotConnectNowError,
    asyncpg.exceptions.IdleSessionTimeoutError,
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError,
)


def told(wanted: str, cause: Exception) -> Unavailable:
    """Turn an error of a statement that was sent into ours."""
    # What asyncpg cannot encode is an InterfaceError and a ValueError both, and was not sent. A plain
    # ValueError comes from reading the answer: the statement has done its work.
    if isinstance(cause, asyncpg.InterfaceError) and isinstance(cause, ValueError):
        return Refused(wanted, asyncpg.exceptions.DataError(str(cause)))
    if isinstance(cause, asyncpg.PostgresError) and not isinstance(cause, _BROKEN):
        passes = (cause.sqlstate or "").startswith(_PASSES)
        return NotNow(wanted, cause) if passes else Refused(wanted, cause)
    return InDoubt(wanted, cause)


def told_of_connecting(wanted: str, cause: Exception) -> Unreachable:
    """Turn an error of connecting into ours."""
    stopping = isinstance(cause, (ConnectionRefusedError, FileNotFoundError)) or (
        isinstance(cause, asyncpg.PostgresError) and cause.sqlstate in _STOPPING
    )
    return Unreachable(wanted, cause, is_stopping=stopping)


NoAnswer: tuple[type[Unavailable], ...] = (InDoubt, NotNow, Unreachable)
"""What time or a new connection heals; Refused is not among them, it is somebody's mistake."""
