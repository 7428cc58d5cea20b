"""
Requests under way in this process, counted by an ASGI app around the user's.

A request counts from its first line to the first part of its answer's body: what comes after that may be a stream that
stays open for hours. For the same reason only young ones ask for anything: one that has waited for a second waits for
somebody else than the event loop, maybe for one of our jobs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

YOUNG = 1.0  # seconds
_COUNTED = "asyncjobs.counted"  # the mark on a scope that an outer wrapper has counted


class Requests:
    """
    How many requests want something of an event loop.

    `first_came` is called when there is one after there was none, `none_left` when the last of them has its answer.
    """

    def __init__(self) -> None:
        self.are_known: bool = False
        """Whether any app of this process is wrapped: else none under way means nothing."""
        self.first_came: Callable[[], None] = lambda: None
        self.none_left: Callable[[], None] = lambda: None
        self._came: dict[object, float] = {}
        self._last = -YOUNG

    def __len__(self) -> int:
        return len(self._came)

    @property
    def ask_now(self) -> bool:
        """Whether a young one is under way."""
        return bool(self._came) and self._came[next(reversed(self._came))] > _now() - YOUNG

    @property
    def asked_lately(self) -> bool:
        """Whether there was one within the last second."""
        return self._last > _now() - YOUNG

    def began(self) -> object:
        """One has come; gives what tells it from the others."""
        request = object()
        self._last = self._came[request] = _now()
        if len(self._came) == 1:
            self.first_came()
        return request

    def ended(self, request: object) -> None:
        """It has its answer; may be said again."""
        if self._came.pop(request, None) is not None and not self._came:
            self.none_left()

    def counted(self, app: Any) -> Any:
        """Wrap an ASGI app, so that its HTTP requests are counted, each once."""
        self.are_known = True

        async def counting(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "http" or _COUNTED in scope:
                await app(scope, receive, send)
                return
            request = self.began()

            async def answer(message: Any) -> None:
                await send(message)
                if message["type"] == "http.response.body":
                    self.ended(request)

            try:
                await app({**scope, _COUNTED: True}, receive, answer)
            finally:
                self.ended(request)

        return counting


def _now() -> float:
    return time.monotonic()
