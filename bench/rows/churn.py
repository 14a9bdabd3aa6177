"""What changes cost: beside the hot questions, and alone, as the cluster grows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from types import TracebackType
from typing import Final

from bench import cluster, load
from bench.cluster import DOMAIN, NAMESPACE, SMALL
from bench.lab import Lab
from bench.load import Load
from bench.rounds import Bar, Measured, NotRunError, compared, take_turns
from bench.rows import Row
from bench.rows.queries import hot_names, microseconds
from kdns.packet_cache import Entry, PacketCache
from kdns.records.index import Index
from kdns.records.objects import Endpoint, Kind, Namespace, Port, Put, Replaced, Service, Slice

RATE: Final = 200
_ENOUGH: Final = 0.9
"""Of that rate must have been reached, or the row means nothing."""


class Churn:
    """Changes something so many times a second, from ``with`` to its end."""

    def __init__(self, change: Callable[[int], None], rate: int) -> None:
        self._change, self._pause = change, 1 / rate
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._started = 0.0
        self.count = 0

    def __enter__(self) -> Churn:
        self._started = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join(30)

    @property
    def rate(self) -> float:
        """Changes per second so far."""
        return self.count / (time.perf_counter() - self._started)

    def _run(self) -> None:
        while not self._end.is_set():
            self._change(self.count)
            self.count += 1
            late = self._started + self.count * self._pause - time.perf_counter()
            if late > 0:
                self._end.wait(late)


def _disturbed(lab: Lab, bar: Bar) -> Measured:
    """Questions per second of the server's CPU time, with changes and without.

    Not per second of the clock: the API server that the changes go through has the same two cores.
    """
    lab.grow(SMALL)
    server = lab.server("kdns", "kubeadm")
    hot = load.write(lab.path("hot"), hot_names())
    change = cluster.toggle_slices(lab.plane.api)
    reached: list[float] = []

    def capacity(changing: bool) -> float:
        with ExitStack() as ended:
            churn = Churn(change, RATE)
            if changing:
                ended.enter_context(churn)
            cost = microseconds(Load(hot, (), lab.seconds), server, "NOERROR")
            if changing:
                reached.append(churn.rate)
        return 1e6 / cost

    disturbed, quiet = take_turns(lambda: capacity(True), lambda: capacity(False), lab.rounds)
    if median(reached) < _ENOUGH * RATE:
        raise NotRunError(f"only {median(reached):.0f} changes/s were reached, not {RATE}")
    note = f"{median(reached):.0f} slices/s of Services that are being asked for were changed"
    unit = "questions per second of CPU"
    return compared(unit, disturbed, quiet, bar, (note,), more_is_better=True)


# ---- one change, in this process

_FEW: Final = 100
_MANY: Final = 10_000
_REPEATS: Final = 2000


class _Nobody:
    def hits(self, count: int) -> None: ...
    def took(self, seconds: float) -> None: ...


class _Filled:
    """An index of so many Services, each with a slice and a kept reply."""

    def __init__(self, services: int) -> None:
        self.services, self.turn = services, 0
        self.index, self.cache = Index(), PacketCache()
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
            self.cache.keep(Entry(request, [request], frozenset((key,)), _Nobody()))
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
        f"1,000 Services, A, during {RATE} changes/s, beside the same without them",
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
