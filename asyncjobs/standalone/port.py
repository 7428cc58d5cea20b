"""
`/live` and `/ready` on a port of the worker's own, by uvicorn, in the worker's own loop.

In the same loop, because that is the point: a loop that is blocked does not answer. Signals stay whose they
are. It answers from before the first connection to Postgres to the end of the drain, and then ends at once.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from asyncjobs.probes import Look, probes

log: logging.Logger = logging.getLogger("asyncjobs.port")

ENDS_WITHIN = 1  # seconds for an answer that is under way


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take none: the worker has its own way to be told."""
        yield


@asynccontextmanager
async def answering(look: Look, listener: socket.socket) -> AsyncGenerator[None]:
    """Answer on this socket for as long as this is open."""
    config = uvicorn.Config(
        probes(look),
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=100,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=ENDS_WITHIN,
    )
    server = _Server(config)
    # A task group would wrap what goes wrong inside, and the command line tells the first error as it is.
    serving = asyncio.get_running_loop().create_task(
        _serve(server, listener), name="asyncjobs port"
    )
    host, port = listener.getsockname()[:2]
    log.info("health: http://%s:%d/live and /ready", f"[{host}]" if ":" in host else host, port)
    try:
        yield
    finally:
        server.should_exit = True
        try:
            await asyncio.wait([serving], timeout=ENDS_WITHIN + 1)
        finally:
            serving.cancel()


async def _serve(server: uvicorn.Server, listener: socket.socket) -> None:
    try:
        await server.serve([listener])
    except Exception:
        # Whoever asks finds nobody there, which is what there is to say; the jobs go on.
        log.exception("the port of the health checks failed and is closed")
