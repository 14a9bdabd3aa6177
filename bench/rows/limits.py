"""A calm client of a server with a CPU limit, while more queries arrive than the limit can answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from statistics import median
from typing import Final

from msgspec import Struct

from bench import cluster, packets
from bench.cluster import SMALL
from bench.cpu_limit import limited
from bench.lab import OUTSIDE, Lab, Program
from bench.load import Load, LoadResult
from bench.rounds import Bar, Measured
from bench.rows import Row
from bench.servers import Server

_LIMITS: Final = (100, 200, 500)
"""Millicores."""
_CALM_RATE: Final = 20
_CALM_NAMES: Final = 20
_LENGTH: Final = 4
"""Times the usual length of a measurement: the calm client sends few queries."""
_ROUNDS: Final = 2
_AHEAD: Final = 1.0
"""Seconds by which the flood begins before the calm client."""
_LARGE: Final = 2_000


class Flood(Struct, frozen=True):
    """What arrives beside the calm client."""

    name: str
    title: str
    rate: int
    messages: Callable[[int], Iterable[bytes]]
    """So many, which are then repeated if that is not enough."""


def _external(count: int) -> Iterable[bytes]:
    return packets.external(count, OUTSIDE)


def _hot(count: int) -> Iterable[bytes]:
    return packets.hot()


def _large_srv(count: int) -> Iterable[bytes]:
    """As dig sends them, each with a cookie of its own."""
    name = packets.wire(f"_http._tcp.{cluster.large_name(_LARGE, 0)}.{cluster.LARGE_DOMAIN}")
    return (
        packets.message(name, packets.SRV, packets.opt(cookie=packets.cookie()))
        for _ in range(count)
    )


_FLOODS: Final = (
    Flood("random", "1,600 random names/s", 1_600, packets.missing),
    Flood("external", "400 external names/s", 400, _external),
    Flood("hot", "5,000 hot queries/s", 5_000, _hot),
    Flood("srv", f"10 SRV queries/s for {_LARGE:,} endpoints", 10, _large_srv),
)


def _measure(millicores: int, flood: Flood, lab: Lab, bar: Bar) -> Measured:
    lab.grow(SMALL)
    lab.add_large(_LARGE, (0,))
    rounds = min(lab.rounds, _ROUNDS)
    kdns, coredns = list[LoadResult](), list[LoadResult]()
    sides: tuple[tuple[Program, list[LoadResult]], ...] = (("kdns", kdns), ("coredns", coredns))
    for _ in range(rounds):
        for program, results in sides:
            with ExitStack() as ended:
                wrapper = ended.enter_context(limited(millicores))
                server, _ = lab.start(program, "kubeadm", wrapper=wrapper)
                ended.callback(server.stop)
                results.append(_calm_client(lab, server, flood))
    ours, theirs = ([each.lost_share for each in results] for results in (kdns, coredns))
    more = tuple(our - their for our, their in zip(ours, theirs, strict=True))
    p99 = (median(each.p99 for each in results) / 1e3 for results in (kdns, coredns))
    note = "the ratio is the difference in points; p99 of the others: kdns {:,.0f} ms, CoreDNS {:,.0f} ms"
    return Measured("% lost", tuple(ours), tuple(theirs), more, (note.format(*p99),))


def _calm_client(lab: Lab, server: Server, flood: Flood) -> LoadResult:
    seconds = _LENGTH * lab.seconds
    hot = packets.write(lab.path("hot"), packets.hot(_CALM_NAMES))
    calm = Load(hot, seconds, _CALM_RATE, sockets=1)
    lab.send(Load(hot, 1, once=True), server)
    length = seconds + _AHEAD + calm.timeout
    messages = flood.messages(int(flood.rate * length) + 1)
    beside = Load(packets.write(lab.path("flood"), messages), length, flood.rate)
    with lab.sending(beside, server):
        time.sleep(_AHEAD)
        return lab.send(calm, server)


ROWS: Final = tuple(
    Row(
        f"limit-{millicores}m-{flood.name}",
        f"{_CALM_RATE} queries/s at a limit of {millicores}m beside {flood.title}",
        "CoreDNS",
        Bar(0, True),
        partial(_measure, millicores, flood),
    )
    for millicores in _LIMITS
    for flood in _FLOODS
)
