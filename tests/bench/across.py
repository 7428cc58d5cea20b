"""From one process to another: this one enqueues, `tests.bench.worker` runs."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE

from tests.bench.contestant import Contestant


async def delays_across(contestant: Contestant, count: int, pause: float) -> list[float]:
    """Measure from the call of enqueue here to the start of the function there, on one monotonic clock."""
    loop = f"{type(asyncio.get_running_loop()).__module__}".partition(".")[0]
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.worker", contestant.name, contestant.dsn, loop,
        stdin=PIPE, stdout=PIPE,
    )  # fmt: skip
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        await worker.stdout.readline()
        await contestant.send(count, pause)
        return [float(await worker.stdout.readline()) for _ in range(count)]
    finally:
        worker.stdin.close()
        await worker.wait()
