"""The photos that we know: a table of our own, in a pool of our own."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import asyncpg

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import timedelta
    from typing import TypeAlias

    from asyncpg.pool import PoolConnectionProxy

    from example_app.pictures import Dimensions
    from example_app.uploads import Arrival

    Connection: TypeAlias = PoolConnectionProxy[asyncpg.Record]

ON_A_PAGE = 240
FAILURES_SHOWN = 20


class Photo(NamedTuple):
    """A photo on the page, with what its jobs say of it at this moment."""

    id: UUID
    name: str
    bytes: int
    width: int | None
    height: int | None
    job_id: UUID
    state: str  # waiting, working, ready or failed
    progress: float
    note: str
    caption: str | None
    caption_comes: bool
    caption_failures: int
    original_kept: bool


class Failure(NamedTuple):
    """A photo that has no sizes and will have none, unless somebody tries its job again."""

    id: UUID
    name: str
    job_id: UUID
    reason: str

    @property
    def words(self) -> str:
        """The reason without the name of the exception: visitors need not know our classes."""
        kind, _, words = self.reason.partition(": ")
        return words if words and kind.isidentifier() else self.reason


class Counts(NamedTuple):
    ready: int
    working: int
    waiting: int
    failed: int


class Desk(NamedTuple):
    """All that the page shows."""

    counts: Counts
    failures: list[Failure]
    photos: list[Photo]  # those that did not fail
    older: UUID | None  # there are more photos before this one


class Photos:
    """The table of photos. Usable within `async with photos.opened(dsn)`."""

    def __init__(self) -> None:
        self._pool: asyncpg.Pool[asyncpg.Record]

    @asynccontextmanager
    async def opened(self, dsn: str) -> AsyncIterator[None]:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=5) as self._pool:
            await self._pool.execute(statement("schema"))
            yield

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection

    async def add(self, connection: Connection, arrival: Arrival, sizing: UUID) -> None:
        await connection.execute(statement("add"), *arrival, sizing)

    async def is_unsized(self, connection: Connection, photo_id: UUID) -> bool:
        return bool(await connection.fetchval(statement("unsized"), photo_id))

    async def sized(
        self,
        connection: Connection,
        photo_id: UUID,
        dimensions: Dimensions,
        captioning: UUID,
        keep: timedelta,
    ) -> None:
        await connection.execute(statement("sized"), photo_id, *dimensions, captioning, keep)

    async def captioned(self, photo_id: UUID, caption: str) -> None:
        async with self.transaction() as connection:
            await connection.execute(statement("captioned"), photo_id, caption)

    async def exists(self, photo_id: UUID) -> bool:
        async with self.transaction() as connection:
            return bool(await connection.fetchval(statement("exists"), photo_id))

    async def remove(self, connection: Connection, photo_id: UUID) -> UUID | None:
        """Give the job that was to size it, or None when there is no such photo."""
        sizing: UUID | None = await connection.fetchval(statement("remove"), photo_id)
        return sizing

    async def desk(self, before: UUID | None = None) -> Desk:
        """Everything on the page: the newest photos, or those that came before one of them."""
        async with self.transaction() as connection:
            [counts] = await connection.fetch(statement("counts"))
            failures = await connection.fetch(statement("failed"), FAILURES_SHOWN)
            rows = await connection.fetch(statement("list"), ON_A_PAGE, before)
        shown = [Photo(**row) for row in rows]
        return Desk(
            Counts(**counts),
            [Failure(**row) for row in failures],
            [photo for photo in shown if photo.state != "failed"],
            shown[-1].id if len(shown) == ON_A_PAGE else None,
        )


@cache
def statement(name: str) -> str:
    return files("example_app").joinpath("sql", f"{name}.sql").read_text()
