"""Counting queries and replies where it is hot: plain integers, added up at the scrape.

What a query and its reply are for the counters is worked out once (about a microsecond):

- a reply that was just made: ``meter.observe(…, seconds)``;
- a cached reply: ``meter.classify`` gives a ``QueryClass`` whose ``hits`` are counted up, and now and
  then reported (``report``). A hit costs nothing more than that increment. How long hits take is not
  measured for each, since two clock readings cost a third of a hit: they are entered with the running
  mean of the samples that ``took(seconds)`` was given.

The number of cells is bounded: exact sizes only enter sums, the key has their buckets.
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

Origin = tuple[str, str]
"""The labels ``proto`` (udp, tcp) and ``family`` (1, 2) of a query."""

Labels = tuple[str, str, str, bool]
"""Of an answer: type, rcode, the directive that answered, whether the query had the DO bit."""

CellKey = tuple[Origin, Labels, int, int]


def origin_of(transport: str, client: str) -> Origin:
    """``client`` is an address in text; an IPv4 address that is mapped into IPv6 is one of IPv4."""
    return (
        "udp" if transport == "udp" else "tcp",
        "2" if ":" in client and "." not in client else "1",
    )


def labels_of(query: Query, answer: Answer) -> Labels:
    edns = query.edns
    return (
        TYPES.get(query.qtype, "other"),
        rcode_name(answer.rcode),
        answer.plugin,
        edns is not None and edns.dnssec_ok,
    )


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
    """Counts the hits of a cached reply to requests of one size. Good for as long as the reply is."""

    __slots__ = (
        "cell",
        "hits",
        "meter",
        "replayed",
        "reported",
        "request_size",
        "response_size",
    )

    def __init__(self, meter: Meter, cell: Cell, request_size: int, response_size: int) -> None:
        self.meter, self.cell = meter, cell
        self.hits = self.reported = 0
        self.replayed: tuple[Callable[[int], None], ...] = ()
        """The counters of directives for this answer, called with the number of hits."""
        self.request_size, self.response_size = request_size, response_size

    def report(self) -> int:
        """Count the hits since the last call, and return how many they are."""
        count = self.hits - self.reported
        if count:
            self.reported = self.hits
            self.meter.add(self, count)
            for replayed in self.replayed:
                replayed(count)
        return count

    def took(self, seconds: float) -> None:
        """A sample: a hit was served in so many seconds."""
        self.meter.hit_seconds += (seconds - self.meter.hit_seconds) * SAMPLE_WEIGHT


class Meter:
    """The counters of one server block: ``server`` is ``dns://ADDRESS:PORT``, the zone as text."""

    def __init__(self, server: str, zone: str, view: str = "") -> None:
        self.labels = (server, zone, view)
        self.hit_seconds = HIT_SECONDS
        self.cells: dict[CellKey, Cell] = {}
        self.durations = Histogram(TIME_BUCKETS)

    def classify(
        self, origin: Origin, labels: Labels, request_size: int, response_size: int
    ) -> QueryClass:
        """For a reply that is cached. Sizes are octets of the DNS messages as they come and go."""
        cell = self._cell(origin, labels, request_size, response_size)
        return QueryClass(self, cell, request_size, response_size)

    def observe(
        self, origin: Origin, labels: Labels, request_size: int, response_size: int, seconds: float
    ) -> None:
        """Count a reply that was just made, ``seconds`` after its query came in."""
        cell = self._cell(origin, labels, request_size, response_size)
        cell.count += 1
        cell.request_bytes += request_size
        cell.response_bytes += response_size
        self.durations.observe(seconds)

    def add(self, query_class: QueryClass, count: int) -> None:
        """Count ``count`` hits of a cached reply."""
        cell = query_class.cell
        cell.count += count
        cell.request_bytes += count * query_class.request_size
        cell.response_bytes += count * query_class.response_size
        self.durations.observe(self.hit_seconds, count)

    def _cell(self, origin: Origin, labels: Labels, request_size: int, response_size: int) -> Cell:
        key = (
            origin,
            labels,
            bisect_left(SIZE_BUCKETS, request_size),
            bisect_left(SIZE_BUCKETS, response_size),
        )
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = Cell(key)
        return cell
