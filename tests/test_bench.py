"""The bench runs and tells all; how fast it is, is not for a test to say."""

from __future__ import annotations

import dataclasses
import json
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from asyncjobs import embedded
from tests.bench import baseline, course, page, report, roll
from tests.bench.contestant import Contestant
from tests.bench.court import Court
from tests.bench.environments import NotHereError, chosen, peers, python_of
from tests.bench.lines import BEST, Cell, Line, p99, rate, results
from tests.bench.measures import MEASURES, QUICKLY, Sizes, rate_of
from tests.bench.plot import plot
from tests.bench.targets import LINES
from tests.docs.pages import CHECKOUT

TINY = Sizes(
    drained=200, crowded=200, alone=3, together=20, bulk=20, beside=64, here=3, across=2, pause=0.0,
    seconds=0.2, late=2, cost=20, counted=3, waiting=20,
    processes=2,
)  # fmt: skip


async def run(
    dsn: str, logs: Path, log: Path | None, repeat: int, only: list[str], *more: Contestant
) -> tuple[course.Samples, course.Remarks, list[Contestant]]:
    """Measure ours, the loops, and more."""
    contestants = [*roll.ours_and_limits(dsn, "asyncio", uvloop=False), *more]
    court = Court(dsn, logs, log)
    notes = course.Notes()
    try:
        await course.run(court, contestants, TINY, repeat, only, lambda words: None, notes)
    finally:
        await court.close()
    return notes.samples, notes.remarks, contestants


async def test_the_bench_measures_everything_and_keeps_every_sample(
    empty_database: str, server: embedded.Server, tmp_path: Path
) -> None:
    only = [measure.name for measure in MEASURES]

    samples, remarks, contestants = await run(empty_database, tmp_path, server.log, 1, only)
    found = json.loads(json.dumps(document(samples, remarks, contestants)))

    assert remarks == {}
    series = {column.series for one in report.SHEETS for column in one.columns}
    series = {
        name for name in series if not name.startswith(("guest-", "idle-"))
    }  # test_bench_parts.py
    assert {name for name in series if "ours" in found["samples"].get(name, {})} == series
    assert all(taken for by_name in samples.values() for [taken] in by_name.values())
    assert [len(taken) for taken in samples["start-here"]["ours"]] == [3]
    assert samples["statements-idle"]["ours"][0][0] > 0.5
    assert {"asyncjobs", "asyncpg", "postgres", "python"} <= found["versions"].keys()
    assert found["machine"]["cores"]
    assert "| drain, sixteen" not in page.tables(found)  # its line is of uvloop, which was not here
    assert "| enqueue one by one" in page.tables(found)
    assert "### What a job costs" in page.tables(found)


async def test_one_that_falls_is_told_of_and_the_others_go_on(
    empty_database: str, tmp_path: Path
) -> None:
    dead = Contestant("dead", "peer", (sys.executable, "-c", "raise SystemExit('gone')"), None)

    samples, remarks, _ = await run(empty_database, tmp_path, None, 2, ["enqueue-together"], dead)

    assert remarks == {"dead": {"everything": "failed: dead: gone"}}
    assert len(samples["enqueue-together"]["ours"]) == 2
    assert "dead" not in samples["enqueue-together"]


def test_a_crowd_is_measured_from_when_the_last_of_it_had_begun() -> None:
    early, late = [0.0, 1.0, 2.0, 3.0], [1.5, 2.5]

    assert rate_of([early, late, []], 6) == pytest.approx(3 / 1.5)


def test_of_a_crowd_that_came_too_late_all_counts() -> None:
    assert rate_of([[0.0, 1.0, 2.0], [2.0]], 4) == pytest.approx(3 / 2.0)


@pytest.mark.parametrize("count", [5, 7])
def test_a_crowd_that_lost_a_job_or_ran_one_twice_has_no_rate(count: int) -> None:
    with pytest.raises(RuntimeError, match=f"of {count} jobs 6 ran"):
        rate_of([[0.0, 1.0, 2.0, 3.0], [1.5, 2.5]], count)


def test_what_99_of_100_stay_under() -> None:
    assert p99([number / 1000 for number in range(1000)]) == pytest.approx(990)
    assert p99([0.001, 0.002]) == pytest.approx(2)


