"""The processes: who lives, and what they run; who ended lately, and how."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from asyncjobs.dashboard.desk import Desk
    from asyncjobs.dashboard.reader import Row

MOST = 100  # processes shown
MOST_RUNNING = 12  # jobs shown of each
MOST_ENDED = 20


async def show_processes(desk: Desk, request: Request) -> Response:
    processes = await desk.reader.rows("processes", MOST)
    ended = await desk.reader.rows("ended", MOST_ENDED)
    running: dict[int, list[Row]] = defaultdict(list)
    for job in await desk.reader.rows(
        "running", [process["id"] for process in processes], MOST_RUNNING
    ):
        running[job["claimed_by"]].append(job)
    return desk.page(
        request, "processes", processes=processes, running=running, ended=ended, flash=None
    )
