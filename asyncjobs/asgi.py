"""
The lifespan protocol, for apps whose framework has no lifespan argument, or knows nothing of it.

The wrapped app's own lifespan is entered first and left last, as in `jobs.lifespan(own)`. An app that ends
or fails before it has said anything does not know the protocol (uvicorn's `lifespan="auto"` concludes the
same): it is served without.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

log: logging.Logger = logging.getLogger("asyncjobs.asgi")


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
        phase = "startup"
        try:
            async with _lifespan_of(self._app, scope), self._running():
                await send({"type": "lifespan.startup.complete"})
                phase = "shutdown"
                await receive()
        except Exception as error:
            log.exception("the app's %s failed", phase)
            await send({"type": f"lifespan.{phase}.failed", "message": str(error)})
            raise
        else:
            await send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def _lifespan_of(app: Any, scope: Any) -> AsyncGenerator[None]:
    """Lead the wrapped app through its own startup and shutdown, if it has them."""
    inner = _Inner()
    body = asyncio.get_running_loop().create_task(app(scope, inner.receive, inner.send))
    inner.events.put_nowait({"type": "lifespan.startup"})
    try:
        knows = await inner.answer_to("startup", body)
        yield
        if knows:
            inner.events.put_nowait({"type": "lifespan.shutdown"})
            await inner.answer_to("shutdown", body)
    finally:
        body.cancel()
        await asyncio.wait([body])


class _Inner:
    """The server's side of the protocol, towards the wrapped app."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def receive(self) -> dict[str, Any]:
        return await self.events.get()

    async def send(self, message: dict[str, Any]) -> None:
        self._said.put_nowait(message)

    async def answer_to(self, phase: str, body: asyncio.Task[Any]) -> bool:
        """Wait for the answer; False when the app ended without one. Raises when it says that it failed."""
        answer = asyncio.ensure_future(self._said.get())
        await asyncio.wait([answer, body], return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            if phase == "shutdown" and body.exception() is not None:
                await body
            return False
        message = answer.result()
        if message["type"] == f"lifespan.{phase}.failed":
            raise RuntimeError(message.get("message") or f"the app's own {phase} failed")
        return True
