"""CPU time of the server process per answered question, under as many questions as it answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from bench import cluster, load
from bench.cluster import SMALL
from bench.corefiles import NOT_YET
from bench.lab import OUTSIDE, OUTSIDE_NAMES, Corefile, Lab
from bench.load import Load
from bench.rounds import Bar, Measured, NotRunError, Side, compared, take_turns
from bench.rows import Row
from bench.servers import Server

Peer: TypeAlias = Literal["CoreDNS", "C echo", "Knot"]
Questions: TypeAlias = Callable[[], Iterable[tuple[str, str]]]

HOT: Final = SMALL.services
_MISSES: Final = 60_000
"""Unique names in a round: some seconds of misses."""


class Case(Struct, frozen=True):
    """What is asked, of whom, how."""

    questions: Questions
    corefile: Corefile = "kubeadm"
    options: tuple[str, ...] = ()
    once: bool = False
    """Fresh questions in every round, each asked once."""
    needs: tuple[str, ...] = ()
    """Directives without which the row means nothing."""
    rcode: str = "NOERROR"
    """That most answers have; a server that says something else is not measured."""


def hot_names() -> Iterator[tuple[str, str]]:
    return ((name, "A") for name in cluster.names("svc", HOT))


def _headless() -> Iterator[tuple[str, str]]:
    return ((name, "A") for name in cluster.names("set", SMALL.headless))


def _locators() -> Iterator[tuple[str, str]]:
    return ((f"_http._tcp.{name}", "SRV") for name in cluster.names("svc", HOT))


def _search_path() -> Iterator[tuple[str, str]]:
    """What a stub resolver makes of a full name with fewer than five dots: three misses first.

    glibc and musl both send A and AAAA for each at once.
    """
    searches = (f"{cluster.DOMAIN}.", "svc.cluster.local.", "cluster.local.", "")
    for name in cluster.names("svc", HOT):
        for search in searches:
            for rtype in ("A", "AAAA"):
                yield name + search, rtype


def random_names() -> Iterator[tuple[str, str]]:
    """Names that nobody has asked for: as a flood or a broken application makes them."""
    for _ in range(_MISSES):
        yield f"{random.getrandbits(64):016x}.{cluster.DOMAIN}.", "A"


def _outside() -> Iterator[tuple[str, str]]:
    return ((f"host-{at}.{OUTSIDE}.", "A") for at in range(OUTSIDE_NAMES))


def measure(case: Case, peer: Peer, lab: Lab, bar: Bar) -> Measured:
    """Load both servers in turn."""
    lab.grow(SMALL)
    missing = [name for name in case.needs if name in NOT_YET]
    if missing:
        raise NotRunError(f"kdns has no {', '.join(missing)} yet")
    fixed = None if case.once else load.write(lab.path("questions"), case.questions())

    def per_question(server: Server) -> Side:
        def side() -> float:
            questions = fixed or load.write(lab.path("questions"), case.questions())
            asked = Load(questions, case.options, 0 if case.once else lab.seconds)
            return microseconds(asked, server, case.rcode if server is not echo else "")

        return side

    echo = lab.echo if peer == "C echo" else None
    ours = lab.server("kdns", case.corefile)
    theirs = echo or (lab.knot if peer == "Knot" else lab.server("coredns", case.corefile))
    kdns, other = take_turns(per_question(ours), per_question(theirs), lab.rounds)
    return compared("µs of CPU per question", kdns, other, bar, _notes(case))


def _notes(case: Case) -> tuple[str, ...]:
    if case.corefile != "kubeadm" or not NOT_YET:
        return ()
    return (f"kdns without {', '.join(NOT_YET)}, which it does not have yet",)


def microseconds(asked: Load, server: Server, rcode: str) -> float:
    """CPU time per answer of one load. Raises ``NotRunError`` when the answers are not right."""
    before = server.cpu_seconds()
    result = load.run(asked, server.port)
    spent = server.cpu_seconds() - before
    if rcode and result.rcodes.get(rcode, 0) < 0.2 * result.completed:
        raise NotRunError(f"{server.process.name} answered {result.rcodes}, not {rcode}")
    if result.lost > 0.01 * result.completed:
        raise NotRunError(f"{server.process.name} lost {result.lost} of {result.completed}")
    return spent / result.completed * 1e6


_TCP: Final = ("-m", "tcp", "-c", "50", "-q", "500")
_HOT: Final = Case(hot_names)
_ALONE: Final = Case(hot_names, "kubernetes")


def _row(name: str, title: str, case: Case, bar: Bar, peer: Peer = "CoreDNS") -> Row:
    return Row(name, title, peer, bar, partial(measure, case, peer))


ROWS: Final = (
    _row("hits", "1,000 Services, A, kubeadm's Corefile", _HOT, Bar(4)),
    _row("hits-alone", "1,000 Services, A, `kubernetes` alone", _ALONE, Bar(3)),
    _row("echo", "the same, beside a bare C echo", _ALONE, Bar(1.5, True), "C echo"),
    _row("knot", "the same, beside Knot with a zone file", _ALONE, Bar(1.7, True), "Knot"),
    _row(
        "headless",
        "headless of 20 endpoints, A with EDNS",
        Case(_headless, options=("-e",)),
        Bar(5),
    ),
    _row("srv", "SRV with its additional section", Case(_locators), Bar(4)),
    _row("search", "A+AAAA along a search path (ndots:5)", Case(_search_path), Bar(3.5)),
    _row(
        "misses",
        "unique random names (NXDOMAIN)",
        Case(random_names, once=True, rcode="NXDOMAIN"),
        Bar(1),
    ),
    _row("forward", "forwarded names from the cache", Case(_outside, needs=("forward",)), Bar(2)),
    _row("tcp", "TCP, 50 connections, pipelined", Case(hot_names, options=_TCP), Bar(1)),
)
