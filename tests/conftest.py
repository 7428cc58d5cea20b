"""What every test may ask for: a running Postgres, a database of its own, a browser, jobs on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from asyncjobs import Jobs

# Examples are as slow as the machine of the day; what a test expects of time it says itself.
settings.register_profile("asyncjobs", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("asyncjobs")

pytest_plugins = [
    "tests.postgres",
    "tests.pgbouncer",
    "tests.standby",
    "tests.browser",
    "tests.faults.plugin",
]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def jobs(database: str) -> Jobs:
    return Jobs(database)


@pytest.fixture
async def eyes(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the test's own, for looking and for doing harm."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()
