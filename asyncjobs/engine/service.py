"""Services: the loops of the executor, each kept alive whatever happens to it."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

import anyio

log: logging.Logger = logging.getLogger("asyncjobs.service")

_FIRST_PAUSE = 0.1  # seconds
_LAST_PAUSE = 30.0  # seconds
_CALM_AFTER = 60.0  # seconds without a failure make the next one the first again


class Troubles(dict[str, int]):
    """How often each service has failed, by name."""


async def keep(name: str, serve: Callable[[], Awaitable[None]], troubles: Troubles) -> None:
    """
    Run `serve` again whenever it fails, after a growing pause.

    No failure of ours may end the app's lifespan: one KeyError in one loop would otherwise cancel the
    task group, unwind the lifespan and leave a web server that serves without its pool.
    """
    pause = _FIRST_PAUSE
    while True:
        began = time.monotonic()
        try:
            await serve()
        except Exception:
            troubles[name] = troubles.get(name, 0) + 1
            log.exception("%s failed and starts again in %.1f s", name, pause)
        else:
            return
        await anyio.sleep(pause)
        calm = time.monotonic() - began > _CALM_AFTER
        pause = _FIRST_PAUSE if calm else min(pause * 2, _LAST_PAUSE)
