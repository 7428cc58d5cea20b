"""Pages for when there is nothing to show: what happened, and what to do."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException

from asyncjobs.dashboard.access import protect
from asyncjobs.dashboard.query import UnknownState
from asyncjobs.errors import JobNotFound, NotConnected, Unavailable
from asyncjobs.postgres.failures import Refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from asyncjobs.dashboard.desk import Desk

log: logging.Logger = logging.getLogger("asyncjobs.dashboard")

TROUBLES: Mapping[str, tuple[str, str]] = {
    "closed": (
        "The dashboard is closed",
        "Nobody gets in until the application says who: jobs.dashboard(allow=…) takes a function of the "
        "request, plain or async, that returns True for those who may see and change jobs.",
    ),
    "elsewhere": (
        "The dashboard is open on its own machine only",
        "In development it lets in browsers on the machine that it runs on, at localhost. To open it to "
        "others, pass jobs.dashboard(allow=…), a function of the request that returns True for those who may.",
    ),
    "refused": (
        "You may not see this",
        "The application's allow= did not let this request in. Perhaps you have to sign in again.",
    ),
    "allow-raised": (
        "Nobody can get in now",
        "The application's allow= raised an error, so the door stays shut. The error is in the log.",
    ),
    "allow-odd": (
        "Nobody can get in now",
        "The application's allow= returned something that is neither True nor False nor a response, so the "
        "door stays shut. What it was is in the log.",
    ),
    "may-not": (
        "The role may not do that",
        "The dashboard uses a role of Postgres that has no right to it: it may only look, perhaps. What Postgres "
        "said is in the log.",
    ),
    "cross-site": (
        "That did not come from here",
        "Jobs are only changed by forms of this dashboard. A script that means it sends the header "
        "Sec-Fetch-Site: same-origin, which no other web page can.",
    ),
    "no-page": ("There is no such page", "The address may be mistyped, or of another version."),
    "no-job": (
        "There is no such job",
        "It was never stored, has been deleted, or has been forgotten: finished jobs are kept for a few "
        "days (keep=).",
    ),
    "method": (
        "That is not how it goes",
        "This address only takes what the dashboard's own forms send.",
    ),
    "not-running": (
        "Jobs are not running in this process",
        "The dashboard shows what Postgres knows as soon as the application has started jobs: "
        "FastAPI(lifespan=jobs.lifespan), or async with jobs.running().",
    ),
    "no-answer": (
        "Postgres does not answer",
        "It is down, starting, or busier than it should be. Jobs that run go on as long as they can; this "
        "page shows them again when it answers.",
    ),
    "broken": (
        "This page is broken",
        "That is a fault of the dashboard, not of your jobs. What happened is in the log.",
    ),
}


class TellTroubles:
    """Turns what went wrong into a page that says so."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def __call__(self, request: Request, status: int, trouble: str) -> Response:
        title, words = TROUBLES[trouble]
        response = self.desk.page(request, "trouble", status=status, title=title, words=words)
        if status == 503:
            response.headers["retry-after"] = "2"
        return response

    async def http(self, request: Request, error: HTTPException) -> Response:
        trouble = {404: "no-page", 405: "method"}.get(error.status_code, "refused")
        response = self(request, error.status_code, trouble)
        response.headers.update(error.headers or {})
        return response

    async def no_page(self, request: Request, error: Exception) -> Response:
        return self(request, 404, "no-page")

    async def no_job(self, request: Request, error: Exception) -> Response:
        return self(request, 404, "no-job")

    async def not_running(self, request: Request, error: Exception) -> Response:
        return self(request, 503, "not-running")

    async def no_answer(self, request: Request, error: Exception) -> Response:
        if isinstance(error, Refused) and error.lacks_a_right:
            log.warning("the dashboard lacks a right: %s", error)
            return self(request, 403, "may-not")
        return self(request, 503, "no-answer")

    async def broken(self, request: Request, error: Exception) -> Response:
        # This one is sent from outside the first door, so it has to bring its own headers.
        response = self(request, 500, "broken")
        protect(response.headers)
        return response

    @property
    def handlers(self) -> dict[type[Exception], object]:
        return {
            HTTPException: self.http,
            UnknownState: self.no_page,
            JobNotFound: self.no_job,
            NotConnected: self.not_running,
            Unavailable: self.no_answer,
            Exception: self.broken,
        }
