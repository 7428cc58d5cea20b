"""The tasks of the photo desk, called here and now on a real Postgres."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest

from example_app import app, tasks
from example_app.media import media_from_environment
from example_app.pictures import Dimensions
from example_app.uploads import Arrival
from tests.example_app import cameras

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from uuid import UUID

    from example_app.media import Media

JOBS = "select split_part(task, '.', -1) from asyncjobs.job order by id"


@pytest.fixture
async def media(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Media]:
    """The files of a desk whose jobs are stored and not run."""
    monkeypatch.setenv("DATABASE_URL", empty_database)
    monkeypatch.setenv("ASYNCJOBS_DEV", "1")
    monkeypatch.setenv("PHOTO_DESK_MEDIA", str(tmp_path))
    media = media_from_environment()
    media.prepare()
    async with tasks.jobs.connected(), tasks.photos.opened(empty_database):
        yield media


async def arrived(media: Media) -> UUID:
    arrival = Arrival(uuid4(), "a.jpg", 3)
    media.original(arrival.id).write_bytes(cameras.jpeg())
    await app.accept(arrival)
    return arrival.id


@asynccontextmanager
async def connection() -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(await tasks.jobs.address())
    yield connection
    await connection.close()


async def stored_jobs() -> list[str]:
    async with connection() as sql:
        return [row[0] for row in await sql.fetch(JOBS)]


async def test_a_photo_and_its_job_exist_together_or_not_at_all(media: Media) -> None:
    arrival = Arrival(await arrived(media), "the same once more.jpg", 3)

    with pytest.raises(asyncpg.UniqueViolationError):
        await app.accept(arrival)

    assert await stored_jobs() == ["make_sizes"]
    assert (await tasks.photos.desk()).counts.waiting == 1


async def test_what_follows_the_sizes_is_enqueued_once_however_often_they_are_made(
    media: Media,
) -> None:
    photo_id = await arrived(media)

    await tasks.store_sizes(photo_id, Dimensions(640, 480))
    await tasks.store_sizes(photo_id, Dimensions(640, 480))

    assert sorted(await stored_jobs()) == ["caption", "make_sizes", "tidy_up"]
    assert not await tasks.wants_sizes(photo_id)


async def test_the_original_is_kept_for_ten_minutes(media: Media) -> None:
    photo_id = await arrived(media)

    await tasks.store_sizes(photo_id, Dimensions(640, 480))

    due = "select run_at - now() from asyncjobs.job where task like '%tidy_up' and state = 'scheduled'"
    async with connection() as sql:
        assert abs(await sql.fetchval(due) - tasks.KEEP_ORIGINALS).total_seconds() < 30
    assert (await tasks.photos.desk()).photos[0].original_kept


async def test_tidying_up_removes_the_original_and_leaves_the_sizes(media: Media) -> None:
    photo_id = await arrived(media)
    media.sizes(photo_id).mkdir()

    await tasks.tidy_up(photo_id)
    await tasks.tidy_up(photo_id)

    assert not media.original(photo_id).exists()
    assert media.sizes(photo_id).exists()


async def test_of_a_removed_photo_no_file_is_left(media: Media) -> None:
    photo_id = await arrived(media)
    media.sizes(photo_id).mkdir()
    async with tasks.photos.transaction() as connection:
        await tasks.photos.remove(connection, photo_id)

    await tasks.tidy_up(photo_id)

    assert not media.original(photo_id).exists()
    assert not media.sizes(photo_id).exists()
