"""Start-up time and memory, in a large cluster and in an empty one."""

from __future__ import annotations

import time
from functools import partial
from typing import Final

from msgspec import Struct

from bench.cluster import EMPTY, LARGE, Size
from bench.lab import Lab, Program
from bench.rounds import Bar, Measured, NotRunError, absolute, compared
from bench.rows import Row

MEBIBYTE: Final = 1024 * 1024

COREDNS_LIMIT: Final = 170.0
"""MiB; the memory limit in the manifests that CoreDNS is installed by."""

_SETTLE: Final = 2.0
"""Seconds after which memory is looked at: what only the start needed has been given back."""


class Start(Struct, frozen=True):
    """One start of one program."""

    seconds: float
    """From exec to ready."""
    cpu: float
    """CPU seconds until then."""
    mebibytes: float
    """Resident, once settled."""


Starts = dict[Program, list[Start]]


class _Starts:
    """Starts by cluster size: the rows share them, so that each server starts once a round."""

    def __init__(self) -> None:
        self._done: dict[Size, Starts] = {}

    def measure(self, lab: Lab, size: Size) -> Starts:
        """Raises ``NotRunError`` where the cluster is too large already."""
        if size not in self._done:
            if size == EMPTY and not lab.is_empty:
                raise NotRunError("the cluster of this run is not empty: run the row alone")
            lab.remove_large()
            lab.grow(size)
            self._done[size] = self._start(lab)
        return self._done[size]

    @staticmethod
    def _start(lab: Lab) -> Starts:
        starts: Starts = {"kdns": [], "coredns": []}
        for program in starts:
            _once(lab, program)  # does not count: the API server fills its own caches
        for _ in range(lab.rounds):
            for program, done in starts.items():
                done.append(_once(lab, program))
        return starts


def _once(lab: Lab, program: Program) -> Start:
    server, seconds = lab.start(program, "kubeadm")
    try:
        cpu = server.cpu_seconds()
        time.sleep(_SETTLE)
        return Start(seconds, cpu, server.resident_bytes() / MEBIBYTE)
    finally:
        server.stop()


_starts: Final = _Starts()


def _time_to_ready(lab: Lab, bar: Bar) -> Measured:
    return _compare(lab, bar, LARGE, "s to ready", "seconds")


def _memory(lab: Lab, bar: Bar) -> Measured:
    return _compare(lab, bar, LARGE, "MiB resident", "mebibytes")


def _compare(lab: Lab, bar: Bar, size: Size, unit: str, field: str) -> Measured:
    done = _starts.measure(lab, size)
    ours, theirs = ([getattr(s, field) for s in done[p]] for p in ("kdns", "coredns"))
    return compared(unit, ours, theirs, bar, (_cpu_note(done),))


def _cpu_note(done: Starts) -> str:
    ours, theirs = (sum(s.cpu for s in done[p]) / len(done[p]) for p in ("kdns", "coredns"))
    return f"CPU until ready: kdns {ours:.2f} s, CoreDNS {theirs:.2f} s"


def _absolute(size: Size, unit: str, field: str, lab: Lab, bar: Bar) -> Measured:
    """The bar is a fixed figure, and the ratio what is compared with it: the figure of kdns itself."""
    done = _starts.measure(lab, size)
    ours, theirs = ([getattr(s, field) for s in done[p]] for p in ("kdns", "coredns"))
    return absolute(unit, ours, theirs, (_cpu_note(done),))


EMPTY_ROWS: Final = (
    Row(
        "start-empty",
        "exec to ready, empty cluster",
        "CoreDNS",
        Bar(1.0, True),
        partial(_absolute, EMPTY, "s to ready", "seconds"),
    ),
)
ROWS: Final = (
    Row("start", f"exec to ready, {LARGE}", "CoreDNS", Bar(3, True), _time_to_ready),
    Row("memory", f"resident memory, {LARGE}", "CoreDNS", Bar(1, True), _memory),
    Row(
        "memory-limit",
        "the same, beside CoreDNS's usual limit",
        "CoreDNS",
        Bar(COREDNS_LIMIT, True),
        partial(_absolute, LARGE, "MiB resident", "mebibytes"),
    ),
)
