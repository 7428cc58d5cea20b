"""
Hostile requests, and what no answer to them may be.

Requests are made as a server hands them on after it has read them from the wire: a path of any characters,
any bytes in query, headers and body, a body that ends in the middle. Answers are read with a real HTML
parser. Elements and attributes are known from the templates themselves, so whatever else is found in a page
has come from a request or from a row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser
from starlette.routing import Route

import asyncjobs.dashboard
from asyncjobs import JobState
from asyncjobs.dashboard.access import HEADERS

if TYPE_CHECKING:
    from starlette.applications import Starlette

ROOT = "/jobs"
TEMPLATES = Path(asyncjobs.dashboard.__file__).parent / "templates"
MARKUP = "\n".join(path.read_text(encoding="utf-8") for path in TEMPLATES.rglob("*.html"))
ADDRESSES = (
    "href",
    "src",
    "action",
    "formaction",
    "hx-get",
    "hx-post",
    "xlink:href",
    "data",
    "poster",
)
FORGED = "zqx"  # an element, an attribute and a header of this name are nobody's but ours

EVIL = [
    "<zqx>",
    '"><zqx>',
    "'><zqx>",
    '" zqx="1',
    "' zqx='1",
    " zqx=1 ",
    "</title><zqx>",
    "</script><zqx>",
    "</style><zqx>",
    "</pre></code><zqx>",
    "</option></select><zqx>",
    "</textarea></noscript></template><zqx>",
    "--><zqx><!--",
    "]]><zqx>",
    "<zqx/onload=alert(1)>",
    "<img src=x onerror=zqx>",
    "<svg><use href='data:image/svg+xml,zqx'>",
    "javascript:zqx",
    "data:text/html,<zqx>",
    "//zqx.example/",
    "\\\\zqx.example\\",
    "&lt;zqx&gt;&#60;zqx&#62;&quot; zqx=&quot;",
    "%3Czqx%3E%22%20zqx=",
    "\u2028<zqx>\u202e\ufeff",
    "{{ 7 * 7 }}{% raw %}<zqx>{# ",
    "\r\nzqx: 1\r\n\r\n<zqx>",
    "\x1b]0;zqx\x07<zqx>",
    "'; drop table asyncjobs.job; --",
    "../../../../etc/passwd%00",
    "x" * 5000,
]
UNSTORABLE = ["\0<zqx>", "a\0b", "\ud800<zqx>"]


class Ours(HTMLParser):
    """The elements and attributes that the templates have."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = {"html", "head", "body", "tbody"}
        self.attributes: set[str] = set()
        self.feed(re.sub(r"{{.*?}}", "x", re.sub(r"{%.*?%}|{#.*?#}", " ", MARKUP)))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.attributes.update(name for name, _ in attrs)


OURS = Ours()


@dataclass(frozen=True)
class Hostile:
    """One request. `is_ours`: a browser would say that it comes from a page of the dashboard."""

    method: str
    path: str  # as on the wire: percent-encoded
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: Sequence[bytes]
    hangs_up: bool
    is_ours: bool

    @property
    def reads(self) -> bool:
        return self.method in ("GET", "HEAD")


@dataclass
class Answer:
    """What came back, message by message."""

    starts: list[tuple[int, list[tuple[bytes, bytes]]]] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    is_whole: bool = False

    @property
    def status(self) -> int:
        return self.starts[0][0]

    @property
    def headers(self) -> Mapping[str, str]:
        return {name.decode().lower(): value.decode("latin-1") for name, value in self.starts[0][1]}

    @property
    def text(self) -> str:
        return b"".join(self.parts).decode("utf-8")


