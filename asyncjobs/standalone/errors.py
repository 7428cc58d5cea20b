"""
What a command line can ask that nobody can do.

    AsyncJobsError
    └── CommandError
        ├── JobsNotFound       `work module:jobs` names none
        ├── ExampleNotFound    `demo` has nothing to show here
        └── CannotListen       the address is somebody else's, or not ours
"""

from __future__ import annotations

from asyncjobs.errors import AsyncJobsError


class CommandError(AsyncJobsError):
    """A command that cannot be followed."""


class JobsNotFound(CommandError):
    """There is no `Jobs` where the command line says."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(f"no Jobs at {target!r}: {reason}")
        self.target = target
        self.reason = reason


class ExampleNotFound(CommandError):
    """The example application is not here, or lacks something."""


class CannotListen(CommandError):
    """The web server cannot have this address."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(f"cannot listen on {host}, port {port}: {reason}; try another --port")
        self.host = host
        self.port = port
        self.reason = reason
