"""
What can be done to a job: retry, cancel, delete.

Each is a form that posts to an address of its own and is answered by a redirect, so that reloading
the page repeats nothing; htmx follows it like any browser. The filters of the list that one came from
travel in the address, and one returns to it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from asyncjobs.dashboard.query import read_filters
from asyncjobs.errors import JobNotFound

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from asyncjobs.dashboard.desk import Desk
    from asyncjobs.job import JobState
    from asyncjobs.jobs import Jobs


async def act(desk: Desk, request: Request) -> Response:
    """Do what the address says, and go to where the result is seen."""
    filters = read_filters(request.query_params)
    id = request.path_params["id"]
    do = VERBS.get(request.path_params["verb"])
    if do is None:
        raise HTTPException(404)
    did = await do(desk.jobs, id)
    links = desk.links(request)
    to = (
        links.jobs(filters, did=did) if did.endswith("deleted") else links.job(id, filters, did=did)
    )
    return RedirectResponse(to, status_code=303)


async def retry(jobs: Jobs, id: UUID) -> str:
    return "retried" if await jobs.retry(id) else "not-retried"


async def cancel(jobs: Jobs, id: UUID) -> str:
    if not await jobs.cancel(id):
        return "not-cancelled"
    state = await state_of(jobs, id)
    return "cancelled" if state is None or state.is_final else "asked"


async def delete(jobs: Jobs, id: UUID) -> str:
    """Delete a job. One that has been claimed meanwhile is only asked to stop, and that is told instead."""
    if not await jobs.delete(id):
        return "not-deleted"
    return "deleted" if await state_of(jobs, id) is None else "asked"


async def state_of(jobs: Jobs, id: UUID) -> JobState | None:
    try:
        return (await jobs.get(id)).state
    except JobNotFound:
        return None


VERBS: Mapping[str, Callable[[Jobs, UUID], Awaitable[str]]] = {
    "retry": retry,
    "cancel": cancel,
    "delete": delete,
}
