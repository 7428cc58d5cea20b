"""The parts of the bench that nobody takes turns at: they run, and each aim finds its figures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asyncjobs import embedded
from tests.bench import page, parts, roll
from tests.bench.course import Notes
from tests.bench.environments import peers
from tests.bench.guest import measure as guests
from tests.bench.guest.stay import Windows
from tests.bench.guest.work import BURN
from tests.bench.lines import BEST, Cell, results
from tests.bench.measures import MEASURES
from tests.bench.tables import measure as tables
from tests.bench.tables.crowded import Crowd
from tests.bench.targets import LINES

TABLES = tables.Sizes(
    Crowd(2_000, 500, 500), drained=200, repeat=1, due=5, pinned=1.0, steady=1.0, costed=200, alone=10,
)  # fmt: skip
GUESTS = guests.Sizes(
    rate=50.0,
    windows=Windows(0.4, 0.4, 0.1),
    repeat=1,
    settled=5.0,
    idle=0.5,
    noops=150_000,
    others=10_000,
)


@pytest.fixture
def this(own_server: embedded.Server, tmp_path: Path) -> parts.Run:
    return parts.Run(own_server, tmp_path, 1, [], {}, Notes(), TABLES, GUESTS)


async def test_tables_give_every_aim_its_figures(this: parts.Run) -> None:
    await parts.run(this, ["crowded", "pinned", "log", "steady"])

    assert this.skipped == {}
    assert this.notes.samples.keys() >= of_parts("crowded", "pinned", "log", "steady")
    assert len(this.notes.samples["pinned-claim"]["ours"][0]) == tables.STRETCHES
    found = results(this.notes.samples, [], LINES)
    [full] = [each for each in found if each.line.ours.series == "drain-crowded"]
    assert full.ratio.median > 0
    [_, over_time] = shown(this).split("### 800 jobs a second, while a transaction stays open", 1)
    assert (
        sum(line.startswith("| 0.0 min ") for line in over_time.split("### ")[0].splitlines())
        == tables.STRETCHES
    )


async def test_a_guest_gives_every_aim_its_figures(this: parts.Run) -> None:
    await parts.run(this, ["guest", "idle"])

    assert this.notes.remarks == {}
    assert this.notes.samples.keys() >= of_parts("guest", "idle")
    assert 0 < this.notes.samples["guest-burn"]["ours"][0][0] <= 1 / BURN
    assert this.notes.samples["idle-connections"]["ours"] == [[2]]
    assert all(re.search(rf"\| ours +\| {load} ", shown(this)) for load in guests.LOADS)


def shown(this: parts.Run) -> str:
    notes = this.notes
    found = {"contestants": {"ours": "ours"}, "skipped": {}, "remarks": {}, "samples": notes.samples, "details": notes.details}  # fmt: skip
    return page.tables(found)


def test_each_aim_is_of_something_that_is_measured() -> None:
    known = {measure.name for measure in MEASURES} | {"wal", "statements-idle", "statements-busy"}

    who = {
        BEST,
        *(one.name for one in roll.ours_and_limits("", "asyncio", uvloop=True)),
        *peers(),
        parts.ROOMY,
    }
    cells = [cell for line in LINES for cell in (line.ours, line.rival) if isinstance(cell, Cell)]

    parts_own = of_parts("crowded", "pinned", "log", "steady", "guest", "idle")
    assert {cell.series for cell in cells} - parts_own <= known
    assert {cell.who for cell in cells} <= who


def of_parts(*names: str) -> set[str]:
    """Name the series of these parts that are in some line."""
    cells = [cell for line in LINES for cell in (line.ours, line.rival) if isinstance(cell, Cell)]
    crowded = "crowded" in names
    of_crowd = {"drain-crowded", "late-crowded", "drain-empty"} if crowded else set[str]()
    begins = tuple(f"{name}-" for name in names)
    return of_crowd | {cell.series for cell in cells if cell.series.startswith(begins)}


async def test_a_peer_that_falls_is_told_of_and_the_others_go_on(
    empty_database: str, server: embedded.Server
) -> None:
    there, notes = ["oban", "ours"], guests.Notes()  # the first is not installed here

    await guests.measure(server, empty_database, GUESTS, 1, there, ["noop"], "asyncio", notes)

    assert notes.remarks.keys() == {"oban"}
    assert notes.remarks["oban"]["everything"].startswith("failed: fill: ModuleNotFoundError")
    assert list(notes.samples) == ["ours"]
    assert len(notes.samples["ours"]["noop"]) == 1


async def test_what_was_found_before_ours_fell_is_kept(
    this: parts.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    enough = guests.jobs_for
    monkeypatch.setattr(
        guests,
        "jobs_for",
        lambda guest, load, sizes: 1 if load == "wait" else enough(guest, load, sizes),
    )

    with pytest.raises(RuntimeError, match="were not enough"):
        await parts.run(this, ["guest"])

    assert len(this.notes.samples["guest-noop"]["ours"]) == 1
    assert "guest-wait" not in this.notes.samples


def test_of_jobs_that_take_milliseconds_a_peer_gets_fewer() -> None:
    sizes = guests.Sizes()

    assert guests.jobs_for("pgqueuer", "noop", sizes) == sizes.of_peers
    assert guests.jobs_for("pgqueuer", "burn", sizes) == sizes.of_peers_slow
    assert guests.jobs_for("ours", "burn", sizes) == sizes.others