async def send(app: Starlette, hostile: Hostile) -> Answer:
    """Hand a request to a dashboard that is mounted at /jobs."""
    answer = Answer()
    waiting = list(hostile.body)

    async def receive() -> dict[str, Any]:
        if waiting:
            chunk = waiting.pop(0)
            more = bool(waiting) or hostile.hangs_up
            return {"type": "http.request", "body": chunk, "more_body": more}
        if hostile.hangs_up:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def take(message: Any) -> None:
        if message["type"] == "http.response.start":
            answer.starts.append((message["status"], list(message["headers"])))
        elif message["type"] == "http.response.body":
            answer.parts.append(message.get("body", b""))
            answer.is_whole = not message.get("more_body", False)

    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": hostile.method, "scheme": "http", "path": unquote(hostile.path),
        "raw_path": hostile.path.encode("ascii"), "query_string": hostile.query, "root_path": ROOT,
        "headers": list(hostile.headers), "client": ("203.0.113.7", 50000), "server": ("localhost", 80),
        "state": {},
    }  # fmt: skip
    await app(scope, receive, take)
    return answer


def routes_of(app: Starlette) -> dict[str, Route]:
    """All routes of a dashboard by name: one that is new is among them."""
    return {route.name: route for route in app.routes if isinstance(route, Route)}


texts = st.one_of(
    st.sampled_from(EVIL + UNSTORABLE),
    st.text(max_size=30),
    st.builds("{}{}".format, st.sampled_from(EVIL), st.text(max_size=5)),
)
numbers = st.integers(-(10**30), 10**30).map(str)
hexes = st.text("0123456789abcdef-", min_size=30, max_size=40)
places = st.lists(st.one_of(numbers, hexes, texts), min_size=1, max_size=4).map(".".join)
states = st.sampled_from([*JobState, *JobState, *JobState, "", "all"])


def encoded(text: str) -> str:
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


raw = st.one_of(
    texts.map(encoded),
    st.binary(max_size=30).map(quote),
    st.text("/.%;:@&=+$,~!*'()abcXYZ019-_", max_size=20),
    st.sampled_from(["..", ".", "%2e%2e", "%2f", "%00", "%0a", "%ff", "", "a//b", "%u0041", "%%%"]),
)


def paths(route: Route, ids: Sequence[str]) -> st.SearchStrategy[str]:
    """Paths of that shape, what varies in them being anything; and some that are no more of that shape."""
    known = {
        "id": st.one_of(*[st.sampled_from(ids)] * 8, hexes, raw),
        "verb": st.one_of(*[st.sampled_from(["retry", "cancel", "delete"])] * 4, raw),
        "version": raw,
        "name": st.one_of(st.sampled_from(["app.css", "app.js", "marks.svg", "VENDOR.md"]), raw),
    }
    parts = [
        known.get(part.strip("{}").partition(":")[0], raw) if "{" in part else st.just(part)
        for part in route.path.split("/")
    ]
    shaped = st.tuples(*parts).map("/".join)
    return st.one_of(*[shaped] * 9, st.builds("{}{}".format, shaped, raw))


