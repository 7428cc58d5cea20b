"""What a run says while it goes on, and what it prints."""

from __future__ import annotations

import sys


def show(text: str) -> None:
    """Print it."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def told(words: str) -> None:
    """Say what is being done, in one line that the next one overwrites; to a terminal only."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{words}")
        sys.stderr.flush()
