"""How late the loop wakes is known afterwards, and at once to whoever asks first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from asyncjobs.engine import lag as lag_module
from asyncjobs.engine.lag import Lag
from tests.moments import until_true


@pytest.fixture
async def lag(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Lag]:
    """One that measures a hundred times a second."""
    monkeypatch.setattr(lag_module, "EVERY", 0.01)
    lag = Lag()
    serving = asyncio.ensure_future(lag.serve())
    woke = lag.woke_at
    await until_true(lambda: lag.woke_at > woke)
    yield lag
    serving.cancel()


async def test_who_asks_first_after_a_block_is_told_of_it(lag: Lag) -> None:
    time.sleep(0.3)

    assert 0.2 < lag.now < 5


async def test_a_block_is_the_worst_for_a_while_and_not_the_last_for_long(lag: Lag) -> None:
    time.sleep(0.3)

    await until_true(lambda: lag.now < 0.1)
    assert lag.worst > 0.2


async def test_what_was_long_ago_is_forgotten(lag: Lag, monkeypatch: pytest.MonkeyPatch) -> None:
    time.sleep(0.3)
    await until_true(lambda: lag.now < 0.1)

    monkeypatch.setattr(lag_module, "REMEMBERED", 0.0)

    await until_true(lambda: lag.worst < 0.1)


async def test_nothing_is_late_before_it_was_ever_due() -> None:
    assert (Lag().now, Lag().worst) == (0.0, 0.0)
