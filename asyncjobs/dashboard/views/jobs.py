"""The list of jobs: by state, narrowed by task and queue, page by page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from asyncjobs.dashboard.blocks import Block, block_of
from asyncjobs.dashboard.lines import line
from asyncjobs.dashboard.paging import turn
from asyncjobs.dashboard.query import Filters, find_id, read_filters
from asyncjobs.dashboard.reader import Count, Glance
from asyncjobs.dashboard.views.flash import flash_of
from asyncjobs.dashboard.words import ABOUT
from asyncjobs.job import JobState

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from asyncjobs.dashboard.desk import Desk

MOST_BLOCKED = 10  # processes looked at beside those that live
LONGEST_PASTE = 2000  # characters searched for an id


@dataclass(frozen=True, slots=True)
class Tab:
    """A state to look at, with how many stand in it; None: all."""

    state: JobState | None
    filters: Filters
    count: Count | None
    is_chosen: bool


async def show_jobs(desk: Desk, request: Request) -> Response:
    query = request.query_params
    filters = read_filters(query)
    glance = await desk.reader.glance(filters)
    page = await turn(desk.reader, filters, query.get("after"), query.get("before"))
    known = desk.jobs.tasks
    blocked = [] if filters.task is None else await blocks_of(desk, filters.task)
    lines = [line(row, glance, known) for row in page.rows]
    return desk.page(
        request,
        "jobs",
        filters=filters,
        tabs=[tab(state, filters, glance) for state in (None, *JobState)],
        lines=lines,
        now=page.rows[0]["now"] if page.rows else None,
        page=page,
        address=address(query.get("after"), query.get("before"), page.before is not None),
        about=ABOUT[filters.state],
        blocked=blocked,
        tasks=choices(filters.task, known, *(process.tasks for process in glance.serving)),
        queues=choices(filters.queue, *known_queues(desk, glance)),
        flash=flash_of(query),
    )


async def blocks_of(desk: Desk, task: str) -> list[tuple[str, Block]]:
    """Tell how jobs of this task have blocked the event loop, of each process where they did."""
    found: list[tuple[str, Block]] = []
    for row in await desk.reader.rows("blocks", task, MOST_BLOCKED):
        block = block_of(task, row["block"])
        if block is not None:
            found.append((row["name"], block))
    return found


def address(after: str | None, before: str | None, has_turned: bool) -> dict[str, str]:
    """Tell the place of this page as it is to be asked for again; nothing on the first one."""
    if not has_turned:
        return {}
    return {"before": before} if before else {"after": after} if after else {}


def tab(state: JobState | None, filters: Filters, glance: Glance) -> Tab:
    return Tab(
        state,
        replace(filters, state=state),
        None if state is None else glance.counts[state],
        state is filters.state,
    )


def known_queues(desk: Desk, glance: Glance) -> list[Iterable[str]]:
    """Tell where queues are named: by tasks, by processes that serve them, by jobs that are ready."""
    own = [task.queue for task in desk.jobs.tasks.values()]
    served = [process.queues or () for process in glance.serving]
    return [own, glance.ready_queues, *served]


def choices(chosen: str | None, *sources: Iterable[str]) -> list[str]:
    """Gather the values to choose from; the chosen one is always among them."""
    return sorted({name for source in sources for name in source} | ({chosen} if chosen else set()))


async def find(desk: Desk, request: Request) -> Response:
    """Go to the job whose id was pasted."""
    links, query = desk.links(request), request.query_params
    id = find_id(query.get("id", "")[:LONGEST_PASTE])
    to = links.job(id, Filters()) if id else links.jobs(Filters(), did="no-id")
    return RedirectResponse(to, status_code=303)
