"""
What happens behind the page.

`make_sizes` is CPU work, a plain function: it runs in a thread. `caption` asks a service that fails now
and then: it is tried again, later and later. `tidy_up` runs some minutes after.

A job can run twice, when a process dies in the middle of it. So each task may be repeated: files are
replaced as a whole, rows are written with the same values, and what follows a photo's sizes is stored in
the transaction that says that the sizes are there, once.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from anyio import from_thread, to_thread

from asyncjobs import Cancel, Jobs, current_job, exponential
from example_app import pictures
from example_app.captions import ServiceDown, ask_for_caption
from example_app.media import media_from_environment
from example_app.photos import Photos

SIZING_TAKES_AT_MOST = timedelta(minutes=2)
KEEP_ORIGINALS = timedelta(minutes=10)

jobs = Jobs(slots=4)  # the process serves the page too
photos = Photos()


@jobs.task(
    retry=exponential(max_attempts=3, discard_on=pictures.UnreadablePicture),
    timeout=SIZING_TAKES_AT_MOST,
)
def make_sizes(photo_id: UUID) -> Cancel | None:
    """Make three sizes of an original. A file that is no picture fails at once: it will not get better."""
    if not from_thread.run(wants_sizes, photo_id):
        return Cancel("the photo was removed, or another run has made its sizes")
    media = media_from_environment()
    dimensions = pictures.make_sizes(media.original(photo_id), media.sizes(photo_id), report)
    from_thread.run(store_sizes, photo_id, dimensions)
    return None


def report(fraction: float, note: str) -> None:
    """Tell how far it is, and stop between two steps when asked to: nobody can stop a thread."""
    current_job().report(fraction, note)
    current_job().raise_if_cancelled()


async def wants_sizes(photo_id: UUID) -> bool:
    async with photos.transaction() as connection:
        return await photos.is_unsized(connection, photo_id)


async def store_sizes(photo_id: UUID, dimensions: pictures.Dimensions) -> None:
    """Tell that the sizes are there and enqueue what follows, in one transaction."""
    async with photos.transaction() as connection:
        if await photos.is_unsized(connection, photo_id):
            asking = await caption.options(connection=connection).enqueue(photo_id)
            await tidy_up.options(connection=connection, delay=KEEP_ORIGINALS).enqueue(photo_id)
            await photos.sized(connection, photo_id, dimensions, asking.id, KEEP_ORIGINALS)


@jobs.task(
    priority=10,  # lower goes first: sizes before captions
    retry=exponential(max_attempts=8, cap=timedelta(seconds=30), retry_on=ServiceDown),
    timeout=timedelta(seconds=20),
)
async def caption(photo_id: UUID) -> str | Cancel:
    """Ask what is in the picture, again and again while the service is down."""
    if not await photos.exists(photo_id):
        return Cancel("the photo was removed")
    thumbnail = media_from_environment().size(photo_id, min(pictures.SIZES))
    words = await ask_for_caption(thumbnail, attempt=current_job().attempt)
    await photos.captioned(photo_id, words)
    return words


@jobs.task(priority=20)
async def tidy_up(photo_id: UUID) -> None:
    """Give back the original's place on the disk; of a photo that was removed, that of its sizes too."""
    media = media_from_environment()
    forget = media.forget_original if await photos.exists(photo_id) else media.forget
    await to_thread.run_sync(forget, photo_id)
