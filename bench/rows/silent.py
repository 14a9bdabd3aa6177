"""Latency of the cluster's names while other queries wait for an upstream that never replies."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final

from bench import packets
from bench.cluster import SMALL
from bench.lab import OUTSIDE, Lab
from bench.load import Load
from bench.rounds import Bar, Measured, compared, take_turns
from bench.rows import Row
from bench.servers import Server

RATE: Final = 1_000
"""Queries per second for the cluster's names."""
WAITING_RATE: Final = 500
_AHEAD: Final = 2.0
"""Seconds by which the waiting queries begin before the others."""


def _p99(lab: Lab, bar: Bar) -> Measured:
    lab.grow(SMALL)
    hot = Load(packets.write(lab.path("hot"), packets.hot()), lab.seconds, RATE)
    length = lab.seconds + _AHEAD + hot.timeout

    def side(server: Server) -> Callable[[], float]:
        def once() -> float:
            messages = packets.external(int(WAITING_RATE * length), OUTSIDE)
            waiting = Load(packets.write(lab.path("waiting"), messages), length, WAITING_RATE)
            with lab.sending(waiting, server):
                time.sleep(_AHEAD)
                return lab.send(hot, server).p99 / 1e3

        return once

    with ExitStack() as ended:
        ours, _ = lab.start("kdns", "kubeadm", upstream=lab.silent_upstream)
        ended.callback(ours.stop)
        theirs, _ = lab.start("coredns", "kubeadm", upstream=lab.silent_upstream)
        ended.callback(theirs.stop)
        kdns, coredns = take_turns(side(ours), side(theirs), lab.rounds)
    return compared("ms, p99", kdns, coredns, bar)


ROWS: Final = (
    Row(
        "silent",
        f"names of the cluster while {WAITING_RATE} queries/s wait for a silent upstream",
        "CoreDNS",
        Bar(1.2, True),
        _p99,
    ),
)
