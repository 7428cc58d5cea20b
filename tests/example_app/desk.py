"""The photo desk as its users have it: a process of its own, on a Postgres and a directory."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpx2

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

ADDRESS = re.compile(r"Uvicorn running on (http://[\d.:]+)")


class Desk:
    """One uvicorn at a time; killed and started again it comes back at the same address."""

    def __init__(self, dsn: str, directory: Path) -> None:
        self.dsn = dsn
        self.media = directory / "media"
        self.log = directory / "uvicorn.log"
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        port = self.url.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "uvicorn", "example_app.app:app", "--port", port]
        environment = {
            **os.environ,
            "DATABASE_URL": self.dsn,
            "ASYNCJOBS_DEV": "1",
            "PHOTO_DESK_MEDIA": str(self.media),
        }
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self.url = await until(self._address, within=30)

    async def _address(self) -> str:
        said = self.log.read_text()
        assert self.process.poll() is None, said
        found = ADDRESS.search(said)
        return found[1] if found else ""

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    async def terminate(self, within: float) -> int:
        """Ask it to end; returns its exit code. Fails when it takes longer."""
        self.process.send_signal(signal.SIGTERM)
        await until(self._has_ended, within=within)
        return self.process.returncode

    async def _has_ended(self) -> bool:
        return self.process.poll() is not None

    def close(self) -> None:
        with suppress(AssertionError):
            self.kill()

    async def post(self, files: Mapping[str, bytes], **headers: str) -> httpx2.Response:
        """Send all files as one form, as curl does."""
        form = [("photo", (name, content)) for name, content in files.items()]
        async with httpx2.AsyncClient(timeout=120) as client:
            return await client.post(f"{self.url}/photos", files=form, headers=headers)

    async def send(self, path: str) -> httpx2.Response:
        """Send nothing but the wish."""
        async with httpx2.AsyncClient(timeout=30) as client:
            return await client.post(f"{self.url}{path}")

    async def get(self, path: str) -> httpx2.Response:
        async with httpx2.AsyncClient(timeout=30) as client:
            return await client.get(f"{self.url}{path}")

    async def photos(self) -> Any:
        return (await self.get("/photos")).json()

    async def settled(self, within: float = 60) -> Any:
        """Wait until no photo waits or is worked on; returns the list then."""

        async def has_settled() -> Any:
            desk = await self.photos()
            open_still = desk["counts"]["working"] + desk["counts"]["waiting"]
            return (
                desk
                if open_still == 0 and desk["counts"]["ready"] + desk["counts"]["failed"]
                else None
            )

        return await until(has_settled, within=within)


async def until(condition: Callable[[], Awaitable[Any]], within: float) -> Any:
    """Ask again and again for something true, at most `within` seconds; returns it."""
    async with asyncio.timeout(within):
        while not (answer := await condition()):
            await asyncio.sleep(0.05)
    return answer
