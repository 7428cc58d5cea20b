"""What every test may ask for: a running Postgres, a database of its own, a browser."""

import pytest

pytest_plugins = ["tests.postgres", "tests.browser"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
