"""The processes: who lives, and what they run; who ended lately, and how."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from asyncjobs.dashboard.blocks import blocks

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from asyncjobs.dashboard.desk import Desk
    from asyncjobs.dashboard.reader import Row
    from asyncjobs.health import Manners

MOST = 100  # processes shown
MOST_RUNNING = 12  # jobs shown of each
MOST_BLOCKED = 5  # tasks
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
        request,
        "processes",
        processes=processes,
        running=running,
        blocks={process["id"]: blocks(process["blocks"])[:MOST_BLOCKED] for process in processes},
        manners=_manners(desk),
        ended=ended,
        flash=None,
    )


def _manners(desk: Desk) -> dict[int, Manners]:
    """How jobs give way in the process that answers: only its own are known to it, nothing of them is stored."""
    executor, manners = desk.jobs.executor, desk.jobs.health().manners
    if executor is None or executor.process_id is None or manners is None:
        return {}
    return {executor.process_id: manners}
