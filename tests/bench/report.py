"""What came out: tables to read, JSON to keep."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.bench.course import Remarks, Samples
from tests.bench.lines import (
    Cell,
    Figure,
    Line,
    Result,
    kilobytes,
    megabytes,
    millionths,
    p50,
    p95,
    p99,
    rate,
    taken,
)

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A figure of everybody."""

    head: str
    series: str
    figures: tuple[Callable[[Sequence[float]], float], ...] = (rate,)
    digits: str = ",.0f"
    more_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table with everybody in it."""

    title: str
    columns: tuple[Column, ...]


def _of_guests(title: str, ending: str, digits: str, *, more_is_better: bool = True) -> Sheet:
    kinds = {
        "no-ops": "noop",
        "50 ms of waiting": "wait",
        "5 ms of Python": "burn",
        "threads": "thread",
        "all in turn": "mix",
    }
    return Sheet(
        title,
        tuple(
            Column(head, f"guest-{kind}{ending}", (rate,), digits, more_is_better=more_is_better)
            for head, kind in kinds.items()
        ),
    )


def _thousandths(samples: Sequence[float]) -> float:
    return rate(samples) * 1000


SHEETS = (
    Sheet(
        "Drain: jobs a second",
        (
            Column("10 slots", "drain-10"),
            Column("100 slots", "drain-100"),
            Column("2 processes of 100", "drain-2-processes"),
            Column("16 processes of 4", "drain-16-processes"),
            Column("CPU µs a job, 100 slots", "drain-100-cpu", (millionths,), more_is_better=False),
        ),
    ),
    Sheet(
        "Enqueue: jobs a second",
        (
            Column("one by one", "enqueue-alone"),
            Column("50 callers", "enqueue-together"),
            Column("10,000 at once", "enqueue-bulk"),
            Column("16 transactions", "beside-16"),
            Column("64 transactions", "beside-64"),
            Column("to done, mixed load", "mixed"),
        ),
    ),
    Sheet(
        "Enqueue to start, and how late a scheduled job is: ms (p50 / p95 / p99)",
        tuple(
            Column(head, series, (p50, p95, p99), ",.1f", more_is_better=False)
            for head, series in (
                ("here, idle", "start-here"),
                ("here, half load", "start-here-half"),
                ("across, idle", "start-across"),
                ("across, half load", "start-across-half"),
                ("scheduled", "late"),
            )
        ),
    ),
    Sheet(
        "What a job costs",
        (
            Column("WAL, kB", "wal", (kilobytes,), ",.2f", more_is_better=False),
            Column("commits", "commits", (rate,), ",.2f", more_is_better=False),
            Column("statements, idle", "statements-idle", (rate,), ",.2f", more_is_better=False),
            Column("statements, busy", "statements-busy", (rate,), ",.2f", more_is_better=False),
            Column("CPU µs, run", "cpu", (millionths,), more_is_better=False),
            Column("kB while it waits", "memory", (kilobytes,), ",.1f", more_is_better=False),
        ),
    ),
    _of_guests(
        "Guest: ms that it adds to the p50 of requests", "-p50-added", "+.2f", more_is_better=False
    ),
    _of_guests(
        "Guest: the p99 of requests, how many times that of the app alone",
        "-p99-ratio",
        ".2f",
        more_is_better=False,
    ),
    _of_guests("Guest: jobs a second", "", ",.0f"),
    Sheet(
        "Idle for a minute, what a guest adds to the app",
        (
            Column("CPU ms", "idle-cpu", (_thousandths,), ",.0f", more_is_better=False),
            Column("statements", "idle-statements", (rate,), ",.0f", more_is_better=False),
            Column("connections", "idle-connections", (rate,), ",.0f", more_is_better=False),
            Column("MB", "idle-memory", (megabytes,), ",.1f", more_is_better=False),
        ),
    ),
)


def targets(found: Sequence[Result]) -> str:
    """Set out what should be reached; in brackets the least and the most of all repeats."""
    rows = [("", "ours", "beside", "ratio", "expected", "reached")]
    rows += [
        (
            result.line.what,
            f"{_shown(result.ours, result.line.unit)}{_loop(result.line.ours)}",
            _shown(result.rival, result.line.unit) + f" {result.beside}"
            if result.rival
            else _plain(result.line.rival, result.line.unit),
            _spread(result.ratio, ".2f"),
            result.line.expected,
            {True: "yes", False: "**no**", None: ""}[result.reached],
        )
        for result in found
    ]
    return markdown(rows)


def missed(found: Sequence[Result], lines: Sequence[Line]) -> str:
    """Tell what stands in the way of each line that was missed; `lines`: all there are, in their order."""
    names, head = dict[Line, str](), ""
    for line in lines:
        head = head if line.what.startswith("…") else line.what.partition(":")[0]
        names[line] = line.what.replace("…", f"{head},", 1)
    ways: dict[str, list[str]] = {}
    for result in found:
        if result.reached is False:
            ways.setdefault(result.line.why or "not known", []).append(names[result.line])
    told = [f"- {'; '.join(those)}: {why}." for why, those in ways.items()]
    return "### What is missed, and why\n\n" + "\n".join(told) if told else ""


def _loop(cell: Cell) -> str:
    return " on uvloop" if cell.who.endswith("uvloop") else ""


def sheet(one: Sheet, samples: Samples, order: Sequence[str]) -> str:
    """Set out everybody's figures: medians of the repeats, and by how much the least and the most differ."""
    measured = {who for column in one.columns for who in samples.get(column.series, {})}
    if not measured:
        return ""
    rows = [("", *(column.head for column in one.columns))]
    rows += [
        (who, *(_of(column, samples, who) for column in one.columns))
        for who in order
        if who in measured
    ]
    return markdown(rows)