def test_the_ratio_is_the_median_of_those_of_neighbours_and_beside_the_best() -> None:
    samples: course.Samples = {
        "s": {
            "ours": [[100.0], [10.0], [90.0]],
            "slow": [[10.0], [1.0], [10.0]],
            "quick": [[50.0], [5.0], [30.0]],
        }
    }
    line = Line("what", "/s", Cell("s", rate), Cell("s", rate, BEST), at_least=2)

    [result] = results(samples, ["slow", "quick"], [line])

    assert (result.beside, result.ratio.median, result.reached) == ("quick", 2.0, True)
    assert results(samples, [], [line]) == []
    assert "| what | 90/s (10–100) | 30/s (5–50) quick" in report.targets([result])


def test_a_line_that_is_missed_says_no() -> None:
    line = Line("late", "ms", Cell("s", p99), 10.0, below=1)

    [result] = results({"s": {"ours": [[0.02]]}}, [], [line])

    assert result.reached is False
    assert "**no**" in report.targets([result])


def test_what_stands_in_the_way_is_said_of_what_is_missed_alone() -> None:
    def line(what: str, at_least: float, why: str = "") -> Line:
        return Line(what, "/s", Cell("s", rate), 1.0, at_least=at_least, why=why)

    lines = [line("a", 3, "slow"), line("… b", 1, "unsaid"), line("… c", 3, "slow"), line("d", 3)]

    said = report.missed(results({"s": {"ours": [[2.0]]}}, [], lines), lines)

    assert said.splitlines()[2:] == ["- a; a, c: slow.", "- d: not known."]
    assert report.missed(results({"s": {"ours": [[9.0]]}}, [], lines), lines) == ""


def test_a_repeat_of_nothing_is_no_ratio() -> None:
    line = Line("a", "/s", Cell("s", rate), Cell("s", rate, "x"))
    samples: course.Samples = {"s": {"ours": [[2.0], [3.0]], "x": [[0.0], [1.0]]}}

    [result] = results(samples, [], [line])

    assert (result.ratio.least, result.ratio.most) == (3.0, 3.0)


def test_only_an_aim_can_be_missed() -> None:
    assert all(line.expected for line in LINES if line.why)


def test_no_two_lines_are_called_the_same() -> None:
    whole = [line.what for line in LINES if not line.what.startswith("…")]
    assert len(set(whole)) == len(whole)


def test_where_another_is_ahead_is_told() -> None:
    samples: course.Samples = {
        "idle-connections": {"ours": [[2.0]], "a": [[2.0]], "b": [[3.0]]},
        "guest-noop": {"ours": [[2.0]], "a": [[3.0]]},
        "drain-100": {"ours": [[10.0]], "ours on uvloop": [[30.0]], "a": [[20.0]], "b": [[40.0]]},
        "start-here": {"ours": [[0.002]], "a": [[0.001]], "b": [[0.003]]},
    }
    kinds = {"ours": "ours", "ours on uvloop": "ours", "loop": "limit", "a": "peer", "b": "peer"}

    assert report.ahead(samples, kinds) == [
        "b, drain, 100 slots: 40, we 30",
        "a, enqueue to start, and how late a scheduled job is, here, idle: 1.0, we 2.0",
        "a, guest, jobs a second, no-ops: 3, we 2",
    ]


def test_a_ratio_may_fall_by_a_third_and_no_more() -> None:
    noted = {"drain-10": 0.6, "drain-100": 0.3, "enqueue-bulk": 1.0}

    worse = baseline.fallen({"drain-10": 0.41, "drain-100": 0.19}, noted)

    assert worse == {"drain-100": "drain-100: 0.19 of the loop’s, where 0.30 is noted"}


def test_a_delay_that_grows_is_a_ratio_that_falls() -> None:
    samples: course.Samples = {"start-here": {"ours": [[0.004]], "loop": [[0.001]]}}

    assert baseline.ratios(samples) == {"start-here": pytest.approx(0.25)}


def test_a_ratio_is_noted_for_all_that_is_measured_quickly() -> None:
    assert set(json.loads(baseline.NOTED.read_text(encoding="utf-8"))) == set(QUICKLY)


def test_the_plot_is_well_formed_and_names_everybody() -> None:
    samples: course.Samples = {"drain-100": {"ours": [[10.0]], "<a> & b": [[5.0]]}}
    found = {"contestants": {"ours": "ours", "<a> & b": "peer"}, "samples": samples}

    drawing = ElementTree.fromstring(plot(found))

    texts = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert texts == ["Drain, 100 slots: jobs a second", "ours", "10", "<a> & b", "5"]
    assert "prefers-color-scheme: dark" in plot(found)


