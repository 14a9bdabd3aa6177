"""How long to wait before the next attempt: growing, with jitter, and never longer than a cap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct


class Policy(Struct, frozen=True):
    """Seconds of the first pause, growth per further failure, and longest pause."""

    first: float
    factor: float
    cap: float


REFUSED: Final = Policy(first=0.05, factor=2, cap=0.5)
"""A refused connection costs both sides next to nothing, and the API's return is to be seen at once."""

UNREACHABLE: Final = Policy(first=0.1, factor=2, cap=1.0)
"""Each such attempt takes seconds by itself, so little need be added."""

ANSWERED: Final = Policy(first=0.2, factor=1.5, cap=10.0)
"""The server is there and says no. It says so for some seconds after its start too (503, 403 before
its roles are read), hence the slow growth; a lasting no is asked about every 10 s."""

CREDENTIALS: Final = Policy(first=1.0, factor=2, cap=30.0)
"""Until credentials are asked for again that were not given or not accepted: each attempt may run a
program, which takes a second of CPU or opens a browser. A changed kubeconfig is read at once."""

LONGEST_RETRY_AFTER: Final = 60.0
"""A larger Retry-After (RFC 9110 section 10.2.3) is cut to this: it is advice from a sick server."""


class Backoff:
    """The pauses of one retrying loop."""

    def __init__(self, uniform: Callable[[float, float], float]) -> None:
        self._uniform = uniform
        self._policy = REFUSED
        self._failures = 0

    def reset(self) -> None:
        """Forget the failures: something worked."""
        self._failures = 0

    def after(self, policy: Policy, at_least: float = 0.0) -> float:
        """Count a failure; return the seconds to wait. Another policy starts with its first pause."""
        if policy is not self._policy:
            self._policy, self._failures = policy, 0
        # The exponent is bounded because a float overflows after a day of outage.
        pause = min(policy.cap, policy.first * policy.factor ** min(self._failures, 50))
        self._failures += 1
        jittered = pause * self._uniform(0.5, 1.0)
        return max(jittered, min(at_least, LONGEST_RETRY_AFTER) * self._uniform(1.0, 1.2))
