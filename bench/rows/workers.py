"""Answers per second of the clock with as many workers as cores: the load shares these cores."""

from __future__ import annotations

import os
from functools import partial
from typing import Final

from bench import dnsperf
from bench.cluster import SMALL
from bench.dnsperf import Load
from bench.lab import Lab
from bench.rounds import Bar, Measured, compared, take_turns
from bench.rows import Row
from bench.rows.queries import hot_names
from bench.servers import Server

_CLIENTS: Final = ("-c", "20", "-T", "2", "-q", "200")
"""Several sockets, since the kernel shares queries among workers by their source."""


def _throughput(lab: Lab, bar: Bar) -> Measured:
    lab.grow(SMALL)
    sent = Load(dnsperf.write(lab.path("hot"), hot_names()), _CLIENTS, lab.seconds)
    cores = os.cpu_count() or 1
    # Not shared with other rows: the workers would take part in what those measure.
    ours, _ = lab.start("kdns", "kubernetes", ("-workers", str(cores)))
    theirs = lab.server("coredns", "kubernetes")
    try:
        kdns, coredns = take_turns(
            partial(_rate, sent, ours), partial(_rate, sent, theirs), lab.rounds
        )
    finally:
        ours.stop()
    note = f"{cores} workers, dnsperf on the same {cores} cores"
    return compared("answers per second", kdns, coredns, bar, (note,), more_is_better=True)


def _rate(sent: Load, server: Server) -> float:
    return dnsperf.run(sent, server.port).rate


ROWS: Final = (
    Row(
        "workers",
        "1,000 Services, A, `kubernetes` alone, as many workers as cores",
        "CoreDNS",
        Bar(1.5),
        _throughput,
    ),
)
