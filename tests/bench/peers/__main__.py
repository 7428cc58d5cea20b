"""`python -m tests.bench.peers MODULE ADDRESS LOOP …`: speak for the player of a module of this package."""

from __future__ import annotations

import sys
from importlib import import_module

from tests.bench.peers.speaking import main

if __name__ == "__main__":
    main(import_module(f"tests.bench.peers.{sys.argv.pop(1)}").player)
