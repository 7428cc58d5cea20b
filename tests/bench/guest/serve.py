"""
The process of the host: `python -m tests.bench.guest.serve GUEST DSN LOOP`.

Says its port, then answers each line of standard input with a line of JSON: its figures as they are. Ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import uvicorn

from tests.bench.guest.app import host
from tests.bench.guest.guest import Guest, find
from tests.bench.loops import new_loop


def main(name: str, dsn: str, loop: str) -> None:
    with asyncio.Runner(loop_factory=new_loop(loop)) as runner:
        runner.run(serve(find(name, dsn), dsn))


async def serve(guest: Guest, dsn: str) -> None:
    """Serve until nobody holds our input open any more."""
    config = uvicorn.Config(
        host(dsn, guest), port=0, log_level="warning", access_log=False, lifespan="on"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    [listener] = server.servers[0].sockets
    say({"port": listener.getsockname()[1], "pid": os.getpid()})
    asked = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(asked), sys.stdin
    )
    while await asked.readline():
        say(figures(guest))
    server.should_exit = True
    await serving


def figures(guest: Guest) -> dict[str, Any]:
    """Tell how things stand: seconds of processor time and of the clock, bytes held, jobs ended."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return {
        "at": time.monotonic(),
        "cpu": used.ru_utime + used.ru_stime,
        "resident": pages * resource.getpagesize(),
        "ended": guest.ended,
        **guest.figures(),
    }


def say(what: dict[str, Any]) -> None:
    os.write(SAID_TO, json.dumps(what).encode() + b"\n")


# What a guest prints is not for who asks us.
SAID_TO = os.dup(1)

if __name__ == "__main__":
    os.dup2(2, 1)
    main(*sys.argv[1:])
