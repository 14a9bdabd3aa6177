"""Whether what is in use stays in the reply cache while names that no one has queried before rush in."""

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

_MISSES: Final = re.compile(r"^kdns_reply_cache_misses_total\S* ([\d.e+]+)$", re.MULTILINE)

HOT_RATE: Final = 2000
FLOOD_RATE: Final = 8000
"""Questions per second; the flood is all misses."""


def _hit_share(lab: Lab, bar: Bar) -> Measured:
    """Hits per hot query right after the flood, and without one: what it takes away.

    Each name is queried once then, lest it hits what the first miss put there. During the flood hits
    do not tell, since denials answer most of its names.
    """
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
            dnsperf.run(Load(hot, (), lab.seconds, HOT_RATE), server.port)
        before = read_misses(http_text(metrics))
        result = dnsperf.run(Load(hot), server.port)
        missed = read_misses(http_text(metrics)) - before
        return (1 - missed / result.answered) * 100

    flooded, quiet = take_turns(lambda: share(True), lambda: share(False), lab.rounds)
    return compared("% of hot queries that hit", flooded, quiet, bar, more_is_better=True)


def read_misses(text: str) -> float:
    """The reply cache's misses in a page of metrics."""
    return sum(float(value) for value in _MISSES.findall(text))


ROWS: Final = (
    Row(
        "flood",
        "hot names that hit after 8,000 new names/s, as a share of what hits without them",
        "undisturbed",
        Bar(0.95),
        _hit_share,
    ),
)
