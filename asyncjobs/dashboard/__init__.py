"""
The dashboard: a Starlette app to mount, closed until it is told whom to let in.

It owns nothing: no connection, no task, no lifespan (a mounted app gets none). It reads through
`jobs.database`, acts through `jobs`, and says so in words when `jobs` is not running.
"""

from asyncjobs.dashboard.access import Allow
from asyncjobs.dashboard.app import build

__all__ = ["Allow", "build"]
