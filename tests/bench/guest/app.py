"""The host: a FastAPI app with a small JSON route, and one that asks Postgres through a pool of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from fastapi import FastAPI, Request

from tests.bench.guest.guest import Guest

ROUTES = ("/json", "/row")
ROWS = 1_000

FIND = "select id, name, price from public.article where id = $1"  # as an app would write it


def host(dsn: str, guest: Guest) -> Any:
    """Make the app, with the guest in its lifespan."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with asyncpg.create_pool(dsn, min_size=2, max_size=10) as pool, guest.running():
            yield {"pool": pool}

    app = FastAPI(lifespan=lifespan)

    @app.get("/json")
    async def small() -> dict[str, Any]:
        return {"id": 7, "name": "a small answer", "tags": ["json", "quick"]}

    @app.get("/row")
    async def row(request: Request, id: int = 1) -> dict[str, Any]:
        return dict(await request.state.pool.fetchrow(FIND, id))

    return guest.wrap(app)
