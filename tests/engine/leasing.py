"""What the tests of the lease look at."""

from __future__ import annotations

import threading
from typing import cast

from asyncjobs import Jobs
from asyncjobs.postgres.lease import Lease
from tests.engine.harm import inside

LEASED_FOR = "select date_part('epoch', lease_until - clock_timestamp()) from asyncjobs.process where id = $1"


def lease(jobs: Jobs) -> Lease:
    """Give the lease of a running `Jobs`."""
    return cast("Lease", inside(jobs).link)


def beats() -> list[threading.Thread]:
    """List the hearts that beat in this process."""
    return [thread for thread in threading.enumerate() if thread.name == "asyncjobs heart"]
