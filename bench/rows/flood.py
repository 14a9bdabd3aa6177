"""Whether what is in use stays in the packet cache while names that no one has queried before rush in."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import Final

from bench import dnsperf
from bench.cluster import SMALL
from bench.dnsperf import Load
from bench.lab import Lab
from bench.load import Background
from bench.rounds import Bar, Measured, compared, take_turns
from bench.rows import Row
from bench.rows.queries import hot_names, random_names
from bench.servers import SELF, http_text

_HITS: Final = re.compile(r"^kdns_reply_cache_hits_total\S* ([\d.e+]+)$", re.MULTILINE)

HOT_RATE: Final = 2000
FLOOD_RATE: Final = 8000
"""Questions per second; the flood is all misses."""


def _hit_share(lab: Lab, bar: Bar) -> Measured:
    """Hits per hot query, with the flood and without: what it takes away."""
    lab.grow(SMALL)
    server = lab.server("kdns", "kubeadm")
    hot = dnsperf.write(lab.path("hot"), hot_names())
    metrics = f"http://{SELF}:{server.metrics_port}/metrics"

    def share(flooded: bool) -> float:
        flood = dnsperf.write(lab.path("flood"), random_names())  # fresh ones: all are misses
        beside = Load(flood, ("-q", "100"), lab.seconds + 2, FLOOD_RATE)
        with ExitStack() as ended:
            if flooded:
                ended.enter_context(
                    Background(dnsperf.command(beside, server.port), lab.path("flood.log"))
                )
            before = read_hits(http_text(metrics))
            result = dnsperf.run(Load(hot, (), lab.seconds, HOT_RATE), server.port)
            return (read_hits(http_text(metrics)) - before) / result.answered * 100

    flooded, quiet = take_turns(lambda: share(True), lambda: share(False), lab.rounds)
    return compared("% of hot queries that hit", flooded, quiet, bar, more_is_better=True)


def read_hits(text: str) -> float:
    """The packet cache's hits in a page of metrics."""
    return sum(float(value) for value in _HITS.findall(text))


ROWS: Final = (
    Row(
        "flood",
        "hot names hit during 8,000 misses/s, as a share of what hits without them",
        "undisturbed",
        Bar(0.95),
        _hit_share,
    ),
)
