"""Whatever it is that serves an app with jobs in it, or runs jobs alone: how it is started and told to end."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import Any

from tests.faults.field import Field
from tests.faults.process import Process, python

APP = "tests.faults.web:app"
UVICORN = python("-m", "uvicorn", APP, "--port", "PORT")
GUNICORN = python(
    *("-m", "gunicorn", APP, "--worker-class", "uvicorn_worker.UvicornWorker"),
    *("--workers", "2", "--bind", "127.0.0.1:PORT"),
)

SLOTS = 4


@dataclass(frozen=True, slots=True)
class Host:
    """One of them: its command (None: `asyncjobs work`), and how many of its processes run jobs."""

    command: list[str] | None
    processes: int = 1

    @property
    def slots(self) -> int:
        """How many jobs run in it."""
        return SLOTS * self.processes

    async def start(self, field: Field, name: str = "served", **options: Any) -> Process:
        """Start it, with as many slots in each process."""
        options = {"slots": SLOTS, **options}
        if self.command is None:
            several = self.processes if self.processes > 1 else 0
            return await field.worker(name, processes=several, **options)
        command = [word.replace("DIRECTORY", str(field.directory)) for word in self.command]
        return await field.web(name, server=command, workers=self.processes, **options)


HOSTS = {
    "uvicorn": Host(UVICORN),
    "uvicorn with 4 workers": Host([*UVICORN, "--workers", "4"], 4),
    "uvicorn that reloads": Host([*UVICORN, "--reload", "--reload-dir", "DIRECTORY"]),
    "gunicorn": Host(GUNICORN, 2),
    "asyncjobs work": Host(None),
    "asyncjobs work with 2 processes": Host(None, 2),
}
WEB_HOSTS = [name for name, host in HOSTS.items() if host.command is not None]

# Ctrl-C is heard by every process of the terminal's group, a signal of a platform by the first one.
WAYS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT, "Ctrl-C": signal.SIGINT}


def tell(process: Process, way: str) -> None:
    """Tell it to end, in one of the ways."""
    if process.returncode is not None:
        return
    process.was_told = True
    (os.killpg if way == "Ctrl-C" else os.kill)(process.pid, WAYS[way])


async def ended(field: Field, process: Process, within: float) -> tuple[int, float]:
    """Wait for its end and that of all its children; gives the exit code, and how long that took."""
    began = time.monotonic()
    code = await process.ended(within)
    took = time.monotonic() - began
    await field.until_gone(process.pid, *field.pids_of(process), within=2)
    return code, took
