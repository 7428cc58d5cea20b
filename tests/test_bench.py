"""The bench runs and tells all; how fast it is, is not for a test to say."""

from __future__ import annotations

import json

from tests.bench import course, report
from tests.bench.measures import LINES, MEASURES, Sizes

TINY = Sizes(drained=200, alone=3, together=20, callers=10, here=3, across=2)


async def test_the_bench_measures_everything_and_keeps_every_sample(empty_database: str) -> None:
    only = [measure.name for measure in MEASURES]

    samples = await course.run(empty_database, TINY, 2, only, lambda words: None)
    postgres = await course.server_version(empty_database)
    kept = json.loads(
        json.dumps(report.document(samples, TINY, 2, "asyncio", postgres, {"fsync": False}))
    )

    assert [line["what"] for line in kept["lines"]] == [line.what.strip() for line in LINES]
    assert {"asyncjobs", "asyncpg", "postgres", "python"} <= kept["versions"].keys()
    assert all(
        len(taken) == 2 for by_name in kept["samples"].values() for taken in by_name.values()
    )
    assert [len(taken) for taken in kept["samples"]["start-here"]["ours"]] == [3, 3]
    assert kept["settings"]["sizes"]["drained"] == 200
    assert kept["machine"]["cores"]


async def test_the_table_has_a_line_for_each_figure(empty_database: str) -> None:
    samples = await course.run(empty_database, TINY, 1, ["enqueue-together"], lambda words: None)

    table = report.table(report.results(samples)).splitlines()

    assert table[0].split() == ["ours", "loop", "ratio", "expected", "reached"]
    assert len(table) == 1 + sum(line.measure == "enqueue-together" for line in LINES)
    assert ">= 3" in table[1]
