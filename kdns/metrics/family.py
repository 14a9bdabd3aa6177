"""What a series is: a family with its name, kind and labels, and the buckets of histograms."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct


class Family(Struct, frozen=True):
    """A metric: all series of one name. Counters are named with their ``_total``."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, ascending, without infinity."""


def _doubling(start: float, factor: float, count: int) -> tuple[float, ...]:
    return tuple(start * factor**power for power in range(count))


TIME_BUCKETS: Final = _doubling(0.00025, 2, 16)  # seconds: 0.25 ms to 8.2 s
SLIM_TIME_BUCKETS: Final = _doubling(0.00025, 10, 5)  # seconds: 0.25 ms to 2.5 s
PROGRAMMING_BUCKETS: Final = _doubling(0.001, 2, 20)  # seconds: 1 ms to 8.7 min
REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds
SIZE_BUCKETS: Final[tuple[float, ...]] = (
    *(0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291),
    *(16000, 32000, 48000, 64000),
)  # octets


def counter(name: str, text: str, labels: str = "") -> Family:
    """``labels`` are separated by blanks, here and below."""
    return Family(name, "counter", text, tuple(labels.split()))


def gauge(name: str, text: str, labels: str = "") -> Family:
    """What goes up and down."""
    return Family(name, "gauge", text, tuple(labels.split()))


def histogram(name: str, text: str, labels: str = "", *, buckets: tuple[float, ...]) -> Family:
    """``buckets`` are those of ``Family``."""
    return Family(name, "histogram", text, tuple(labels.split()), buckets)
