"""A process that stores jobs: `python -m tests.bench.guest.fill GUEST DSN DO LOAD COUNT`; DO: prepare, clear or fill."""

from __future__ import annotations

import asyncio
import sys

from tests.bench.guest.guest import find
from tests.bench.guest.work import kinds_of


async def main(name: str, dsn: str, do: str, load: str, count: str) -> None:
    guest = find(name, dsn)
    if do == "prepare":
        await guest.prepare()
    elif do == "clear":
        await guest.clear()
    else:
        await guest.fill(kinds_of(load, int(count)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
