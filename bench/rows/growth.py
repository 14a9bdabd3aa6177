"""Memory with 1,000 Services, before and after queries that could fill caches without a bound."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, TypeAlias

from msgspec import Struct

from bench import cluster, dnsperf, packets
from bench.cluster import SMALL
from bench.lab import OUTSIDE, Lab, Program
from bench.load import Load
from bench.rounds import Bar, Measured, NotRunError, absolute
from bench.rows import Row
from bench.servers import Server

_MEBIBYTE: Final = 1024 * 1024
_MORE_THAN_COREDNS: Final = 64.0
"""MiB by which kdns may grow more than CoreDNS."""
_LIMIT: Final = 170.0
"""MiB; the memory limit in the manifests that CoreDNS is installed by."""
_SETTLE: Final = 2.0
"""Seconds after which memory is read: what is only needed for a moment has been given back."""
_ROUNDS: Final = 2
_AT_MOST: Final = 60.0
"""Seconds within which the queries are answered."""
_TCP: Final = ("-m", "tcp", "-c", "20", "-q", "200")

_NAMES: Final = 40_000
_SPELLINGS: Final = 3_000
_ENDPOINTS: Final = 1_000
_EXTERNAL: Final = 20_000

Send: TypeAlias = Callable[[Lab, Server], None]


def _random_names(lab: Lab, server: Server) -> None:
    """The same names over UDP and over TCP."""
    names = [f"{packets.random_label()}.{cluster.DOMAIN}." for _ in range(_NAMES)]
    messages = (packets.message(packets.wire(name), packets.A) for name in names)
    _expect(lab.send(_once(lab, messages), server).answered, _NAMES)
    text = dnsperf.write(lab.path("names"), ((name, "A") for name in names))
    _expect(dnsperf.run(dnsperf.Load(text, _TCP), server.port).answered, _NAMES)


def _spellings(lab: Lab, server: Server) -> None:
    name = f"{cluster.large_name(_ENDPOINTS, 0)}.{cluster.LARGE_DOMAIN}"
    messages = packets.spellings(name, _SPELLINGS, 65535)
    _expect(lab.send(_once(lab, messages), server).answered, _SPELLINGS)


def _external(lab: Lab, server: Server) -> None:
    """Over TCP, since the answers do not fit into a datagram."""
    names = (f"{packets.random_label('big')}.{OUTSIDE}." for _ in range(_EXTERNAL))
    text = dnsperf.write(lab.path("names"), ((name, "TXT") for name in names))
    _expect(dnsperf.run(dnsperf.Load(text, _TCP), server.port).answered, _EXTERNAL)


def _once(lab: Lab, messages: Iterable[bytes]) -> Load:
    path = packets.write(lab.path("messages"), messages)
    return Load(path, _AT_MOST, once=True, sockets=4, window=5)


def _expect(answered: int, sent: int) -> None:
    if answered < 0.99 * sent:
        raise NotRunError(f"only {answered:,} of {sent:,} queries were answered")


_LOADS: Final[dict[str, tuple[str, Send]]] = {
    "random": (f"{_NAMES:,} random names over UDP and TCP", _random_names),
    "spellings": (
        f"{_SPELLINGS:,} spellings of a headless name of {_ENDPOINTS:,} endpoints, EDNS 65535",
        _spellings,
    ),
    "external": (f"{_EXTERNAL:,} external answers of 3 KB", _external),
}


class Memory(Struct, frozen=True):
    """Proportional set size in MiB."""

    before: float
    after: float

    @property
    def growth(self) -> float:
        return self.after - self.before


_done: Final[dict[str, dict[Program, list[Memory]]]] = {}


def _measure(name: str, lab: Lab) -> dict[Program, list[Memory]]:
    """Measure once for both rows of a load."""
    if name not in _done:
        lab.grow(SMALL)
        lab.add_large(_ENDPOINTS, (0,))
        found: dict[Program, list[Memory]] = {"kdns": [], "coredns": []}
        for _ in range(min(lab.rounds, _ROUNDS)):
            for program, memories in found.items():
                memories.append(_load(name, lab, program))
        _done[name] = found
    return _done[name]


def _load(name: str, lab: Lab, program: Program) -> Memory:
    server, _ = lab.start(program, "kubeadm")
    try:
        lab.send(Load(packets.write(lab.path("hot"), packets.hot()), _AT_MOST, once=True), server)
        before = _settled(server)
        _LOADS[name][1](lab, server)
        return Memory(before, _settled(server))
    finally:
        server.stop()


def _settled(server: Server) -> float:
    time.sleep(_SETTLE)
    return server.pss_bytes() / _MEBIBYTE


def _growth(name: str, lab: Lab, bar: Bar) -> Measured:
    done = _measure(name, lab)
    ours, theirs = (tuple(each.growth for each in done[p]) for p in ("kdns", "coredns"))
    more = tuple(our - their for our, their in zip(ours, theirs, strict=True))
    return Measured("MiB grown", ours, theirs, more, ("the ratio is the difference in MiB",))


def _total(name: str, lab: Lab, bar: Bar) -> Measured:
    done = _measure(name, lab)
    ours, theirs = ([each.after for each in done[p]] for p in ("kdns", "coredns"))
    return absolute("MiB, PSS", ours, theirs)


def _rows(name: str) -> tuple[Row, Row]:
    title = _LOADS[name][0]
    growth, total = partial(_growth, name), partial(_total, name)
    return (
        Row(f"growth-{name}", f"by {title}", "CoreDNS", Bar(_MORE_THAN_COREDNS, True), growth),
        Row(f"total-{name}", f"after {title}", "CoreDNS", Bar(_LIMIT, True), total),
    )


ROWS: Final = tuple(row for name in _LOADS for row in _rows(name))
