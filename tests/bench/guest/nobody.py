"""No guest at all: the app alone."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any


class Nobody:
    """Runs no jobs."""

    name = "none"

    def __init__(self, dsn: str) -> None:
        self.ended = 0

    async def prepare(self) -> None: ...

    async def clear(self) -> None: ...

    async def fill(self, kinds: list[str]) -> None: ...

    def running(self) -> AbstractAsyncContextManager[Any]:
        return nullcontext()

    def wrap(self, app: Any) -> Any:
        return app

    def figures(self) -> dict[str, Any]:
        return {}
