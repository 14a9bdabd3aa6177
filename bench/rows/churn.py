"""What changes cost: beside the hot queries, and alone, as the cluster grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import count
from statistics import median
from typing import Final

from msgspec import Struct

from bench import cluster, dnsperf
from bench.cluster import DOMAIN, NAMESPACE, SMALL
from bench.dnsperf import Load
from bench.lab import Lab
from bench.rounds import Bar, Measured, NotRunError, compared, take_turns
from bench.rows import Row
from bench.rows.queries import hot_names
from bench.servers import Server
from kdns.answers.entry import Entry
from kdns.answers.reply_cache import ReplyCache
from kdns.metrics.meters import Meter
from kdns.records.index import Index
from kdns.records.objects import Endpoint, Kind, Namespace, Port, Put, Replaced, Service, Slice

RATE: Final = 200
_WRITERS: Final = 2
_ENOUGH: Final = 0.5
"""Of that rate must have been reached, or the row means nothing; what was is reckoned up to it."""


class Churn:
    """Changes something so many times a second, from ``with`` to its end."""

    def __init__(self, change: Callable[[int], None], rate: int) -> None:
        self._change, self._pause = change, 1 / rate
        self._end = threading.Event()
        self._turns = count()
        self._writers = [threading.Thread(target=self._run, daemon=True) for _ in range(_WRITERS)]
        self._started = 0.0
        self._done: list[int] = []

    def __enter__(self) -> Churn:
        self._started = time.perf_counter()
        for writer in self._writers:
            writer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for writer in self._writers:
            writer.join(30)

    @property
    def count(self) -> int:
        """Changes so far."""
        return len(self._done)

    def _run(self) -> None:
        while not self._end.is_set():
            turn = next(self._turns)
            early = self._started + turn * self._pause - time.perf_counter()
            if early > 0:
                self._end.wait(early)
            self._change(turn)
            self._done.append(turn)


class Phase(Struct, frozen=True):
    """A load with changes beside it, or without."""

    cost: float
    """Microseconds of the server's CPU per query, its changes included."""
    queries: float
    """Per second."""
    changes: float
    """Per second; 0 without."""


def _disturbed(lab: Lab, bar: Bar) -> Measured:
    """What is left of a core for queries when changes take their part.

    Reckoned from CPU time: by the clock it cannot be seen here, since the API server that the changes
    go through, and who makes them, have the same two cores.
    """
    lab.grow(SMALL)
    server = lab.server("kdns", "kubeadm")
    sent = Load(dnsperf.write(lab.path("hot"), hot_names()), (), lab.seconds)
    change = cluster.toggle_slices(lab.plane.api)
    phases: list[tuple[Phase, Phase]] = []
    for _ in range(lab.rounds):
        quiet = _phase(sent, server)
        with Churn(change, RATE) as churn:
            phases.append((quiet, _phase(sent, server, churn)))
    reached = median(disturbed.changes for _, disturbed in phases)
    if reached < _ENOUGH * RATE:
        raise NotRunError(f"only {reached:.0f} changes/s were reached, not {RATE}")
    each = [(d.cost - q.cost) * d.queries / d.changes for q, d in phases]
    left_share = tuple(1 - cost * RATE / 1e6 for cost in each)
    note = f"{reached:.0f} slices/s were changed, at {median(each):.0f} µs of CPU"
    rates = [1e6 / quiet.cost for quiet, _ in phases]
    left = tuple(rate * share for rate, share in zip(rates, left_share, strict=True))
    return Measured("queries per second of CPU", left, tuple(rates), left_share, (note,))


def _phase(sent: Load, server: Server, churn: Churn | None = None) -> Phase:
    before, changed = server.cpu_seconds(), churn.count if churn else 0
    result = dnsperf.run(sent, server.port)
    cost = (server.cpu_seconds() - before) / result.answered * 1e6
    changes = (churn.count - changed) / result.seconds if churn else 0.0
    return Phase(cost, result.rate, changes)


# ---- one change, in this process

_FEW: Final = 100
_MANY: Final = 10_000
_REPEATS: Final = 2000


class _Filled:
    """An index of so many Services, each with a slice and a cached reply."""

    def __init__(self, services: int) -> None:
        self.services, self.turn = services, 0
        self.index, self.cache = Index(), ReplyCache()
        self.meter = Meter("dns://:53", ".")
        self.index.apply(Replaced(Kind.NAMESPACE, (Namespace(NAMESPACE),)), 1)
        made = tuple(_service(at) for at in range(services))
        self.index.apply(Replaced(Kind.SERVICE, made), 1)
        self.index.apply(Replaced(Kind.SLICE, tuple(_slice(n, 0) for n in range(services))), 1)

    def change(self) -> float:
        """Median microseconds of a slice's change, with the reply that it drops."""
        took = []
        for _ in range(_REPEATS):
            self.turn += 1
            at = self.turn * 7919 % self.services
            piece = _slice(at, self.turn)
            key = ("svc", NAMESPACE, f"svc-{at}")
            request = f"{at}.{DOMAIN}".encode()
            labels = ("A", "NOERROR", "kubernetes", False)
            self.cache.store(Entry(request, [], frozenset((key,)), self.meter, labels), request)
            start = time.perf_counter()
            self.cache.drop(self.index.apply(Put(piece), 2))
            took.append(time.perf_counter() - start)
        return median(took) * 1e6


_PORTS: Final = (Port("http", "tcp", 80),)


def _service(at: int) -> Service:
    ip = f"10.{96 + (at >> 16)}.{at >> 8 & 255}.{at & 255}"
    return Service(NAMESPACE, f"svc-{at}", cluster_ips=(ip,), ports=_PORTS)


def _slice(at: int, turn: int) -> Slice:
    endpoints = tuple(
        [Endpoint((f"10.{second}.{at >> 8 & 255}.{at & 255}",)) for second in range(3)]
        + [Endpoint((f"10.{4 + turn % 91}.{at >> 8 & 255}.{at & 255}",))]
    )
    return Slice(NAMESPACE, f"svc-{at}-1", f"svc-{at}", endpoints, _PORTS)


def _growth(lab: Lab, bar: Bar) -> Measured:
    many, few = _Filled(_MANY), _Filled(_FEW)
    large, small = take_turns(many.change, few.change, lab.rounds)
    return compared("µs of a change", large, small, bar)


ROWS: Final = (
    Row(
        "churn",
        f"a core's share left for queries during {RATE} changes/s",
        "undisturbed",
        Bar(0.85),
        _disturbed,
    ),
    Row(
        "apply",
        f"applying one change at {_MANY:,} Services, beside {_FEW}",
        f"{_FEW} Services",
        Bar(1.3, True),
        _growth,
    ),
)
