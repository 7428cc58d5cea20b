"""A photo desk that runs, on a database and a directory of the test's own."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.example_app.desk import Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def desk(empty_database: str, tmp_path: Path) -> AsyncIterator[Desk]:
    with closing(Desk(empty_database, tmp_path)) as desk:
        await desk.start()
        yield desk
