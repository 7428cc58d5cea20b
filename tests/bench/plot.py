"""A plot of bars, drawn by hand: it brings its own ground, light or dark as the reader has it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from tests.bench.lines import Cell, p50, rate, taken

PANELS: tuple[tuple[str, str, Callable[[Sequence[float]], float], str], ...] = (
    ("Drain, 100 slots: jobs a second", "drain-100", rate, ",.0f"),
    ("Drain, 10 slots: jobs a second", "drain-10", rate, ",.0f"),
    ("Enqueue, 50 callers: jobs a second", "enqueue-together", rate, ",.0f"),
    ("Enqueue to done, mixed load: jobs a second", "mixed", rate, ",.0f"),
    ("Enqueue to start here, p50: milliseconds, less is better", "start-here", p50, ",.1f"),
)
WIDTH, NAMES, BAR, GAP, HEAD = 760, 210, 16, 6, 40
STYLE = """
.ground { fill: #ffffff; } text { fill: #1f2328; font: 13px system-ui, sans-serif; }
.head { font-weight: 600; } .ours { fill: #0b7285; } .limit { fill: #adb5bd; }
.peer { fill: #e8590c; } .redis { fill: #c2255c; }
@media (prefers-color-scheme: dark) {
  .ground { fill: #16191d; } text { fill: #e6e8eb; } .ours { fill: #3bc9db; } .limit { fill: #6c757d; }
  .peer { fill: #ffa94d; } .redis { fill: #f783ac; }
}
"""


def plot(found: dict[str, Any]) -> str:
    """Draw what was measured, as SVG."""
    kinds: dict[str, str] = found["contestants"]
    drawn: list[str] = []
    top = 16
    for title, series, figure, digits in PANELS:
        bars = [
            (who, kinds[who], statistics.median(figures))
            for who in kinds
            if (figures := taken(found["samples"], Cell(series, figure), who))
        ]
        if bars:
            drawn.append(_panel(top, title, bars, digits))
            top += HEAD + len(bars) * (BAR + GAP) + 14
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" role="img">',
            "<title>asyncjobs beside others</title>",
            f"<style>{STYLE}</style>",
            f'<rect class="ground" width="{WIDTH}" height="{top}" rx="8"/>',
            *drawn,
            "</svg>\n",
        )
    )


def _panel(top: int, title: str, bars: Sequence[tuple[str, str, float]], digits: str) -> str:
    most = max(value for _, _, value in bars)
    lines = [f'<text class="head" x="16" y="{top + 20}">{escape(title)}</text>']
    for number, (who, kind, value) in enumerate(bars):
        y = top + HEAD - 8 + number * (BAR + GAP)
        width = max(1.0, value / most * (WIDTH - NAMES - 110))
        lines += [
            f'<text x="{NAMES - 8}" y="{y + BAR - 3}" text-anchor="end">{escape(who)}</text>',
            f'<rect class="{kind}" x="{NAMES}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2"/>',
            f'<text x="{NAMES + width + 6:.1f}" y="{y + BAR - 3}">{value:{digits}}</text>',
        ]
    return "\n".join(lines)
