"""What a job system must be able to do to be a guest, and who can."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import Any, Protocol

GUESTS = {
    "none": "tests.bench.guest.nobody:Nobody",
    "ours": "tests.bench.guest.ours:Ours",
    "ours-100-slots": "tests.bench.guest.ours:Roomy",
    "uncounted": "tests.bench.guest.ours:Uncounted",
    "unmannered": "tests.bench.guest.ours:Unmannered",
}
"""Where each is to be found, `module:class`. It is imported only in the processes of its own runs, maybe by another Python."""


class Guest(Protocol):
    """
    A job system inside of a web app, with its tasks: those of `work.py`.

    Made with the address of Postgres. `running` and `wrap` are used in the app's process; `prepare`, `fill` and `clear`
    in another. `ended` is how many jobs have ended here.
    """

    name: str
    ended: int

    async def prepare(self) -> None:
        """Make the tables, in a database that may have them already."""

    async def clear(self) -> None:
        """Forget all jobs; nobody runs any."""

    async def fill(self, kinds: list[str]) -> None:
        """Store a job for each of these kinds, in this order."""

    def running(self) -> AbstractAsyncContextManager[Any]:
        """Run jobs for as long as this is entered."""

    def wrap(self, app: Any) -> Any:
        """Put around the ASGI app what its documentation advises; mostly nothing."""

    def figures(self) -> dict[str, Any]:
        """Tell more about itself, for those who read the JSON."""


def find(name: str, dsn: str) -> Guest:
    """Make one by its name, or by that of a peer; raises ImportError where it is not installed."""
    if name not in GUESTS:
        peer: Guest = import_module("tests.bench.guest.peer").Peer(name, dsn)
        return peer
    module, _, kind = GUESTS[name].partition(":")
    guest: Guest = getattr(import_module(module), kind)(dsn)
    return guest