pairs = st.one_of(
    st.tuples(st.just("state"), st.one_of(*[states] * 8, texts)),
    st.tuples(st.sampled_from(["after", "before"]), st.one_of(places, texts)),
    st.tuples(st.just("did"), st.one_of(st.sampled_from(["retried", "deleted", "no-id"]), texts)),
    st.tuples(st.sampled_from(["task", "queue", "id", "other"]), st.one_of(texts, places)),
)
written = st.lists(pairs, max_size=6).map(
    lambda found: "&".join(f"{name}={encoded(value)}" for name, value in found).encode()
)
queries = st.one_of(*[written] * 6, st.binary(max_size=60), raw.map(str.encode))
values = st.one_of(
    texts.map(lambda text: text.encode("utf-8", "replace")), st.binary(max_size=40)
).map(lambda value: re.sub(rb"[\r\n\0]", b" ", value))
OUR_HEADERS = st.sampled_from(
    [
        [(b"sec-fetch-site", b"same-origin")],
        [(b"origin", b"http://localhost")],
        [(b"origin", b"http://localhost"), (b"sec-fetch-site", b"same-origin")],
    ]
)
FOREIGN_HEADERS = st.one_of(
    st.sampled_from(
        [
            [],
            [(b"sec-fetch-site", b"cross-site")],
            [(b"sec-fetch-site", b"same-site")],
            [(b"sec-fetch-site", b"none"), (b"origin", b"http://localhost")],
            [(b"sec-fetch-site", b"")],
            [(b"sec-fetch-site", b"Same-Origin")],
            [(b"sec-fetch-site", b"same-origin, same-origin")],
            [(b"origin", b"null")],
            [(b"origin", b"http://localhost:81")],
            [(b"origin", b"http://localhost.evil.example")],
            [(b"origin", b"http://evil.example/localhost")],
            [(b"origin", b"http://evil@localhost")],
            [(b"origin", b"localhost")],
            [(b"origin", b"http://[")],
            [(b"referer", b"http://localhost/jobs/")],
        ]
    ),
    values.map(lambda value: [(b"sec-fetch-site", b"x" + value)]),
    values.map(lambda value: [(b"origin", b"http://x" + value)]),
)
others = st.lists(
    st.tuples(
        st.sampled_from(
            [
                b"hx-request", b"hx-current-url", b"accept", b"accept-encoding", b"cookie", b"authorization",
                b"content-type", b"content-length", b"transfer-encoding", b"range", b"if-none-match",
                b"if-modified-since", b"x-forwarded-proto", b"x-forwarded-for", b"x-forwarded-prefix",
                b"x-http-method-override", b"x-original-url", b"user-agent", b"te", b"zqx",
            ]
        ),
        values,
    ),
    max_size=5,
)  # fmt: skip
common = st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "POST"])
odd = st.sampled_from(
    ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "QUERY", "<ZQX>"]
)
methods = st.one_of(common, common, common, common, odd)


@st.composite
def hostile_requests(draw: st.DrawFn, of: st.SearchStrategy[str]) -> Hostile:
    """Draw one to a path of these."""
    is_ours = draw(st.booleans())
    return Hostile(
        method=draw(methods),
        path=ROOT + draw(of),
        query=draw(queries),
        headers=[
            (b"host", b"localhost"),
            *draw(OUR_HEADERS if is_ours else FOREIGN_HEADERS),
            *draw(others),
        ],
        body=draw(st.lists(st.one_of(st.binary(max_size=50), queries), max_size=3)),
        hangs_up=draw(st.integers(0, 9)) == 0,
        is_ours=is_ours,
    )


ALLOWED = (200, 303, 403, 404, 405)


def check_answer(hostile: Hostile, answer: Answer) -> None:
    """Fail for a server error, a traceback, a header or markup that is not ours."""
    assert len(answer.starts) == 1
    assert answer.is_whole
    assert answer.status in ALLOWED, answer.text
    headers = answer.headers
    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert FORGED not in headers
    assert not any(set("\r\n\0") & set(value) for value in headers.values())
    assert "set-cookie" not in headers
    text = answer.text
    assert "Traceback (most recent call last)" not in text
    if "location" in headers:
        check_address(headers["location"])
    if headers.get("content-type", "").startswith("text/html"):
        check_markup(text)
    elif answer.status != 200:
        assert text == ""
    if not hostile.reads and not hostile.is_ours:
        assert answer.status == 403


def check_markup(text: str) -> None:
    for node in LexborHTMLParser(text).root.traverse():  # type: ignore[union-attr]
        if node.tag in ("-text", "-doctype", "#document"):
            continue
        assert node.tag in OURS.elements, node.html
        attributes = {name.lower(): value or "" for name, value in node.attributes.items()}
        assert not [name for name in attributes if name not in OURS.attributes], node.html
        for name in ADDRESSES:
            if name in attributes and not attributes[name].startswith("#"):
                check_address(attributes[name])
        if node.tag == "script":
            assert attributes.get("src", "").startswith(f"{ROOT}/static/")
            assert not node.text()
        assert node.tag not in ("style", "iframe", "object", "embed", "base"), node.html


def check_address(address: str) -> None:
    """It leads to this dashboard and nowhere else."""
    place = address.partition("#")[0]
    assert place.startswith(f"{ROOT}/"), address
    assert not {"\\", *" \t\r\n"} & set(place), address
    assert place.isascii(), address
