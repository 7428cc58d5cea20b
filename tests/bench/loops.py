"""The event loop to measure on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec


def new_loop(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Give what makes a loop: "asyncio", or "uvloop" where it is installed; raises ImportError."""
    make: Callable[[], asyncio.AbstractEventLoop] = import_module(name).new_event_loop
    return make


def quickest() -> str:
    """Name the one that is quickest here."""
    return "uvloop" if find_spec("uvloop") else "asyncio"
