"""The rows, in the order of the table. Each module has some of them as data."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from bench.lab import Lab
from bench.rounds import Bar, Measured


class Row(Struct, frozen=True):
    """One line of the table. ``measure`` raises ``NotRunError`` with the reason when it cannot."""

    name: str
    title: str
    peer: str
    bar: Bar
    measure: Callable[[Lab, Bar], Measured]
