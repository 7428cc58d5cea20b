"""
`python -m tests.bench.scaling.worker ADDRESS SLOTS MILLISECONDS`: a process that runs jobs which wait so long.

It says "up" when it is, and ends with its input.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta

from asyncjobs import Jobs
from tests.bench.loops import new_loop, quickest
from tests.bench.scaling.load import NAME


async def work(dsn: str, slots: int, seconds: float) -> None:
    """Run until the input ends."""
    jobs = Jobs(dsn, slots=slots, drain=timedelta(seconds=1))

    @jobs.task(name=NAME)
    async def wait() -> None:
        if seconds:
            await asyncio.sleep(seconds)

    async with jobs.running():
        sys.stdout.write("up\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    address, many, milliseconds = sys.argv[1:]
    with asyncio.Runner(loop_factory=new_loop(quickest())) as runner:
        runner.run(work(address, int(many), float(milliseconds) / 1000))
