"""Questions per second with as many workers as cores."""

from __future__ import annotations

from typing import Final

from bench.lab import Lab
from bench.rounds import Bar, Measured, NotRunError
from bench.rows import Row


def _throughput(lab: Lab, bar: Bar) -> Measured:
    raise NotRunError("workers not there yet")


ROWS: Final = (
    Row(
        "workers",
        "questions per second, as many workers as cores",
        "CoreDNS",
        Bar(1.5),
        _throughput,
    ),
)
