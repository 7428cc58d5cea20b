"""The page of one job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncjobs.dashboard.query import read_filters
from asyncjobs.dashboard.story import tell
from asyncjobs.dashboard.values import values
from asyncjobs.dashboard.views.flash import flash_of
from asyncjobs.errors import JobNotFound

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from asyncjobs.dashboard.desk import Desk

LONGEST = 20_000  # characters shown of arguments, result, error and traceback
LARGEST = 256_000  # stored bytes of JSON that are opened at all


async def show_job(desk: Desk, request: Request) -> Response:
    filters = read_filters(request.query_params)
    id = request.path_params["id"]
    rows = await desk.reader.rows("job", id, LONGEST, LARGEST)
    if not rows:
        raise JobNotFound(id)
    glance = await desk.reader.glance(filters)
    return desk.page(
        request,
        "job",
        filters=filters,
        job=rows[0],
        story=tell(rows[0], glance),
        values=list(values(rows[0], desk.jobs.tasks)),
        longest=LONGEST,
        flash=flash_of(request.query_params),
    )