def test_peers_are_chosen_by_name_and_an_unknown_one_is_refused() -> None:
    known = peers()

    assert chosen("none", known) == []
    assert chosen("all", known) == list(known.values())
    assert [peer.name for peer in chosen("pgqueuer, saq on redis", known)] == [
        "pgqueuer", "saq on redis",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no such peer: celery; there are pgqueuer, "):
        chosen("celery", known)


def test_a_peer_is_pinned_and_has_its_module_and_its_statements() -> None:
    bench = CHECKOUT / "tests" / "bench"
    for peer in peers().values():
        assert all("==" in required for required in peer.requires)
        assert (bench / "peers" / f"{peer.module}.py").exists()
        assert peer.server == "redis" or (bench / "sql" / f"{peer.table}_left.sql").exists()


def test_a_peer_that_cannot_be_had_is_skipped_by_name(tmp_path: Path) -> None:
    skipped: dict[str, str] = {}
    old = dataclasses.replace(peers()["oban"], python="2.0")

    with pytest.raises(NotHereError, match="there is no Python 2"):
        python_of(old, tmp_path)
    assert (
        roll.of_peers([old, peers()["streaq on redis"]], {"postgres": ""}, tmp_path, skipped) == []
    )
    assert skipped == {
        "oban": "there is no Python 2.0",
        "streaq on redis": "redis-server is not installed",
    }


def test_a_later_run_is_added_to_an_earlier_one() -> None:
    before = {
        "command": "a", "samples": {"s": {"ours": [[1.0]], "other": [[2.0]]}}, "remarks": {"third": {"everything": "failed"}},
        "contestants": {"ours": "ours", "other": "peer"}, "skipped": {"third": "why"}, "versions": {},
    }  # fmt: skip
    now = {
        "command": "b", "samples": {"s": {"ours": [[3.0]]}, "t": {"third": [[4.0]]}}, "remarks": {},
        "contestants": {"ours": "ours", "third": "peer"}, "skipped": {}, "versions": {},
    }  # fmt: skip

    found = page.joined(before, now)

    assert found["samples"] == {
        "s": {"ours": [[3.0]], "other": [[2.0]]},
        "t": {"third": [[4.0]]},
    }
    assert (found["skipped"], found["remarks"]["third"]) == ({}, {})
    assert found["command"] == "a; b"


def test_what_a_later_run_has_measured_is_no_longer_missing() -> None:
    before = {
        "command": "a", "samples": {}, "versions": {}, "details": {},
        "remarks": {"other": {"guest, everything": "failed", "late": "has no clock"}, "third": {"guest, mix": "failed"}},
        "contestants": {"ours": "ours", "other": "peer"}, "skipped": {"log": "no pg_waldump", "other as a guest": "why"},
    }  # fmt: skip
    now = {
        "command": "b", "samples": {}, "versions": {}, "details": {"guest": {}, "log": {}}, "remarks": {},
        "contestants": {"ours": "ours", "other": "peer"}, "skipped": {},
    }  # fmt: skip

    found = page.joined(before, now)

    assert found["remarks"] == {
        "other": {"late": "has no clock"},
        "third": {"guest, mix": "failed"},
    }
    assert found["skipped"] == {}


def test_the_page_has_a_place_for_the_figures_and_is_in_the_nav(tmp_path: Path) -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    copy, drawing = tmp_path / "page.md", tmp_path / "plot.svg"
    copy.write_text(text, encoding="utf-8")
    samples: course.Samples = {"enqueue-alone": {"ours": [[10.0]], "loop": [[20.0]]}}

    page.write(document(samples, {}, []), copy, drawing)

    written = copy.read_text(encoding="utf-8")
    assert written.partition(page.BEGINS)[0] == text.partition(page.BEGINS)[0]
    assert written.partition(page.ENDS)[2] == text.partition(page.ENDS)[2]
    assert "| enqueue one by one | 10/s (10–10) | 20/s (20–20) loop |" in written
    ElementTree.parse(drawing)
    nav = tomllib.loads((CHECKOUT / "docs" / "zensical.toml").read_text(encoding="utf-8"))
    assert "benchmarks.md" in str(nav["project"]["nav"])


def document(
    samples: course.Samples, remarks: course.Remarks, contestants: list[Contestant]
) -> dict[str, Any]:
    told = {
        "command": "python -m tests.bench",
        "versions": report.versions("18", None, {}),
        "settings": {"postgres": {"fsync": True}, "repeat": 1},
        "contestants": {one.name: one.kind for one in contestants} or {"ours": "ours"},
    }
    return report.document(samples, remarks, {}, results(samples, [], LINES), told)
