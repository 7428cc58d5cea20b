"""Another job system as a guest, through the player that the bench has of it: no more than its documentation says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from pathlib import Path
from typing import Any

import asyncpg

from tests.bench.environments import peers
from tests.bench.guest import work

SLOTS = 10  # as we have
AT_ONCE = 1_000  # jobs in one call
SQL = Path(__file__).parents[1] / "sql"

HOST = ("asyncpg>=0.30", "fastapi>=0.115", "httptools>=0.6", "uvicorn>=0.30")
"""What the app needs in the environment of the peer."""


async def _thread() -> None:
    await asyncio.to_thread(work.thread)


_BODIES: dict[str, Callable[[], Awaitable[None]]] = {
    "noop": work.noop,
    "wait": work.wait,
    "burn": work.burn,
    "thread": _thread,
}


class Peer:
    """One of `peers.toml` whose jobs lie in Postgres; each job carries the name of its kind."""

    def __init__(self, name: str, dsn: str) -> None:
        peer = peers()[name]
        self.name = name
        self.ended = 0
        self._dsn = dsn
        self._table = peer.table
        self._player: Any = import_module(f"tests.bench.peers.{peer.module}").player(dsn)

    async def prepare(self) -> None:
        await self._player.prepare()

    async def clear(self) -> None:
        if self._table is None:
            await self._player.clear()
            return
        connection = await asyncpg.connect(self._dsn)
        try:
            await connection.execute((SQL / f"{self._table}_clear.sql").read_text(encoding="utf-8"))
        finally:
            await connection.close()

    async def fill(self, kinds: list[str]) -> None:
        async with self._player.sending(None) as sender:
            for first in range(0, len(kinds), AT_ONCE):
                await sender.many(kinds[first : first + AT_ONCE])

    def running(self) -> AbstractAsyncContextManager[Any]:
        # A thread for each slot, as we have; of its own, asyncio makes four more than there are processors.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(SLOTS))
        running: AbstractAsyncContextManager[Any] = self._player.running(SLOTS, self._run)
        return running

    async def _run(self, kind: str) -> None:
        await _BODIES[kind]()
        self.ended += 1

    def wrap(self, app: Any) -> Any:
        return app

    def figures(self) -> dict[str, Any]:
        return {}
