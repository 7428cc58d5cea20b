"""
Services: the loops of the executor, each kept alive whatever happens to it.

A service that fails is started again. One that fails again and again, or does not come along any more, is
told of in `/ready`, and in `/live` when a restart would help: what Postgres says, a restart does not change.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import anyio

from asyncjobs.errors import AsyncJobsError
from asyncjobs.health import Check, Verdict, in_words

log: logging.Logger = logging.getLogger("asyncjobs.service")

_FIRST_PAUSE = 0.1  # seconds
_LAST_PAUSE = 30.0  # seconds
CALM_AFTER = 60.0  # seconds without a failure make the next one the first again

FAILS_AGAIN = 3  # times in a row
FAILS_FOR_GOOD_AFTER = 60.0  # seconds
HANGS_AFTER = 90.0  # seconds, longer than any two statements with their connections may take
HANGS_FOR_GOOD_AFTER = 300.0  # seconds


@dataclass(slots=True)
class Series:
    """Failures of one service, each soon after the one before; moments of `time.monotonic()`."""

    began: float
    last: float
    failures: int
    error: str
    kind: str
    is_ours: bool
    """Whether it is a fault of this code, as a bug is; not Postgres's word, which a restart would not change."""


class Troubles(dict[str, int]):
    """How often each service has failed, by name; and which fail again and again."""

    def __init__(self) -> None:
        super().__init__()
        self._series: dict[str, Series] = {}

    def note(self, name: str, error: Exception, *, calm: bool) -> None:
        """It failed; `calm`: after a time in which it did not."""
        self[name] = self.get(name, 0) + 1
        now = time.monotonic()
        series = self._series.get(name)
        began, failures = (now, 0) if calm or series is None else (series.began, series.failures)
        kind, is_ours = type(error).__name__, not isinstance(error, AsyncJobsError)
        self._series[name] = Series(began, now, failures + 1, f"{kind}: {error}", kind, is_ours)

    def found(self, now: float, may_fail: Collection[str] = ()) -> Iterator[Check]:
        """Tell of those that have failed, and have not gone on since for long enough to be called well."""
        for name, series in list(self._series.items()):  # maybe from another thread
            if now - series.last < CALM_AFTER:
                yield _warned(name, series) if name in may_fail else _judged(name, series, now)


def _judged(name: str, series: Series, now: float) -> Check:
    if series.failures < FAILS_AGAIN:
        return _warned(name, series)
    for_good = series.is_ours and now - series.began > FAILS_FOR_GOOD_AFTER
    words = f"{name} fails again and again, {series.failures} times now, with {series.kind}"
    return Check(name, Verdict.FAIL, words, None, series.error, restart_helps=for_good)


def _warned(name: str, series: Series) -> Check:
    times = "once" if series.failures == 1 else f"{series.failures} times"
    words = f"{name} has failed {times} lately, with {series.kind}"
    return Check(name, Verdict.WARN, words, None, series.error)


class Acts(Protocol):
    """A service that listens for work, and does it."""

    @property
    def acts_since(self) -> float | None:
        """When it last came along (`time.monotonic()`); None while it listens."""
        ...


def acts_for(service: Acts, now: float) -> float:
    """Give the seconds since it last came along, 0 while it listens."""
    since = service.acts_since
    return 0.0 if since is None else max(0.0, now - since)


def hanging(services: Mapping[str, Acts], now: float) -> Iterator[Check]:
    """Tell of those that do not come along: every wait of ours has an end, so that is a fault of ours."""
    for name, service in services.items():
        hangs = acts_for(service, now)
        if hangs > HANGS_AFTER:
            words = f"{name} hangs: it has not come along for {in_words(hangs)}"
            for_good = hangs > HANGS_FOR_GOOD_AFTER
            yield Check(name, Verdict.FAIL, words, round(hangs, 3), restart_helps=for_good)


async def keep(name: str, serve: Callable[[], Awaitable[None]], troubles: Troubles) -> None:
    """
    Run `serve` again whenever it fails, after a growing pause.

    No failure of ours may end the app's lifespan: one KeyError in one loop would otherwise cancel the
    task group, unwind the lifespan and leave a web server that serves without its pool.
    """
    pause = _FIRST_PAUSE
    while True:
        began = time.monotonic()
        try:
            await serve()
        except Exception as error:
            troubles.note(name, error, calm=time.monotonic() - began > CALM_AFTER)
            log.exception("%s failed and starts again in %.1f s", name, pause)
        else:
            return
        await anyio.sleep(pause)
        calm = time.monotonic() - began > CALM_AFTER
        pause = _FIRST_PAUSE if calm else min(pause * 2, _LAST_PAUSE)
