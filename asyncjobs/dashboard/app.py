"""The dashboard's wiring: routes, doors, and pages for troubles."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route

from asyncjobs.dashboard.access import Allow, Door, Headers, SameOrigin, is_this_machine
from asyncjobs.dashboard.desk import furnish
from asyncjobs.dashboard.troubles import TellTroubles
from asyncjobs.dashboard.views.actions import act
from asyncjobs.dashboard.views.check import show_check
from asyncjobs.dashboard.views.job import show_job
from asyncjobs.dashboard.views.jobs import find, show_jobs
from asyncjobs.dashboard.views.processes import show_processes
from asyncjobs.errors import BadOption

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from asyncjobs.jobs import Jobs


def build(jobs: Jobs, allow: Allow | None = None) -> Starlette:
    """
    Build the dashboard of `jobs`, to be mounted anywhere: `app.mount("/jobs", jobs.dashboard(allow=…))`.

    `allow` is asked about every request: a function of the Starlette request, plain or async, that
    returns True where it may see and change jobs, or a response to send instead, such as a redirect to a
    login. Without one, the dashboard is open in development to browsers on this machine, else to nobody.

    Raises BadOption for what is no function.
    """
    if allow is not None and not callable(allow):
        raise BadOption("allow", "a function of the request", allow)
    desk = furnish(jobs)
    tell = TellTroubles(desk)
    door = default_door(jobs, tell) if allow is None else allow
    app = Starlette(
        routes=[
            Route("/", partial(show_jobs, desk), name="jobs"),
            Route("/find", partial(find, desk), name="find"),
            Route("/job/{id:uuid}", partial(show_job, desk), name="job"),
            Route("/job/{id:uuid}/{verb}", partial(act, desk), name="act", methods=["POST"]),
            Route("/processes", partial(show_processes, desk), name="processes"),
            Route("/check", partial(show_check, desk), name="check"),
            Route("/static/{version}/{name}", desk.assets.serve, name="static"),
        ],
        middleware=[
            Middleware(Headers),
            Middleware(Door, allow=door, tell=tell),
            Middleware(SameOrigin, tell=tell),
        ],
        exception_handlers=cast("Any", tell.handlers),
    )
    # It would name scheme and host, which a proxy may have changed.
    app.router.redirect_slashes = False
    return app


def default_door(jobs: Jobs, tell: TellTroubles) -> Allow:
    async def allow(request: Request) -> bool | Response:
        if not jobs.development:
            return tell(request, 403, "closed")
        return True if is_this_machine(request) else tell(request, 403, "elsewhere")

    return allow
