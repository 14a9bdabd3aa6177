"""CPU time of the server process per query, of queries that do not repeat, or only in part."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, TypeAlias

from msgspec import Struct

from bench import cluster, cost, packets
from bench.cluster import SMALL
from bench.cost import Cost, Sides
from bench.lab import OUTSIDE, OUTSIDE_NAMES, Lab
from bench.load import Load
from bench.rounds import Bar, Measured, NotRunError, compared
from bench.rows import Row
from bench.servers import Server

Messages: TypeAlias = Callable[[int], Iterable[bytes]]

_PER_SECOND: Final = 60_000
"""Messages that are prepared for each second: about as many as the load program sends."""
_SLOW: Final = 40_000
"""The same where the upstream takes part."""


class Case(Struct, frozen=True):
    """A file of messages for each round, which each server is sent once."""

    messages: Messages
    rcode: str = "NOERROR"
    per_second: int = _PER_SECOND


def _measure(case: Case, lab: Lab, bar: Bar) -> Measured:
    lab.grow(SMALL)
    count = int(case.per_second * lab.seconds)
    files: dict[int, Load] = {}

    def side(server: Server) -> Callable[[], Cost]:
        turns = itertools.count()

        def once() -> Cost:
            turn = next(turns)
            if turn not in files:
                path = packets.write(lab.path("messages"), case.messages(count))
                files[turn] = Load(path, lab.seconds, once=True)
            return cost.measure(lambda: lab.send(files[turn], server), server, case.rcode)

        return once

    ours, theirs = (lab.server(program, "kubeadm") for program in ("kdns", "coredns"))
    return cost.compare(Sides(side(ours), side(theirs), "CoreDNS"), lab.rounds, bar)


def _mix(count: int) -> Iterable[bytes]:
    return packets.mix(count, OUTSIDE, OUTSIDE_NAMES)


def _missing_edns(count: int) -> Iterable[bytes]:
    return packets.missing(count, packets.opt())


def _external(prefix: str, count: int) -> Iterable[bytes]:
    return packets.external(count, OUTSIDE, prefix)


# ---- short names, for which only kdns has a directive

_WARM: Final = 100
"""Names whose queries do not count: the code is loaded by them."""


def _shortnames(lab: Lab, bar: Bar) -> Measured:
    """Short names against full names, each new to a server that has just started."""
    lab.grow(SMALL)
    short, full = list[float](), list[float]()
    for _ in range(lab.rounds):
        server, _ = lab.start("kdns", "shortnames")
        try:
            for costs, ending in ((short, ""), (full, ".cluster.local")):
                names = [name + ending for name in _names(short=not ending)]
                _send_once(lab, server, names[:_WARM])
                costs.append(_send_once(lab, server, names[_WARM:]))
        finally:
            server.stop()
    return compared(cost.UNIT, short, full, bar)


def _names(short: bool) -> list[str]:
    """Services, found by the second completion, and Pods, found by the third; all without the zone."""
    services = (f"svc-{at}.{cluster.namespace(at)}" for at in range(SMALL.services))
    pods = (
        f"{cluster.cluster_ip(at).replace('.', '-')}.{cluster.NAMESPACE}.pod"
        for at in range(SMALL.services)
    )
    parts = "" if short else ".svc"
    return [
        name for pair in zip(services, pods, strict=True) for name in (pair[0] + parts, pair[1])
    ]


def _send_once(lab: Lab, server: Server, names: Sequence[str]) -> float:
    """Microseconds of CPU per query, with EDNS and a cookie as dig sends them."""
    messages = [
        packets.message(packets.wire(name), packets.A, packets.opt(cookie=packets.cookie()))
        for name in names
    ]
    sent = Load(packets.write(lab.path("names"), messages), _AT_MOST, once=True)
    before = server.cpu_nanoseconds()
    result = lab.send(sent, server)
    spent = server.cpu_nanoseconds() - before
    if result.rcodes != {"NOERROR": len(names)}:
        raise NotRunError(f"kdns answered {result.rcodes} for {len(names):,} names")
    return spent / result.answered / 1e3


_AT_MOST: Final = 30.0
"""Seconds for some thousand queries."""


def _row(name: str, title: str, case: Case, bar: Bar) -> Row:
    return Row(name, title, "CoreDNS", bar, partial(_measure, case))


ROWS: Final = (
    _row("mix", "as Pods in 50 namespaces query, caches warm", Case(_mix), Bar(5)),
    _row("cookies", "a fresh client cookie in each query", Case(packets.with_cookies), Bar(5)),
    _row("case", "random letter case in each query", Case(packets.with_mixed_case), Bar(6)),
    _row("missing", "unique missing names", Case(packets.missing, "NXDOMAIN"), Bar(3)),
    _row(
        "missing-edns",
        "unique missing names with EDNS, a reason in each reply",
        Case(_missing_edns, "NXDOMAIN"),
        Bar(2.5),
    ),
    _row(
        "external",
        "unique external names through the upstream, existing",
        Case(partial(_external, ""), per_second=_SLOW),
        Bar(1.5),
    ),
    _row(
        "external-nx",
        "unique external names through the upstream, NXDOMAIN",
        Case(partial(_external, "nx"), "NXDOMAIN", _SLOW),
        Bar(1.5),
    ),
    Row(
        "shortnames",
        "short names completed by `shortnames`, new each time, with EDNS",
        "the full name",
        Bar(2, True),
        _shortnames,
    ),
)
