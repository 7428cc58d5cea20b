"""What came out: figures, a table to read, JSON to keep."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.bench.course import Samples
from tests.bench.measures import LINES, Line, Sizes


@dataclass(frozen=True, slots=True)
class Figure:
    """The median over the repeats, the least and the most."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Sum up."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Result:
    """One line, measured. The ratio is the median of the ratios of neighbours."""

    line: Line
    ours: Figure
    rival: Figure
    ratio: Figure

    @property
    def reached(self) -> bool | None:
        """Whether what was expected came true."""
        return self.line.reached(self.ratio.median)


def results(samples: Samples) -> list[Result]:
    """Work out every line that was measured."""
    return [_result(line, samples) for line in LINES if line.measure in samples]


def _result(line: Line, samples: Samples) -> Result:
    ours = [line.figure(taken) for taken in samples[line.measure]["ours"]]
    rival = [line.figure(taken) for taken in samples[line.measure][line.rival]]
    ratios = [a / b for a, b in zip(ours, rival, strict=True)]
    return Result(line, Figure.of(ours), Figure.of(rival), Figure.of(ratios))


def table(found: Sequence[Result]) -> str:
    """Set it out in columns; in brackets the least and the most of all repeats."""
    rows = [("", "ours", "loop", "ratio", "expected", "reached")]
    for result in found:
        unit = result.line.unit
        rows.append(
            (
                result.line.what,
                _shown(result.ours, unit),
                _shown(result.rival, unit),
                _shown(result.ratio, ""),
                result.line.expected,
                {True: "yes", False: "NO", None: ""}[result.reached],
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _shown(figure: Figure, unit: str) -> str:
    digits = ",.0f" if unit == "jobs/s" else ".2f"
    median, least, most = (
        format(value, digits) for value in (figure.median, figure.least, figure.most)
    )
    return f"{median} {unit} ({least}–{most})".replace("  ", " ")


def document(
    samples: Samples, sizes: Sizes, repeat: int, loop: str, postgres: str, settings: dict[str, Any]
) -> dict[str, Any]:
    """Give all there is to know, for JSON."""
    return {
        "format": 1,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "versions": {
            "asyncjobs": version("asyncjobs-pg"),
            "asyncpg": version("asyncpg"),
            "postgres": postgres,
            "python": platform.python_version(),
            loop: version(loop) if loop != "asyncio" else platform.python_version(),
        },
        "settings": {"postgres": settings, "sizes": asdict(sizes), "repeat": repeat, "loop": loop},
        "lines": [_line(result) for result in results(samples)],
        "samples": samples,
    }


def _line(result: Result) -> dict[str, Any]:
    line = result.line
    return {
        "measure": line.measure,
        "what": line.what.strip(),
        "unit": line.unit,
        "rival": line.rival,
        "ours": asdict(result.ours),
        "theirs": asdict(result.rival),
        "ratio": asdict(result.ratio),
        "expected": line.expected or None,
        "reached": result.reached,
    }


def _machine() -> dict[str, Any]:
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
