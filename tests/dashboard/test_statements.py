"""Every statement of the dashboard walks an index, on the settings of our connections."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest

from asyncjobs.dashboard.paging import LISTINGS
from asyncjobs.postgres.session import SETTINGS
from asyncjobs.postgres.statements import Statements

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STATEMENTS = Statements("asyncjobs.dashboard", "asyncjobs")
SAMPLES = {"id": UUID(int=0), "moment": datetime(2026, 1, 1, tzinfo=UTC), "number": 0}


@pytest.fixture
async def ours(database: str) -> AsyncIterator[asyncpg.Connection]:
    known = {name: value for name, value in SETTINGS.items() if name != "idle_session_timeout"}
    connection = await asyncpg.connect(database, server_settings=known)
    yield connection
    await connection.close()


def arguments() -> dict[str, list[object]]:
    """Arguments for each statement."""
    found: dict[str, list[object]] = {
        "counts": [1], "matching": ["t", "q", 1], "ready_queues": [1], "serving": [], "processes": [1],
        "ended": [1], "running": [[1], 1], "job": [UUID(int=0), 1, 1], "blocks": ["t", 1],
    }  # fmt: skip
    for listing in LISTINGS.values():
        place = [SAMPLES[kind] for kind in listing.kinds]
        state: list[object] = ["failed"] if listing.name == "finished" else []
        for way in ("after", "before"):
            found[f"{listing.name}_{way}"] = ["t", None, 10, 5, *place, *state]
    return found


LISTS = [
    name for name in sorted(arguments()) if re.fullmatch(r"(?!running).+_(after|before)", name)
]


def test_every_statement_is_known() -> None:
    assert set(STATEMENTS) == set(arguments())


@pytest.mark.parametrize("name", sorted(arguments()))
async def test_no_table_of_jobs_is_read_as_a_whole(ours: asyncpg.Connection, name: str) -> None:
    plan = "\n".join(
        row[0] for row in await ours.fetch(f"explain {STATEMENTS[name]}", *arguments()[name])
    )

    assert not re.search(r"Seq Scan on (job|archive)", plan), plan


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_is_read_in_the_order_of_its_index(
    ours: asyncpg.Connection, name: str
) -> None:
    plan = "\n".join(
        row[0] for row in await ours.fetch(f"explain {STATEMENTS[name]}", *arguments()[name])
    )

    assert "Bitmap" not in plan, plan
    # Ready merges its queues, scheduled sorts what is due at one moment.
    assert name.startswith("ready") or not re.search(r"(?<!Incremental )Sort  ", plan), plan


@pytest.mark.parametrize("name", sorted(STATEMENTS))
def test_every_statement_says_what_it_promises(name: str) -> None:
    text = STATEMENTS[name]

    assert text.startswith("-- ")
    assert re.search(r"^-- .*(Walks|walks|Leaps|found by leaping)", text, re.MULTILINE)
    assert ";" not in re.sub(r"--.*", "", text)
