"""What of an executor tells how it is: nothing is asked and nothing is changed by looking at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asyncjobs.engine.claim import Claimer
from asyncjobs.engine.finish import Finisher
from asyncjobs.engine.lag import Lag
from asyncjobs.engine.pace import Pace
from asyncjobs.engine.poll import Poller
from asyncjobs.engine.presence import Presence
from asyncjobs.engine.runs import Runs
from asyncjobs.engine.service import Acts
from asyncjobs.postgres.answers import Answers
from asyncjobs.postgres.bond import Bond


@dataclass(frozen=True, slots=True)
class Vitals:
    """The parts, and the services that are watched for hanging."""

    lag: Lag
    pace: Pace | None
    linked: Answers
    link: Bond
    runs: Runs
    claims: Claimer
    polls: Poller
    beats: Presence
    outcomes: Finisher
    acting: Mapping[str, Acts]
