"""Counting questions and answers where it is hot: plain integers, added up at the scrape.

What a question and its answer are for the counters does not change as long as the same bytes are sent,
so it is worked out once (``Meter.classify``, about a microsecond) into a ``QueryClass``:

- an answer that was just made: ``query_class.observe(seconds)``;
- a kept reply: its entry counts its hits in an integer of its own and now and then reports them,
  ``query_class.hits(count)``. A hit costs nothing more than that increment. How long hits take is
  not measured for each, since two clock readings cost a third of a hit: they are entered with the
  running mean of the samples that ``query_class.took(seconds)`` was given.

The number of classes is bounded: exact sizes only enter sums, the key has their buckets.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from kdns.metrics.family import SIZE_BUCKETS, TIME_BUCKETS
from kdns.wire.constants import Type, rcode_name
from kdns.wire.message import Answer, Query

_TOLD_APART: Final = (
    *(Type.A, Type.NS, Type.CNAME, Type.SOA, Type.PTR, Type.MX, Type.TXT, Type.AAAA, Type.SRV),
    *(Type.DS, Type.RRSIG, Type.NSEC, Type.DNSKEY, Type.NSEC3, Type.SVCB, Type.HTTPS),
    *(Type.IXFR, Type.AXFR, Type.ANY),
)
TYPES: Final = {int(rtype): rtype.name for rtype in _TOLD_APART}
"""The types that the peer's ``type`` label tells apart; the rest is ``other``."""

DROPPED: Final = "dropped"
"""The ``zone`` of what no server block was asked about. Without a final dot it can be no zone."""

HIT_SECONDS: Final = 0.000005
"""How long sending a kept reply takes, until it was measured."""

SAMPLE_WEIGHT: Final = 1 / 16
"""Share of a new sample in that mean: some 16 samples after a change it has mostly followed."""

CellKey = tuple[str, str, str, str, str, bool, int, int]


class Histogram:
    """Counts per bucket (the last one is beyond all bounds), and the sum of what was observed."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float, count: int = 1) -> None:
        """Enter ``value``, ``count`` times. A value equal to a bound is inside it."""
        self.counts[bisect_left(self.bounds, value)] += count
        self.sum += value * count


class Cell:
    """One combination of everything that is told apart, and how often it came."""

    __slots__ = ("count", "key", "request_bytes", "response_bytes")

    def __init__(self, key: CellKey) -> None:
        self.key = key
        self.count = self.request_bytes = self.response_bytes = 0


class QueryClass:
    """What a question and its answer are to the counters. Good for as long as the bytes are."""

    __slots__ = ("cell", "meter", "replayed", "request_size", "response_size")

    def __init__(self, meter: Meter, cell: Cell, request_size: int, response_size: int) -> None:
        self.meter, self.cell = meter, cell
        self.replayed: tuple[Callable[[int], None], ...] = ()
        """The counters of directives for this answer, called with the number of hits."""
        self.request_size, self.response_size = request_size, response_size

    def hits(self, count: int) -> None:
        """``count`` more questions were answered with a kept reply."""
        self.meter.add(self, count)
        for replayed in self.replayed:
            replayed(count)

    def took(self, seconds: float) -> None:
        """A sample: a hit was served in so many seconds."""
        self.meter.hit_seconds += (seconds - self.meter.hit_seconds) * SAMPLE_WEIGHT

    def observe(self, seconds: float) -> None:
        """One question was answered, ``seconds`` after it came in."""
        self.meter.observe(self, seconds)


class Meter:
    """The counters of one server block: ``server`` is ``dns://ADDRESS:PORT``, the zone as text."""

    def __init__(self, server: str, zone: str, view: str = "") -> None:
        self.labels = (server, zone, view)
        self.hit_seconds = HIT_SECONDS
        self.cells: dict[CellKey, Cell] = {}
        self.durations = Histogram(TIME_BUCKETS)

    def classify(
        self, query: Query, answer: Answer, request_size: int, response_size: int
    ) -> QueryClass:
        """Sizes are octets of the DNS messages as they came in and go out.

        For a request without a question that can be read, give a Query with what there is (transport,
        client) and type 0.
        """
        key = (
            "udp" if query.transport == "udp" else "tcp",
            "2" if ":" in query.client and "." not in query.client else "1",
            TYPES.get(query.qtype, "other"),
            rcode_name(answer.rcode),
            answer.plugin,
            query.edns is not None and query.edns.dnssec_ok,
            bisect_left(SIZE_BUCKETS, request_size),
            bisect_left(SIZE_BUCKETS, response_size),
        )
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell(key)
        return QueryClass(self, cell, request_size, response_size)

    def observe(self, query_class: QueryClass, seconds: float) -> None:
        """Count an answer that was just made."""
        self._count(query_class, 1)
        self.durations.observe(seconds)

    def add(self, query_class: QueryClass, count: int) -> None:
        """Count ``count`` hits of a kept reply."""
        self._count(query_class, count)
        self.durations.observe(self.hit_seconds, count)

    def _count(self, query_class: QueryClass, count: int) -> None:
        cell = query_class.cell
        cell.count += count
        cell.request_bytes += count * query_class.request_size
        cell.response_bytes += count * query_class.response_size
