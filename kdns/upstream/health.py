"""What is known of how an upstream does: failures, and how long it usually takes.

Two things tell of a dead upstream. Failed questions make it suspect at once, for a time that doubles:
suspects are asked last. Failed health checks (``probes``) make it down, when there are too many in a row.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SAMPLES: Final = 64
ENOUGH_SAMPLES: Final = 20
"""Replies after which the usual time is known, and over how many it is taken."""

USUAL: Final = 0.95
"""The part of the replies that come in the usual time."""

REFRESH: Final = 8
"""Replies between two computations of it."""

FIRST_SUSPICION: Final = 0.5
LONGEST_SUSPICION: Final = 10.0
"""Seconds that failed questions keep an upstream last in the order."""


class Latency:
    """How long the last replies took."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=SAMPLES)
        self._seen = 0
        self._usual: float | None = None

    def observe(self, seconds: float) -> None:
        self._samples.append(seconds)
        self._seen += 1
        if self._seen >= ENOUGH_SAMPLES and self._seen % REFRESH == 0:
            self._usual = sorted(self._samples)[int(len(self._samples) * USUAL)]

    @property
    def usual(self) -> float | None:
        """Seconds in which 95 of 100 replies come; None before that is known."""
        return self._usual


class Health:
    """The state of one upstream. Times are ``time.monotonic`` seconds."""

    def __init__(self) -> None:
        self.failed_checks = 0
        """Health checks failed in a row."""
        self.errors = 0
        """Questions failed in a row."""
        self.latency = Latency()
        self._suspect_until = 0.0

    def failed(self, now: float) -> None:
        """A question got no usable reply."""
        self.errors += 1
        doubled = FIRST_SUSPICION * 2 ** min(self.errors - 1, 10)
        self._suspect_until = now + min(doubled, LONGEST_SUSPICION)

    def replied(self) -> None:
        """It gave a reply, whatever the reply says."""
        self.errors = self.failed_checks = 0
        self._suspect_until = 0.0

    def is_suspect(self, now: float) -> bool:
        """Whether others are to be asked first."""
        return now < self._suspect_until

    def is_down(self, max_fails: int) -> bool:
        """Whether it is not to be asked at all; with ``max_fails`` 0 it never is."""
        return 0 < max_fails < self.failed_checks
