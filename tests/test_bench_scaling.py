"""The bench of many processes runs; how far they scale is not for a test to say."""

from __future__ import annotations

import pytest

from asyncjobs import embedded
from tests.bench.scaling import growth, idle, notify, partitioned
from tests.bench.scaling.growth import Kind, Place


@pytest.fixture
def place(own_server: embedded.Server) -> Place:
    return Place(own_server.dsn, own_server.home / str(own_server.version) / "data")


async def test_what_two_processes_run_is_counted_and_has_its_price(place: Place) -> None:
    spent = await growth.run([place], Kind(slots=4, milliseconds=20), 2, 0.5)

    assert 0 < spent.rate <= 2 * 4 / 0.02 * 1.1
    assert spent.server > 0
    assert spent.workers > 0
    assert spent.wal > 0


async def test_processes_that_idle_hold_connections(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "SETTLED", 0.2)

    found = await idle.run(place, 2, 0.5, 3)

    assert found.connections == 2 * 2
    assert found.memory > 0


async def test_transactions_are_counted_with_notifies_and_without(empty_database: str) -> None:
    for each, some in ((False, False), (True, False), (False, True)):
        assert await notify.rate(empty_database, 2, 0.1, each=each, some=some) > 0


@pytest.mark.parametrize("cut", [False, True], ids=["in one piece", "cut by queue"])
async def test_a_table_takes_our_statements_whole_or_cut(empty_database: str, cut: bool) -> None:
    took = await partitioned.measure(empty_database, cut=cut, repeat=4)

    assert min(took.store, took.claim_one, took.claim_all, took.end) > 0
