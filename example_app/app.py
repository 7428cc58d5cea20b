"""
The photo desk: a page that takes photos and shows what becomes of them.

Run it with `asyncjobs demo`, or `ASYNCJOBS_DEV=1 uvicorn example_app.app:app`.
"""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from anyio import to_thread
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

from example_app.media import media_from_environment
from example_app.tasks import SIZING_TAKES_AT_MOST, jobs, make_sizes, photos, tidy_up
from example_app.uploads import Arrival, Intake, Limits, Refusal, files_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HERE = Path(__file__).parent
LIMITS = Limits()
templates = Jinja2Templates(HERE / "templates")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    media_from_environment().prepare()
    async with photos.opened(await jobs.address()):
        yield


app = FastAPI(title="Photo desk", lifespan=jobs.lifespan(lifespan))
app.mount("/jobs", jobs.dashboard(), name="dashboard")
app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")


@app.get("/")
async def page(request: Request, before: UUID | None = None) -> Response:
    return await show(request, "index.html", before=before)


@app.get("/desk")
async def desk(request: Request, before: UUID | None = None) -> Response:
    """What changes on the page; its script asks for it again and again."""
    return await show(request, "desk.html", before=before)


@app.get("/photos")
async def list_photos(before: UUID | None = None) -> dict[str, Any]:
    desk = await photos.desk(before)
    return {
        "counts": desk.counts._asdict(),
        "failures": [failure._asdict() for failure in desk.failures],
        "photos": [photo._asdict() for photo in desk.photos],
    }


def from_our_page(request: Request) -> None:
    """Refuse what another site makes a visitor's browser send; curl says nothing, and may."""
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise HTTPException(403, "This came from another site.")


@app.post("/photos", dependencies=[Depends(from_our_page)])
async def upload(request: Request) -> Response:
    """Take one photo or many, or a ZIP of them: `curl -F photo=@beach.jpg localhost:8000/photos`."""
    intake = Intake(media_from_environment(), LIMITS)
    accepted: list[Arrival] = []
    async with files_of(request, LIMITS) as files:
        for file in files:
            arrivals = await to_thread.run_sync(intake.take, file.filename, file.file)
            for arrival in arrivals:
                await accept(arrival)
            accepted += arrivals
    return await answer(request, accepted, intake.refused)


async def accept(arrival: Arrival) -> None:
    """Store a photo and its job in one transaction: there is never the one without the other."""
    async with photos.transaction() as connection:
        sizing = await make_sizes.options(connection=connection).enqueue(arrival.id)
        await photos.add(connection, arrival, sizing.id)


async def answer(request: Request, accepted: list[Arrival], refused: list[Refusal]) -> Response:
    status = 201 if accepted else 422
    if not accepted and not refused:
        refused = [Refusal("nothing", "There was no file in it: curl -F photo=@beach.jpg …")]
    if "text/html" not in request.headers.get("accept", ""):
        body = {
            "accepted": [{"id": str(photo.id), "name": photo.name} for photo in accepted],
            "refused": [refusal._asdict() for refusal in refused],
        }
        return JSONResponse(body, status)
    if refused:
        return await show(request, "index.html", status=status, refused=refused)
    return RedirectResponse(request.url_for("page"), 303)


@app.post("/photos/{photo_id}/remove", dependencies=[Depends(from_our_page)])
async def remove(request: Request, photo_id: UUID) -> Response:
    """Take a photo from the desk. Its files go when no run can be writing them any more."""
    async with photos.transaction() as connection:
        sizing = await photos.remove(connection, photo_id)
        if sizing is None:
            raise HTTPException(404, "There is no such photo.")
        later = tidy_up.options(connection=connection, delay=SIZING_TAKES_AT_MOST)
        await later.enqueue(photo_id)
    await jobs.cancel(sizing)
    return RedirectResponse(request.url_for("page"), 303)


@app.get("/photos/{photo_id}/{pixels}.webp")
async def size(photo_id: UUID, pixels: Literal["320", "800", "1600"]) -> Response:
    path = media_from_environment().size(photo_id, int(pixels))
    if not path.is_file():
        raise HTTPException(404, "There is no such photo, or not yet.")
    return FileResponse(path, headers={"cache-control": "private, max-age=31536000, immutable"})


async def show(
    request: Request,
    template: str,
    *,
    before: UUID | None = None,
    status: int = 200,
    refused: list[Refusal] | None = None,
) -> Response:
    context = {
        "desk": await photos.desk(before),
        "before": before,
        "limits": LIMITS,
        "pid": os.getpid(),
        "refused": refused or [],
    }
    response = templates.TemplateResponse(request, template, context, status_code=status)
    response.headers["content-security-policy"] = POLICY
    response.headers["cache-control"] = "no-store"
    return response


POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
