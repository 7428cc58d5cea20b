"""What asyncpg raises, told in our words."""

from __future__ import annotations

import re

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
_QUOTES_VALUES = ("22", "23", "44")  # data, constraints, views with a check
_QUOTED_ARGUMENT = re.compile(r"(query argument \$\d+): .* \((.*)\)", re.DOTALL)
_NO_ADDRESS = (
    "the address of Postgres cannot be understood; in a password, characters such as # / ? and @ are "
    "written as %23 %2F %3F and %40"
)


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
    def lacks_a_right(self) -> bool:
        """Whether the role may not do it."""
        return self.sqlstate == "42501"

    @property
    def lacks_a_day(self) -> bool:
        """Whether the archive has no partition for a row."""
        return self.sqlstate == "23514"


class NotNow(Unavailable):
    """Postgres refused for a reason that passes: a lock, a timeout, no room, a server about to stop."""


class InDoubt(Unavailable):
    """The connection broke, or no answer came, after the statement was sent: it may have happened."""


class Unreachable(Unavailable):
    """
    There was no connection, so nothing was sent.

    `is_stopping`: the server itself said no. `lacks_slots`: it takes no more connections for now.
    """

    def __init__(
        self,
        wanted: str,
        cause: BaseException | str,
        *,
        is_stopping: bool = False,
        lacks_slots: bool = False,
    ) -> None:
        super().__init__(wanted, cause)
        self.is_stopping = is_stopping
        self.lacks_slots = lacks_slots


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
    # Of a statement that we prepared on a session of our own: it is not our own any more. Whoever shares
    # it is found out when the next connection is made.
    asyncpg.exceptions.InvalidSQLStatementNameError,
    asyncpg.exceptions.DuplicatePreparedStatementError,
)


def told(wanted: str, cause: Exception) -> Unavailable:
    """Turn an error of a statement that was sent into ours, less the values that it quotes."""
    silence(cause)
    # What asyncpg cannot encode is an InterfaceError and a ValueError both, and was not sent. A plain
    # ValueError comes from reading the answer: the statement has done its work.
    if isinstance(cause, asyncpg.InterfaceError) and isinstance(cause, ValueError):
        return Refused(wanted, asyncpg.exceptions.DataError(str(cause)))
    if isinstance(cause, asyncpg.PostgresError) and not isinstance(cause, _BROKEN):
        passes = (cause.sqlstate or "").startswith(_PASSES)
        return NotNow(wanted, cause) if passes else Refused(wanted, cause)
    return InDoubt(wanted, cause)


def silence(error: Exception) -> None:
    """
    Take the values of rows out of what Postgres, or asyncpg, says of them: they may be secret.

    `DETAIL: Failing row contains (…)` would bring the arguments of a job into logs, and so would an argument
    that asyncpg cannot send and quotes. The error is changed itself, as it goes along with ours, as its cause.
    """
    if isinstance(error, asyncpg.PostgresError):
        if (error.sqlstate or "")[:2] in _QUOTES_VALUES:
            error.detail = error.context = None
    elif isinstance(error, asyncpg.InterfaceError) and error.args:
        error.args = (_QUOTED_ARGUMENT.sub(r"\1 (\2)", str(error.args[0])),)


def told_of_connecting(wanted: str, cause: Exception) -> Unavailable:
    """Turn an error of connecting into ours; one that is ours already stays as it is."""
    if isinstance(cause, Unavailable):
        return cause
    if isinstance(cause, ValueError) and not isinstance(cause, asyncpg.InterfaceError):
        # Where a password holds a # or a / as it is, what Python says of the port begins with the password.
        cause.args = (_NO_ADDRESS,)
    if isinstance(cause, asyncpg.exceptions.TooManyConnectionsError):
        taken = f"all connections that Postgres has are taken ({cause})"
        return Unreachable(wanted, taken, lacks_slots=True)
    stopping = isinstance(cause, (ConnectionRefusedError, FileNotFoundError)) or (
        isinstance(cause, asyncpg.PostgresError) and cause.sqlstate in _STOPPING
    )
    return Unreachable(wanted, cause, is_stopping=stopping)


NoAnswer: tuple[type[Unavailable], ...] = (InDoubt, NotNow, Unreachable)
"""What time or a new connection heals; Refused is not among them, it is somebody's mistake."""
