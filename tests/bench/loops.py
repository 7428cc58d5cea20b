"""The event loop to measure on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module


def new_loop(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Give what makes a loop: "asyncio", or "uvloop" where it is installed; raises ImportError."""
    make: Callable[[], asyncio.AbstractEventLoop] = import_module(name).new_event_loop
    return make
