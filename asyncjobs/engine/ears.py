"""Telling events to whoever listens; nothing is even made when nobody does."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from asyncjobs.events import Event

log: logging.Logger = logging.getLogger("asyncjobs")


class Ears:
    """
    The listeners of this process.

    False while there are none, so that the road of a job need not make an event that nobody hears:
    `if ears: ears(Started(…))`.
    """

    def __init__(self, listeners: Sequence[Callable[[Event], None]]) -> None:
        self._listeners = tuple(listeners)

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def __call__(self, event: Event) -> None:
        """Tell them all; one that fails keeps it from nobody else."""
        for hears in self._listeners:
            try:
                hears(event)
            except Exception:
                log.exception("a listener failed on %s", event)
