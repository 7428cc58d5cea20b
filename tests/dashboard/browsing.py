"""A served dashboard, and a browser whose clock can be put forward."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvicorn

from tests.moments import until_true

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from playwright.async_api import Page
    from starlette.types import ASGIApp

ROUND = 2100  # milliseconds: a little more than from one refresh to the next

HISTORY = [
    {
        "attempt": 1,
        "outcome": "failed",
        "process": None,
        "started_at": None,
        "waited": 0.1,
        "ran": 1.5,
        "error": "OSError: no route",
        "traceback": 'Traceback (most recent call last):\n  File "/app/a.py", line 1, in b'
        + " and on" * 40,
    }
]


@asynccontextmanager
async def serve(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an app from this very loop, and give its address."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, lifespan="off", log_level="warning", ws="none")
    )
    serving = asyncio.create_task(server.serve())
    await until_true(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


async def tick(page: Page) -> None:
    """Put the clock forward to the next refresh, and see it happen."""
    async with page.expect_response(lambda answer: "hx-request" in answer.request.headers):
        await page.clock.fast_forward(ROUND)


def row(id: UUID) -> str:
    return f"#job-{id}"
