"""
`/live` and `/ready`, for whoever keeps a process running: Kubernetes, a platform, a load balancer.

Answered from memory alone: a flood of questions reaches nothing but this process. The bodies hold our own
words and numbers, never what Postgres or Python said, since the port may be anybody's to ask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asyncjobs.health import Check, is_alive, is_ready, wrong

Look = Callable[[], Sequence[Check]]

HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def probes(look: Look) -> Starlette:
    """
    Build an app that answers `/live` and `/ready` with 200 or 503, and each check by its name.

    `look` gives the checks; it must not wait for anything.
    """

    async def live(request: Request) -> Response:
        checks = look()
        return answer("live", is_alive(checks), checks)

    async def ready(request: Request) -> Response:
        checks = look()
        return answer("ready", is_ready(checks), checks)

    app = Starlette(routes=[Route("/live", live), Route("/ready", ready)])
    app.router.redirect_slashes = False
    return app


def answer(question: str, yes: bool, checks: Sequence[Check]) -> Response:
    """Say yes or no, and why."""
    body = {
        question: yes,
        "wrong": list(wrong(checks)),
        "checks": {
            check.name: {"status": check.verdict, "value": check.value, "words": check.words}
            for check in checks
        },
    }
    return JSONResponse(body, status_code=200 if yes else 503, headers=HEADERS)
