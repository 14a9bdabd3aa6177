"""A bound on the processor time of what is helpful but not needed."""

from __future__ import annotations

from typing import Final

PERIOD: Final = 0.1
"""Seconds after which it may be spent again."""

SHARE: Final = 0.05
"""Of the time, so that a flood of queries is answered for little more than without."""


class Budget:
    """Some of the time of each period. The clock is any that never goes back, in seconds."""

    def __init__(self, period: float = PERIOD, share: float = SHARE) -> None:
        self.period, self.seconds = period, period * share
        self._begun = self._spent = 0.0

    def allows(self, now: float) -> bool:
        """Whether anything of the period is left."""
        if now - self._begun >= self.period:
            self._begun, self._spent = now, 0.0
        return self._spent < self.seconds

    def spend(self, seconds: float) -> None:
        """Take off what was used."""
        self._spent += seconds
