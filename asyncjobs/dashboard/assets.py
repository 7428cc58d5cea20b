"""The static files: read once, served under an address that changes with their content."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

HERE = Path(__file__).parent / "static"
TYPES = {
    "app.css": "text/css",
    "app.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "marks.svg": "image/svg+xml",
}
FOR_EVER = "public, max-age=31536000, immutable"


class Assets:
    """All static files, and the version that they have together."""

    def __init__(self) -> None:
        self._files = {name: (HERE / name).read_bytes() for name in TYPES}
        self.version: str = sha256(b"".join(self._files.values())).hexdigest()[:12]

    async def serve(self, request: Request) -> Response:
        """
        Answer a static file.

        Under the address of another version, as a page of another process may ask for while a new version
        is rolled out, it is served too but never kept: caches would keep it for a year.
        """
        name = request.path_params["name"]
        content = self._files.get(name)
        if content is None:
            return Response(status_code=404)
        is_ours = request.path_params["version"] == self.version
        caching = {"cache-control": FOR_EVER if is_ours else "no-store"}
        return Response(content, media_type=TYPES[name], headers=caching)
