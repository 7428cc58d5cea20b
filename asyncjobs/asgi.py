"""The lifespan protocol for apps whose framework has no lifespan argument, or knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

App = Callable[[Any, Any, Any], Any]


class WithJobs:
    """An ASGI app around another; jobs run between its startup and its shutdown."""

    def __init__(self, app: Any, running: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
        self._app = app
        self._running = running

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one scope."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        await receive()
        try:
            async with self._running():
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except BaseException as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})
