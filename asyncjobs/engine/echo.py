"""
Does a NOTIFY of ours come back on our own link? The way of every wake, gone once around.

Everybody on the channel hears it, and nobody but us knows what to do with it.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Awaitable, Callable

Notify = Callable[[str], Awaitable[None]]


class Echoes:
    """Those that are awaited."""

    def __init__(self) -> None:
        self._awaited: dict[str, asyncio.Future[None]] = {}

    async def come_back(self, notify: Notify, within: float) -> float | None:
        """
        Send one and wait for it, `within` seconds; gives the seconds that it took, None when it did not come.

        Raises what `notify` does.
        """
        token = secrets.token_hex(8)
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited[token] = heard
        began = time.monotonic()
        try:
            await notify(payload(token))
            await asyncio.wait([heard], timeout=within)
        finally:
            del self._awaited[token]
        return time.monotonic() - began if heard.done() else None

    def heard(self, token: str) -> None:
        """One was heard."""
        awaited = self._awaited.get(token)
        if awaited is not None and not awaited.done():
            awaited.set_result(None)


def payload(token: str) -> str:
    """Make a message, in the form of all messages on the channel; from nobody, so that we hear it ourselves."""
    return json.dumps({"from": None, "words": [{"echo": token}]})
