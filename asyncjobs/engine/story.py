"""What is remembered of an error: one line, and a traceback of bounded length, both fit for Postgres."""

from __future__ import annotations

import traceback
from types import TracebackType

LINE = 2_000  # characters
WHOLE = 16_000  # characters

_OURS = __name__.rpartition(".")[0].rpartition(".")[0]


def one_line(error: BaseException) -> str:
    """Name the error and what it says; an error whose `str()` raises says so."""
    try:
        words = str(error)
    except Exception as second:
        words = f"<its str() raised {type(second).__name__}>"
    return storable(f"{type(error).__name__}: {words}" if words else type(error).__name__, LINE)


def whole(error: BaseException) -> str:
    """Give the traceback from the first frame that is not ours; the middle of a long one is left out."""
    try:
        lines = traceback.format_exception(type(error), error, _their(error.__traceback__))
    except Exception:
        lines = [one_line(error)]
    return storable("".join(lines), WHOLE)


def storable(text: str, limit: int) -> str:
    """Make any string fit for a text column: no NUL, no lone surrogate, not too long."""
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n… {len(text) - limit:,} characters left out …\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def _their(trace: TracebackType | None) -> TracebackType | None:
    frame = trace
    while frame is not None and _is_ours(frame):
        frame = frame.tb_next
    return frame or trace


def _is_ours(trace: TracebackType) -> bool:
    module: str = trace.tb_frame.f_globals.get("__name__", "")
    return module.startswith((f"{_OURS}.", "anyio.", "asyncio."))
