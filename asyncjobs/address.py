"""Where Postgres is: what was said, else what the environment says, else, in development, our own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta

from asyncjobs.errors import NoAddress

LINGER = timedelta(seconds=3)  # an embedded server outlives a reload by this


def is_development(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether ASYNCJOBS_DEV says that this is somebody's own machine."""
    return environment.get("ASYNCJOBS_DEV", "").lower() in ("1", "true", "yes", "on")


def find_address(dsn: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """
    Give the address of Postgres; None means: start the embedded one.

    Raises NoAddress outside development when nobody said one.
    """
    said = dsn or environment.get("ASYNCJOBS_DATABASE_URL") or environment.get("DATABASE_URL")
    if said:
        # SQLAlchemy and Heroku spell it in their own ways.
        scheme, separator, rest = said.partition("://")
        return f"postgresql://{rest}" if separator and scheme.startswith("postgres") else said
    if is_development(environment):
        return None
    raise NoAddress
