"""The example application in this process, on a Postgres that is there or on an embedded one."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import uvicorn

from asyncjobs import embedded
from asyncjobs.address import LINGER, find_address
from asyncjobs.jobs import ASGIApp, Jobs
from asyncjobs.standalone.errors import ExampleNotFound
from asyncjobs.standalone.listening import listening
from asyncjobs.standalone.worker import end_whatever_threads_do

TABS_CLOSE_WITHIN = 2  # seconds that open responses get


def run_demo(host: str, port: int | None, say: Callable[[str], None]) -> bool:
    """
    Serve the example until SIGINT or SIGTERM; tells whether it ended well.

    Without a port it takes 8000, or the next one that is free.

    Raises ExampleNotFound, CannotListen, EmbeddedPostgresError, and as `jobs.connected()`.
    """
    # On somebody's own machine: make the tables, open the dashboard to this machine.
    os.environ.setdefault("ASYNCJOBS_DEV", "1")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    app = find_example()
    with listening(host, port) as listener, postgres() as psql:
        # What Postgres has to say comes as one line here, and as a traceback from within the app.
        asyncio.run(_reach())
        return serve(app, listener, lambda: say(welcome(listener, psql)))


def find_example() -> ASGIApp:
    """Import the example from the working directory; raises ExampleNotFound."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        app: ASGIApp = import_module("example_app.app").app
    except ModuleNotFoundError as error:
        if error.name in ("example_app", "example_app.app"):
            raise ExampleNotFound(
                f"there is no example_app in {here}: the demo runs from a checkout of asyncjobs, not from an "
                "installed package; clone the repository and run `asyncjobs demo` in it"
            ) from None
        raise ExampleNotFound(
            f'the example needs the module {error.name!r}: pip install "asyncjobs-pg[demo]"'
        ) from error
    return app


@contextmanager
def postgres() -> Generator[str | None]:
    """Hold the embedded server open, if it is the one, and give the command to look inside."""
    if find_address(None) is not None:
        yield None
        return
    with embedded.start(embedded.default_home(), linger=LINGER) as server:
        yield server.psql


async def _reach() -> None:
    async with Jobs().connected():
        pass


def serve(app: ASGIApp, listener: socket.socket, announce: Callable[[], None]) -> bool:
    """Run the app until a signal; a second Ctrl-C does not wait for anything."""
    config = uvicorn.Config(
        told_of_lifespan(app, announce, end_whatever_threads_do),
        log_config=None,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=TABS_CLOSE_WITHIN,
    )
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    server = uvicorn.Server(config)
    # uvicorn raises the signal again when it has ended; for a demo that is a good end, not a failure.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    server.run(sockets=[listener])
    return server.started


def _is_news(record: logging.LogRecord) -> bool:
    """A tab that was open to the end is cut off; uvicorn would tell that with a traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def told_of_lifespan(
    app: ASGIApp, started: Callable[[], None], stopped: Callable[[], None]
) -> ASGIApp:
    """Wrap an app: `started` is called when it is ready to serve, `stopped` when it has ended."""

    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        async def listen(message: Any) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                started()
            if message["type"].startswith("lifespan.shutdown"):
                stopped()

        await app(scope, receive, listen if scope["type"] == "lifespan" else send)

    return wrapper


def welcome(listener: socket.socket, psql: str | None) -> str:
    """Say where everything is."""
    host: str = listener.getsockname()[0]
    port: int = listener.getsockname()[1]
    shown = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)  # noqa: S104
    address = f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
    rows = {
        "The example": f"{address}/",
        "Its dashboard": f"{address}/jobs/",
        "Its Postgres": psql or "the one that the environment names",
    }
    told = "\n".join(f"  {name:<15}{where}" for name, where in rows.items())
    return f"\n{told}\n\n  Ctrl-C drains and ends it.\n"
