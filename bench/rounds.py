"""From repeated measurements to a figure: medians, and how far they spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final, TypeVar

from msgspec import Struct


class NotRunError(Exception):
    """A row cannot be measured here; the message says why."""


class Bar(Struct, frozen=True):
    """What a ratio has to reach."""

    limit: float
    at_most: bool = False

    def holds(self, ratio: float) -> bool:
        return ratio <= self.limit if self.at_most else ratio >= self.limit

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.limit:g}"


class Measured(Struct, frozen=True):
    """The rounds of one row: ``peer`` and ``kdns`` in ``unit``, and a ratio for each round."""

    unit: str
    kdns: tuple[float, ...]
    peer: tuple[float, ...]
    ratios: tuple[float, ...]
    notes: tuple[str, ...] = ()

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest ratio of a round."""
        return min(self.ratios), max(self.ratios)


Figure = TypeVar("Figure")

WARM_UP: Final = 1
"""Rounds that do not count: caches fill, memory is faulted in."""


def take_turns(
    first: Callable[[], Figure], second: Callable[[], Figure], rounds: int
) -> tuple[list[Figure], list[Figure]]:
    """Measure A B A B …, in reverse order every other time, so that a drift favours neither."""
    firsts, seconds = list[Figure](), list[Figure]()
    for at in range(rounds + WARM_UP):
        if at % 2:
            b, a = second(), first()
        else:
            a, b = first(), second()
        if at >= WARM_UP:
            firsts.append(a)
            seconds.append(b)
    return firsts, seconds


def compared(
    unit: str,
    kdns: Sequence[float],
    peer: Sequence[float],
    bar: Bar,
    notes: Sequence[str] = (),
    more_is_better: bool = False,
) -> Measured:
    """Ratios in the direction of the bar: with a lower limit, how many times better kdns is."""
    upside_down = not bar.at_most and not more_is_better
    pairs = zip(kdns, peer, strict=True)
    ratios = [theirs / ours if upside_down else ours / theirs for ours, theirs in pairs]
    return Measured(unit, tuple(kdns), tuple(peer), tuple(ratios), tuple(notes))


def absolute(
    unit: str, kdns: Sequence[float], peer: Sequence[float], notes: Sequence[str] = ()
) -> Measured:
    """For a bar that is a fixed figure: the ratio is kdns's own figure."""
    note = f"the bar is for kdns's own figure, {unit}, which stands as the ratio too"
    return Measured(unit, tuple(kdns), tuple(peer), tuple(kdns), (note, *notes))
