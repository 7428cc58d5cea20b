"""
How far a claim looks: so many candidates for each slot.

Claims skip what others hold. Who looks at no more jobs than it wants finds them all held when another claims at
the same moment; sixteen who do so are mostly in each other's way. So the spread grows while others are seen to hold
what was looked at, and shrinks again, slowly, when for a while claims have had all that they wanted.
"""

from __future__ import annotations

FACTOR = 4
CANDIDATES = 512  # at most in one claim, but for a claim that wants as many
CALM_AFTER = 16  # claims in a row that had all they wanted


class Spread:
    """The spread of one claimer."""

    def __init__(self) -> None:
        self._factor = 1
        self._calm = 0

    def of(self, demand: int) -> int:
        """How many candidates to look at for each job that is wanted."""
        return min(self._factor, max(FACTOR, CANDIDATES // demand))

    def learn(self, got: int, saw: int, demand: int) -> bool:
        """Take note of what a claim brought; tells whether to look further at once, as all that it saw was held."""
        if saw and not got:
            self._calm, before = 0, self.of(demand)
            self._factor = max(self._factor, before * FACTOR)
            return self.of(demand) > before
        # Less than was wanted may have other reasons, as a queue's share: that says nothing of others.
        self._calm += got == demand
        if self._calm >= CALM_AFTER:
            self._calm = 0
            self._factor = max(1, self._factor // FACTOR)
        return False
