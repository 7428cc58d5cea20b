"""The other process of `across.py`: says "up", then one delay a line; ends with its standard input."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from tests.bench.loops import new_loop
from tests.bench.measures import contestants


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def work(name: str, dsn: str) -> None:
    working = asyncio.create_task(contestants(dsn)[name].work(lambda: say("up"), say))
    await asyncio.to_thread(sys.stdin.read)
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working


if __name__ == "__main__":
    name, dsn, loop = sys.argv[1:]
    with asyncio.Runner(loop_factory=new_loop(loop)) as runner:
        runner.run(work(name, dsn))
