"""
Services that are not ours: kept alive like our own, and left behind if they will not end.

One that swallows its cancellation would hold up a task group, and with it the drain and the end of the
process, for ever; and a group's scope would cancel it again at each turn of the loop. So each is a task by
itself, cancelled once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from asyncjobs.engine.service import Troubles, keep

log: logging.Logger = logging.getLogger("asyncjobs.service")


@asynccontextmanager
async def beside(
    services: Mapping[str, Callable[[], Awaitable[None]]], troubles: Troubles, patience: float
) -> AsyncGenerator[None]:
    """Keep these for as long as this is open; then they have `patience` seconds to end."""
    loop = asyncio.get_running_loop()
    tasks = {
        loop.create_task(keep(name, serve, troubles), name=f"asyncjobs {name}"): name
        for name, serve in services.items()
    }
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=patience)
            for task in left:
                log.error("%s does not end, and is left behind", tasks[task])
