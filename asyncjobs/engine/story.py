"""What is remembered of an error: one line, and a traceback of bounded length, both fit for Postgres."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import TracebackType

from asyncjobs.errors import BrokenSeal, ResultNotStorable, RunError
from asyncjobs.secret import Scrub

LINE = 2_000  # characters
WHOLE = 16_000  # characters

_OURS = __name__.rpartition(".")[0].rpartition(".")[0]
_UNSAID = "what it says is not stored, as the task is sealed"


class Story:
    """
    How the errors of one run are told.

    What its secret arguments were is taken out of them. Of a sealed task only the kinds of errors are told,
    and where they were raised: an error's words may quote anything, and would be stored beside the seal.
    """

    __slots__ = ("_scrub", "_sealed")

    def __init__(self, scrub: Scrub, *, sealed: bool) -> None:
        self._scrub = scrub
        self._sealed = sealed

    def one_line(self, error: BaseException) -> str:
        """Name the error and what it says."""
        if self._sealed and not _speaks_for_us(error):
            return f"{type(error).__name__} ({_UNSAID})"
        return storable(self._scrub(_line(error)), LINE)

    def whole(self, error: BaseException) -> str:
        """Give the traceback from the first frame that is not ours."""
        if self._sealed:
            return storable("".join(_without_words(error, set())), WHOLE)
        return storable(self._scrub(_lines(error)), WHOLE)

    def words(self, text: str, limit: int) -> str:
        """Give what the job itself says of its end."""
        return storable(self._scrub(text), limit)


def one_line(error: BaseException) -> str:
    """Name the error and what it says; an error whose `str()` raises says so."""
    return storable(_line(error), LINE)


def whole(error: BaseException) -> str:
    """Give the traceback from the first frame that is not ours; the middle of a long one is left out."""
    return storable(_lines(error), WHOLE)


def storable(text: str, limit: int) -> str:
    """Make any string fit for a text column: no NUL, no lone surrogate, not too long."""
    if len(text) > limit:
        half = limit // 2
        text = f"{text[:half]}\n… {len(text) - limit:,} characters left out …\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def _line(error: BaseException) -> str:
    try:
        words = str(error)
    except Exception as second:
        words = f"<its str() raised {type(second).__name__}>"
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def _lines(error: BaseException) -> str:
    try:
        lines = traceback.format_exception(type(error), error, _their(error.__traceback__))
    except Exception:
        return one_line(error)
    return "".join(lines)


def _speaks_for_us(error: BaseException) -> bool:
    """Whether its words are ours alone."""
    return isinstance(error, (BrokenSeal, RunError)) and not isinstance(error, ResultNotStorable)


def _without_words(error: BaseException, told: set[int]) -> Iterator[str]:
    """Tell where it was raised and of what kind it is, with those that led to it before it."""
    told.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in told:
        yield from _without_words(before, told)
        yield "\nwhich led to:\n\n"
    yield "Traceback (most recent call last):\n"
    yield from traceback.format_tb(_their(error.__traceback__))
    yield f"{type(error).__name__} ({_UNSAID})\n"
    for part in getattr(error, "exceptions", ()):
        if isinstance(part, BaseException) and id(part) not in told:
            yield "\nwith, in its group:\n\n"
            yield from _without_words(part, told)


def _their(trace: TracebackType | None) -> TracebackType | None:
    frame = trace
    while frame is not None and _is_ours(frame):
        frame = frame.tb_next
    return frame or trace


def _is_ours(trace: TracebackType) -> bool:
    module: str = trace.tb_frame.f_globals.get("__name__", "")
    return module.startswith((f"{_OURS}.", "anyio.", "asyncio."))
