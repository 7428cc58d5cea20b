"""Where things are: every address of the dashboard, wherever it is mounted and whatever prefix a proxy adds."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import UUID

from asyncjobs.dashboard.query import Filters, write_query

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import Router


class Links:
    """Paths without scheme and host: a proxy that ends TLS cannot make them point to the wrong place."""

    def __init__(self, request: Request, router: Router, version: str) -> None:
        root: str = request.scope.get("root_path", "")
        self._root = (
            quote("/" + root.strip("/"), safe="/%:@!$&'()*+,;=~") if root.strip("/") else ""
        )
        self._router, self._version = router, version

    def _path(self, route: str, /, **parameters: object) -> str:
        return self._root + str(self._router.url_path_for(route, **parameters))

    def jobs(self, filters: Filters, **more: str) -> str:
        return self._path("jobs") + write_query([*filters.pairs, *more.items()])

    def job(self, id: UUID, filters: Filters, **more: str) -> str:
        return self._path("job", id=id) + write_query([*filters.pairs, *more.items()])

    def act(self, id: UUID, verb: str, filters: Filters) -> str:
        return self._path("act", id=id, verb=verb) + write_query(filters.pairs)

    def find(self) -> str:
        return self._path("find")

    def processes(self) -> str:
        return self._path("processes")

    def check(self) -> str:
        return self._path("check")

    def static(self, name: str) -> str:
        return self._path("static", version=self._version, name=name)
