from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.embedded.users import guards, is_deserted, servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home that must be deserted in the end, whatever the test did."""
    home = tmp_path / "home"
    yield home
    deserted = is_deserted(home)
    for pid in [*guards(home), *servers(home)]:
        os.kill(pid, signal.SIGKILL)
    assert deserted, "a server or a guard was left behind"
