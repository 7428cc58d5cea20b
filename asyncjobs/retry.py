"""
When to try again: policies that are pure functions of the attempt.

A policy is data. It never sleeps and never touches Postgres; the engine asks it once, after a failure,
and stores the answer with the job.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from asyncjobs.errors import BadOption

Exceptions = type[BaseException] | tuple[type[BaseException], ...]


@dataclass(frozen=True, slots=True)
class Retry:
    """
    How often a failed job is tried, and how long it waits in between.

    `pause(attempt)` is the wait after that attempt (counted from 1). Of what the function raises, only
    `retry_on` is tried again, and never `discard_on`. `within` bounds the whole: an attempt that would
    start later than this after the job was enqueued is not made.
    """

    max_attempts: int
    pause: Callable[[int], timedelta]
    retry_on: Exceptions = BaseException
    discard_on: Exceptions = ()
    within: timedelta | None = None

    def after(self, error: BaseException, attempt: int, age: timedelta) -> timedelta | None:
        """
        Tell how long to wait after `attempt` failed with `error`, or None to give up.

        `age` is the time since the job was enqueued.
        """
        if attempt >= self.max_attempts:
            return None
        if isinstance(error, self.discard_on) or not isinstance(error, self.retry_on):
            return None
        pause = self.pause(attempt)
        if self.within is not None and age + pause > self.within:
            return None
        return pause


def exponential(
    max_attempts: int = 5,
    *,
    base: timedelta = timedelta(seconds=1),
    cap: timedelta = timedelta(hours=1),
    retry_on: Exceptions = BaseException,
    discard_on: Exceptions = (),
    within: timedelta | None = None,
) -> Retry:
    """
    Wait `base`, twice that, four times that … up to `cap`, each with jitter.

    A wait lies between half of its nominal length and the whole: enough to scatter a herd, never so
    short that the first retry hits a service that has not got up yet ("equal jitter" in Marc Brooker's
    comparison, AWS Architecture Blog, 2015).

    Raises BadOption for fewer than one attempt, a negative length, or exceptions that are none.
    """
    _check(max_attempts, retry_on, discard_on, within, base=base, cap=cap)

    def pause(attempt: int) -> timedelta:
        doublings = min(attempt - 1, 1000)
        seconds = min(cap.total_seconds(), base.total_seconds() * 2.0**doublings)
        nominal = timedelta(seconds=seconds)
        return nominal * random.uniform(0.5, 1.0)

    return Retry(max_attempts, pause, retry_on, discard_on, within)


def fixed(
    delay: timedelta,
    max_attempts: int = 5,
    *,
    retry_on: Exceptions = BaseException,
    discard_on: Exceptions = (),
    within: timedelta | None = None,
) -> Retry:
    """
    Wait the same `delay` after each failure.

    Raises BadOption for fewer than one attempt, a negative delay, or exceptions that are none.
    """
    _check(max_attempts, retry_on, discard_on, within, delay=delay)
    return Retry(max_attempts, lambda attempt: delay, retry_on, discard_on, within)


def never() -> Retry:
    """Try once: the first failure is the last."""
    return Retry(1, lambda attempt: timedelta(0))


def _check(
    max_attempts: object,
    retry_on: object,
    discard_on: object,
    within: object,
    **lengths: object,
) -> None:
    if not isinstance(max_attempts, int) or max_attempts < 1:
        raise BadOption("max_attempts", "a whole number from 1", max_attempts)
    for name, kinds in (("retry_on", retry_on), ("discard_on", discard_on)):
        for kind in _each(kinds):
            if not isinstance(kind, type) or not issubclass(kind, BaseException):
                raise BadOption(name, "an exception class or a tuple of them", kinds)
    if within is not None:
        lengths["within"] = within
    for name, length in lengths.items():
        if not isinstance(length, timedelta) or length < timedelta(0):
            raise BadOption(name, "a timedelta that is not negative", length)


def _each(kinds: object) -> tuple[object, ...]:
    return cast("tuple[object, ...]", kinds) if isinstance(kinds, tuple) else (kinds,)
