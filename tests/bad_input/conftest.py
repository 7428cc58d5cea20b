"""A role without rights, for those who come with one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import count

import pytest

from tests.postgres import Administrator

NAMES = (f"guest_{os.getpid()}_{number}" for number in count(1))


@pytest.fixture
def guest(administrator: Administrator) -> Iterator[str]:
    """A role without any rights."""
    name = next(NAMES)
    administrator.execute(f"create role {name} login")
    yield name
    administrator.execute(f"drop role {name}")


def as_role(dsn: str, role: str) -> str:
    return dsn.replace("postgres@", f"{role}@")
