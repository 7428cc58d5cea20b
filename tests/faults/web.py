"""
The web app under harm: `uvicorn tests.faults.web:app`.

It enqueues, answers, blocks its own loop when told to, and carries the dashboard at /jobs.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Mount, Route

from asyncjobs.errors import Unavailable
from tests.faults.crew import jobs, named


async def ping(request: Request) -> JSONResponse:
    """Be there."""
    return JSONResponse({"pid": os.getpid()})


async def clock(request: Request) -> JSONResponse:
    """Tell the time, as this process sees it."""
    return JSONResponse({"now": time.time()})


async def enqueue(request: Request) -> JSONResponse:
    """Store a job of the task that is named, with the JSON body as its positional arguments."""
    task = jobs.tasks[named(request.path_params["task"])]
    try:
        stored = await task.enqueue(*await request.json())
    except Unavailable as error:
        return JSONResponse({"error": str(error)}, status_code=503)
    return JSONResponse({"id": str(stored.id)})


async def block(request: Request) -> JSONResponse:
    """Block the event loop, as a handler that computes does."""
    time.sleep(float(request.query_params["seconds"]))
    return JSONResponse({"pid": os.getpid()})


async def stream(request: Request) -> StreamingResponse:
    """Never end, as an open page with a live view does."""

    async def ticks() -> AsyncIterator[bytes]:
        while True:
            yield b"tick\n"
            await asyncio.sleep(0.1)

    return StreamingResponse(ticks())


app = Starlette(
    routes=[
        Route("/ping", ping),
        Route("/clock", clock),
        Route("/enqueue/{task}", enqueue, methods=["POST"]),
        Route("/block", block),
        Route("/stream", stream),
        Mount("/jobs", jobs.dashboard(allow=lambda request: True)),
    ],
    lifespan=jobs.lifespan,
)
