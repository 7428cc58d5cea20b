"""
Pages of a list, by key: what it costs does not depend on how far one has turned.

Each list walks one index in one order, and a place in it is the key of a row. With a filter on task or
queue, which no index knows, a page looks at so many rows at most and then asks whether to look further:
a rare task among ten million finished jobs answers at once, if not at once with all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from asyncjobs.dashboard.query import (
    FIRST,
    LAST,
    Filters,
    Kind,
    Position,
    read_position,
    write_position,
)
from asyncjobs.dashboard.reader import WINDOW, Reader, Row
from asyncjobs.job import JobState

SIZE = 50  # rows of a page

LEAST_ID, GREATEST_ID = UUID(int=0), UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class Listing:
    """How a list is ordered: its statements, the columns of its key, and the place before its first row."""

    name: str
    key: Mapping[str, Kind]
    start: Position
    back: str = "Newer"
    on: str = "Older"
    window: int = WINDOW  # rows that a page looks at where filters are narrow

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return tuple(self.key.values())

    def position(self, row: Row) -> str:
        return write_position(tuple(row[column] for column in self.key))


FINISHED = Listing("finished", {"finished_at": "moment", "id": "id"}, (LAST, LEAST_ID))
LISTINGS: Mapping[JobState | None, Listing] = {
    None: Listing("all", {"id": "id"}, (GREATEST_ID,)),
    JobState.HELD: Listing("held", {"id": "id"}, (LEAST_ID,), "Earlier", "Later"),
    JobState.SCHEDULED: Listing(
        "scheduled", {"run_at": "moment", "id": "id"}, (FIRST, LEAST_ID), "Sooner", "Later"
    ),
    JobState.READY: Listing(
        "ready",
        {"priority": "number", "promise": "moment", "id": "id"},
        (-(2**15), FIRST, LEAST_ID),
        "Sooner",
        "Later",
        window=WINDOW // 5,  # of each queue, and then they are merged
    ),
    JobState.RUNNING: Listing(
        "running", {"claimed_at": "moment", "id": "id"}, (FIRST, LEAST_ID), "Longer", "Shorter"
    ),
    JobState.SUCCEEDED: FINISHED,
    JobState.FAILED: FINISHED,
    JobState.CANCELLED: FINISHED,
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page of rows, and the places before and after it."""

    listing: Listing
    rows: tuple[Row, ...]
    before: str | None = None
    after: str | None = None
    looked_at: int | None = None  # rows, when the page ended because it had looked at enough


async def turn(reader: Reader, filters: Filters, after: str | None, before: str | None) -> Page:
    """Read the page after or before a place; the first one when there is none, or none that makes sense."""
    listing = LISTINGS[filters.state]
    back = read_position(before, listing.kinds)
    if back is not None:
        page = await backwards(reader, listing, filters, back)
        if page is not None:
            return page
        after = None
    return await onwards(reader, listing, filters, read_position(after, listing.kinds))


async def onwards(
    reader: Reader, listing: Listing, filters: Filters, place: Position | None
) -> Page:
    shown, last = await walk(reader, listing, "after", filters, place or listing.start)
    before = None
    if place is not None:
        before = listing.position(shown[0]) if shown else write_position(place)
    return Page(
        listing,
        tuple(shown),
        before=before,
        after=listing.position(last) if last is not None else None,
        looked_at=listing.window if last is not None and len(shown) < SIZE else None,
    )


async def backwards(
    reader: Reader, listing: Listing, filters: Filters, place: Position
) -> Page | None:
    """Read the page before a place; None where the list begins: the first page had better be a full one."""
    shown, last = await walk(reader, listing, "before", filters, place)
    if last is None:
        return None
    shown.reverse()
    return Page(
        listing,
        tuple(shown),
        before=listing.position(last),
        after=listing.position(shown[-1]) if shown else write_position(place),
        looked_at=listing.window if len(shown) < SIZE else None,
    )


async def walk(
    reader: Reader,
    listing: Listing,
    way: Literal["after", "before"],
    filters: Filters,
    place: Position,
) -> tuple[list[Row], Row | None]:
    """Read the rows of a page, and the row at which to go on: None when the list has ended."""
    window = listing.window if filters.are_narrow else SIZE + 1
    state = [filters.state] if listing is FINISHED else []
    rows = await reader.rows(
        f"{listing.name}_{way}", filters.task, filters.queue, window, SIZE + 1, *place, *state
    )
    found = [row for row in rows if row["matches"]]
    if len(found) > SIZE:
        return found[:SIZE], found[SIZE - 1]
    return found, rows[-1] if rows and rows[-1]["step"] == window else None
