"""
Who gets in, and which requests may change something.

Three doors, one behind the other. Every response, whatever made it, leaves through the first and
takes the security headers along. The second asks `allow`; without one it opens only in development,
only to this machine. The third lets a request that changes something pass only if the browser says
that it comes from our own pages: there are no tokens, so there is nothing to keep or to leak.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import TYPE_CHECKING, cast
from urllib.parse import SplitResult, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Answer = bool | Response
Allow = Callable[[Request], Answer | Awaitable[Answer]]
Tell = Callable[[Request, int, str], Response]

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: under it browsers send `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "x-robots-tag": "noindex, nofollow",
}
READING = ("GET", "HEAD")

log: logging.Logger = logging.getLogger("asyncjobs.dashboard")


class Headers:
    """The first door: what every response carries."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                protect(MutableHeaders(scope=message))
            await send(message)

        await self.app(scope, receive, send_protected)


def protect(headers: MutableHeaders) -> None:
    """Put the security headers among `headers`; pages are never kept by caches."""
    headers.update(HEADERS)
    headers.setdefault("cache-control", "no-store")


class Door:
    """The second door: asks `allow` about every request but those for our own static files."""

    def __init__(self, app: ASGIApp, allow: Allow, tell: Tell) -> None:
        self.app = app
        self.allow = allow
        self.tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_static(scope):
            refusal = await self.refusal(Request(scope, receive))
            if refusal is not None:
                return await refusal(scope, receive, send)
        return await self.app(scope, receive, send)

    async def refusal(self, request: Request) -> Response | None:
        try:
            answer = await asked(self.allow, request)
            is_no = not isinstance(answer, Response) and not answer
        except HTTPException as told:
            response = self.tell(request, told.status_code, "refused")
            response.headers.update(told.headers or {})
            return response
        except Exception:
            log.exception("the dashboard's allow= raised; nobody gets in while it does")
            return self.tell(request, 403, "allow-raised")
        if isinstance(answer, Response):
            return answer
        if answer is True:
            return None
        if is_no:
            return self.tell(request, 403, "refused")
        # A coroutine that nobody awaited, a class, a function that returns the check: all of them are true.
        log.error(
            "the dashboard's allow= returned a %s; it lets in with True only", kind_of(answer)
        )
        return self.tell(request, 403, "allow-odd")


async def asked(allow: Allow, request: Request) -> Answer:
    """Call `allow`, which may be async or plain; a plain one runs in a thread, as it may block."""
    call = allow if inspect.isroutine(allow) else type(allow).__call__
    if inspect.iscoroutinefunction(call):
        return await cast("Awaitable[Answer]", allow(request))
    answer = await run_in_threadpool(allow, request)
    # A lambda around an async function is plain, and its answer, unawaited, would be true.
    return await answer if inspect.isawaitable(answer) else answer


def kind_of(answer: object) -> str:
    """Name what `allow` returned; a coroutine is ended, as nobody will await it."""
    if inspect.iscoroutine(answer):
        answer.close()
    return type(answer).__name__


class SameOrigin:
    """The third door: what changes something comes from our own pages."""

    def __init__(self, app: ASGIApp, tell: Tell) -> None:
        self.app = app
        self.tell = tell

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in READING:
            request = Request(scope, receive)
            if not is_same_origin(request):
                return await self.tell(request, 403, "cross-site")(scope, receive, send)
        return await self.app(scope, receive, send)


def is_same_origin(request: Request) -> bool:
    """
    Tell whether a page of ours sent this request.

    Browsers set Sec-Fetch-Site themselves and no page can forge it; over plain http to other hosts than
    localhost they leave it out, but send Origin. A request with neither is not a browser's: a script may
    send `Sec-Fetch-Site: same-origin` and pass, if `allow` lets it. X-Forwarded-Host counts as Host,
    since a cross-site form cannot set it either.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = split(request.headers.get("origin", "")).netloc.lower()
    hosts = (request.headers.get("host", ""), request.headers.get("x-forwarded-host", ""))
    return bool(origin) and origin in (host.strip().lower() for host in hosts)


def is_this_machine(request: Request) -> bool:
    """
    Tell whether a browser on this very machine asks: the default of development.

    The address alone would let in any web page that has its own name resolved to 127.0.0.1, and whatever
    a tunnel brings: the name in the address bar has to be this machine's too.
    """
    client = request.client
    name = split(f"//{request.headers.get('host', '')}").hostname or ""
    return (
        client is not None
        and is_loopback(client.host)
        and (is_local_name(name) or is_loopback(name))
    )


def split(address: str) -> SplitResult:
    """Split an address; one that is none has no parts."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


def is_local_name(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def is_loopback(address: str) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return (getattr(ip, "ipv4_mapped", None) or ip).is_loopback


def is_static(scope: Scope) -> bool:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "")).startswith("/static/")
