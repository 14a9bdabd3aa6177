"""CPU time of the server process per query, of queries that repeat, as many as it answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from bench import cluster, cost, dnsperf
from bench.cluster import SMALL
from bench.corefiles import NOT_YET
from bench.cost import Cost, Sides
from bench.dnsperf import Load
from bench.lab import OUTSIDE_NAMES, Corefile, Lab
from bench.rounds import Bar, Measured, NotRunError
from bench.rows import Row
from bench.servers import Server

Peer: TypeAlias = Literal["CoreDNS", "C echo", "Knot"]
Queries: TypeAlias = Callable[[], Iterable[tuple[str, str]]]

HOT: Final = SMALL.services
_MISSES: Final = 60_000
"""Unique names in a file: some seconds of misses."""


class Case(Struct, frozen=True):
    """Queries and the configuration that answers them."""

    queries: Queries
    corefile: Corefile = "kubeadm"
    options: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """Directives without which the row means nothing."""


def hot_names() -> Iterator[tuple[str, str]]:
    return ((name, "A") for name in cluster.names("svc", HOT))


def _headless() -> Iterator[tuple[str, str]]:
    return ((name, "A") for name in cluster.names("set", SMALL.headless))


def _srv_names() -> Iterator[tuple[str, str]]:
    return ((f"_http._tcp.{name}", "SRV") for name in cluster.names("svc", HOT))


def _search_path() -> Iterator[tuple[str, str]]:
    """What a stub resolver makes of a full name with fewer than five dots: three misses first.

    glibc and musl both send A and AAAA for each at once.
    """
    for name in cluster.names("svc", HOT):
        namespace = name.partition(".")[2]
        for search in (namespace, "svc.cluster.local.", "cluster.local.", ""):
            for rtype in ("A", "AAAA"):
                yield name + search, rtype


def random_names() -> Iterator[tuple[str, str]]:
    """Names that no one has queried before: as a flood or a broken application makes them."""
    for _ in range(_MISSES):
        yield f"{random.getrandbits(64):016x}.{cluster.DOMAIN}.", "A"


def _outside() -> Iterator[tuple[str, str]]:
    return ((f"{name}.", "A") for name in OUTSIDE_NAMES)


def measure(case: Case, peer: Peer, lab: Lab, bar: Bar) -> Measured:
    """Load both servers in turn."""
    lab.grow(SMALL)
    missing = [name for name in case.needs if name in NOT_YET]
    if missing:
        raise NotRunError(f"kdns has no {', '.join(missing)} yet")
    sent = Load(dnsperf.write(lab.path("queries"), case.queries()), case.options, lab.seconds)

    def side(server: Server) -> Callable[[], Cost]:
        rcode = "" if peer == "C echo" and server is not ours else "NOERROR"
        return lambda: cost.measure(lambda: dnsperf.run(sent, server.port), server, rcode)

    ours = lab.server("kdns", case.corefile)
    peers = {"C echo": lambda: lab.echo, "Knot": lambda: lab.knot}
    theirs = peers.get(peer, lambda: lab.server("coredns", case.corefile))()
    return cost.compare(Sides(side(ours), side(theirs), peer), lab.rounds, bar, _notes(case))


def _notes(case: Case) -> tuple[str, ...]:
    if case.corefile != "kubeadm" or not NOT_YET:
        return ()
    return (f"kdns without {', '.join(NOT_YET)}, which it does not have yet",)


_TCP: Final = ("-m", "tcp", "-c", "50", "-q", "500")
_HOT: Final = Case(hot_names)
_ALONE: Final = Case(hot_names, "kubernetes")


def _row(name: str, title: str, case: Case, bar: Bar, peer: Peer = "CoreDNS") -> Row:
    return Row(name, title, peer, bar, partial(measure, case, peer))


ROWS: Final = (
    _row("hits", "1,000 Services, A, kubeadm's Corefile", _HOT, Bar(10)),
    _row("hits-alone", "1,000 Services, A, `kubernetes` alone", _ALONE, Bar(5)),
    _row("echo", "the same, beside a bare C echo", _ALONE, Bar(1.6, True), "C echo"),
    _row("knot", "the same, beside Knot with a zone file", _ALONE, Bar(1.7, True), "Knot"),
    _row(
        "headless",
        "headless of 20 endpoints, A with EDNS",
        Case(_headless, options=("-e",)),
        Bar(20),
    ),
    _row("srv", "SRV with its additional section", Case(_srv_names), Bar(10)),
    _row("search", "A+AAAA along a search path (ndots:5)", Case(_search_path), Bar(3.5)),
    _row("forward", "forwarded names from the cache", Case(_outside, needs=("forward",)), Bar(2)),
    _row("tcp", "TCP, 50 connections, pipelined", Case(hot_names, options=_TCP), Bar(7)),
)
