"""What every view works at: the jobs, the eyes, the templates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from asyncjobs.dashboard import words
from asyncjobs.dashboard.assets import Assets
from asyncjobs.dashboard.json_text import tokens
from asyncjobs.dashboard.lately import Lately
from asyncjobs.dashboard.links import Links
from asyncjobs.dashboard.query import Filters
from asyncjobs.dashboard.reader import Reader

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from asyncjobs.jobs import Jobs

TEMPLATES = Path(__file__).parent / "templates"
FILTERS: Any = {
    "absolute": words.absolute,
    "counted": words.counted,
    "duration": words.duration,
    "number": words.number,
    "size": words.size,
    "tokens": tokens,
}
GLOBALS: Any = {"ago": words.ago}


@dataclass(frozen=True, slots=True)
class Desk:
    """Everything that a view needs and no request brings."""

    jobs: Jobs
    reader: Reader
    lately: Lately
    assets: Assets
    templates: Environment

    def links(self, request: Request) -> Links:
        return Links(request, request.app.router, self.assets.version)

    def page(
        self, request: Request, name: str, *, status: int = 200, **context: object
    ) -> Response:
        """Render a page; for htmx, which comes every two seconds, only the part of it that lives."""
        is_fragment = "hx-request" in request.headers and status == 200
        template = self.templates.get_template(
            f"live/{name}.html" if is_fragment else f"{name}.html"
        )
        # Whoever is not let in need not know how we are.
        alarms = 0 if status in (401, 403) else self.lately.alarms
        told = {"filters": Filters(), "here": name, "alarms": alarms, **context}
        text = template.render(links=self.links(request), **told)
        return HTMLResponse(text, status_code=status, headers={"vary": "HX-Request"})


def furnish(jobs: Jobs) -> Desk:
    """Make a desk; templates are read when first used."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(FILTERS)
    templates.globals.update(GLOBALS)
    return Desk(jobs, Reader(jobs), Lately(jobs), Assets(), templates)