def _of(column: Column, samples: Samples, who: str) -> str:
    repeats = [taken(samples, Cell(column.series, figure), who) for figure in column.figures]
    if not repeats[0]:
        return "–"
    shown = " / ".join(format(statistics.median(one), column.digits) for one in repeats)
    first, middle = repeats[0], statistics.median(repeats[0])
    if len(first) < 2 or not middle:
        return shown
    return f"{shown} ±{(max(first) - min(first)) / 2 / abs(middle) * 100:.0f} %"


def ahead(samples: Samples, kinds: dict[str, str]) -> list[str]:
    """Tell where another is ahead of us, by the medians: of the first figure, and of ours on its better loop."""
    found = []
    for one in SHEETS:
        for column in one.columns:
            cell = Cell(column.series, column.figures[0])
            medians = {
                who: statistics.median(figures)
                for who in kinds
                if (figures := taken(samples, cell, who))
            }
            choose = max if column.more_is_better else min
            own = [value for who, value in medians.items() if kinds[who] == "ours"]
            found += [
                f"{who}, {_short(one.title)}, {column.head}: "
                f"{value:{column.digits}}, we {choose(own):{column.digits}}"
                for who, value in medians.items()
                if own
                and kinds[who] in ("peer", "redis")
                and value != choose(own)
                and choose(value, *own) == value
            ]
    return found


def _short(title: str) -> str:
    first, _, rest = title.partition(": ")
    return f"guest, {rest}" if first == "Guest" else first.lower()


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Make a table of Markdown whose columns are straight."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        return f"| {' | '.join(cells)} |"

    head, *rest = rows
    return "\n".join((line(head), line(["-" * width for width in widths]), *map(line, rest)))


def _shown(figure: Figure, unit: str) -> str:
    return _spread(figure, ",.0f" if unit == "/s" else ".2f", _unit(unit))


def _plain(value: Any, unit: str) -> str:
    return f"{value:g}{_unit(unit)}"


def _unit(unit: str) -> str:
    return {"": "", "count": "", "/s": "/s"}.get(unit, f" {unit}")


def _spread(figure: Figure, digits: str, unit: str = "") -> str:
    median, least, most = (
        format(value, digits) for value in (figure.median, figure.least, figure.most)
    )
    return f"{median}{unit} ({least}–{most})"


def versions(postgres: str, redis: str | None, peers: dict[str, str]) -> dict[str, str]:
    """Tell what was measured, and on what."""
    found = {
        "asyncjobs": version("asyncjobs-pg"),
        "asyncpg": version("asyncpg"),
        "python": platform.python_version(),
        "postgres": postgres,
    }
    for name in ("uvloop",):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found | ({"redis": redis} if redis else {}) | peers


def document(
    samples: Samples,
    remarks: Remarks,
    skipped: dict[str, str],
    found: Sequence[Result],
    told: dict[str, Any],
) -> dict[str, Any]:
    """Give all there is to know, for JSON; `told`: command, versions, settings, contestants."""
    return {
        "format": FORMAT,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        **told,
        "lines": [_line(result) for result in found],
        "skipped": skipped,
        "remarks": remarks,
        "samples": samples,
    }


def _line(result: Result) -> dict[str, Any]:
    line = result.line
    return {
        "what": line.what,
        "series": line.ours.series,
        "unit": line.unit,
        "beside": result.beside or None,
        "ours": asdict(result.ours),
        "theirs": asdict(result.rival) if result.rival else line.rival,
        "ratio": asdict(result.ratio),
        "expected": line.expected or None,
        "reached": result.reached,
    }


def machine() -> dict[str, Any]:
    """Tell where this is."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())
