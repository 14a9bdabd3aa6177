"""What a query costs the server: CPU time, and instructions where the machine counts them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Final, Protocol

from msgspec import Struct

from bench import usage
from bench.rounds import Bar, Measured, NotRunError, compared, take_turns
from bench.servers import Server

UNIT: Final = "µs of CPU per query"

_EXPECTED: Final = 0.2
"""The share of replies that must have the expected RCODE, or the row would compare other things."""
_LOST: Final = 0.01
"""The share of queries that may be lost."""


class Result(Protocol):
    """The result of a load."""

    @property
    def answered(self) -> int: ...
    @property
    def lost(self) -> int: ...
    @property
    def rcodes(self) -> dict[str, int]: ...


class Cost(Struct, frozen=True):
    """Of one query, in one load."""

    microseconds: float
    instructions: float | None = None


def measure(run: Callable[[], Result], server: Server, rcode: str = "") -> Cost:
    """The cost of one load. Raises ``NotRunError`` when the replies are not right."""
    with usage.Instructions(server.process.pid) as counted:
        before = server.cpu_seconds()
        result = run()
        spent = server.cpu_seconds() - before
    name = server.process.name
    if rcode and result.rcodes.get(rcode, 0) < _EXPECTED * result.answered:
        raise NotRunError(f"{name} answered {result.rcodes}, not {rcode}")
    if not result.answered or result.lost > _LOST * result.answered:
        raise NotRunError(f"{name} lost {result.lost} of {result.answered + result.lost}")
    per_query = None if counted.count is None else counted.count / result.answered
    return Cost(spent / result.answered * 1e6, per_query)


class Sides(Struct, frozen=True):
    """The two that are compared, and their names."""

    ours: Callable[[], Cost]
    theirs: Callable[[], Cost]
    peer: str


def compare(sides: Sides, rounds: int, bar: Bar, notes: Sequence[str] = ()) -> Measured:
    """Measure in turn."""
    ours, theirs = take_turns(sides.ours, sides.theirs, rounds)
    counted = [
        median(cost.instructions for cost in costs if cost.instructions is not None)
        for costs in (ours, theirs)
        if costs[0].instructions is not None
    ]
    if len(counted) == 2:
        text = f"instructions per query: kdns {counted[0]:,.0f}, {sides.peer} {counted[1]:,.0f}"
        notes = (*notes, text)
    kdns, peer = ([cost.microseconds for cost in costs] for costs in (ours, theirs))
    return compared(UNIT, kdns, peer, bar, notes)
