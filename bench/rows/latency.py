"""How soon a change is answered, while queries go on: kdns and CoreDNS in turn, both watching all."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from functools import partial
from statistics import median, quantiles
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from bench import cluster, dnsperf
from bench.cluster import NAMESPACE, SMALL
from bench.dnsperf import Load
from bench.lab import Lab
from bench.load import Background
from bench.rounds import Bar, Measured, NotRunError, compared
from bench.rows import Row
from bench.rows.queries import hot_names
from bench.servers import SELF, Server
from tests.cluster.rest import Api

Change: TypeAlias = Literal["created", "deleted"]

CHANGES: Final = 300
"""Of each server in a round: its 99th percentile is the third worst of them."""
ROUNDS: Final = 3
RATE: Final = 2000
"""Questions per second at each server meanwhile."""
_PATIENCE: Final = 5.0
_PAUSE: Final = 0.0001
"""Seconds between two queries, the resolution of the figures."""
_NXDOMAIN: Final = 3
_AT_MOST: Final = 300.0
"""Seconds that the loads beside may last: more than the changes take."""


class _Poll:
    """One client, which sends the same query until the answer is as expected."""

    def __init__(self, server: Server) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect((SELF, server.port))
        self._socket.settimeout(_PATIENCE)
        self._number = 0

    def wait(self, query: bytes, expected: bytes) -> float:
        """Seconds from now until the answer ends in ``expected``, or is NXDOMAIN if that is empty."""
        start = time.perf_counter()
        while not self._says(query, expected):
            if time.perf_counter() - start > _PATIENCE:
                raise NotRunError(f"a change was not answered within {_PATIENCE:g} s")
            time.sleep(_PAUSE)
        return time.perf_counter() - start

    def _says(self, query: bytes, expected: bytes) -> bool:
        self._number = (self._number + 1) & 0xFFFF
        message_id = self._number.to_bytes(2, "big")
        self._socket.send(message_id + query)
        while (reply := self._socket.recv(4096))[:2] != message_id:
            pass  # a late one
        if not expected:
            return reply[3] & 0xF == _NXDOMAIN
        return reply[3] & 0xF == 0 and reply.endswith(expected)


def _query(name: str) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return bytes.fromhex("0100 0001 0000 0000 0000") + labels + bytes.fromhex("00 0001 0001")


class Latencies(Struct, frozen=True):
    """Seconds for each change, of kdns and of the peer."""

    kdns: list[float]
    peer: list[float]

    def of(self, turn: int) -> list[float]:
        """Whose turn it is."""
        return self.peer if turn % 2 else self.kdns


_done: Final[dict[Change, Latencies]] = {}


def _latencies(lab: Lab) -> dict[Change, Latencies]:
    """Create and delete Services beside the load, once for all rows."""
    if not _done:
        lab.grow(SMALL)
        both = (lab.server("kdns", "kubeadm"), lab.server("coredns", "kubeadm"))
        hot = dnsperf.write(lab.path("hot"), hot_names())
        with ExitStack() as ended:
            for server in both:
                beside = Load(hot, (), _AT_MOST, RATE)
                ended.enter_context(
                    Background(dnsperf.command(beside, server.port), lab.path("load.log"))
                )
            _done.update(_change_all(lab.plane.api, (_Poll(both[0]), _Poll(both[1]))))
    return _done


def _change_all(api: Api, polls: tuple[_Poll, _Poll]) -> dict[Change, Latencies]:
    """In turn for the one server and the other, so that the clients do not disturb each other."""
    made: dict[Change, Latencies] = {"created": Latencies([], []), "deleted": Latencies([], [])}
    for at in range(CHANGES * ROUNDS * 2):
        poll = polls[at % 2]
        manifest = cluster.service(f"new-{at}")
        name = manifest["metadata"]["name"]
        query = _query(f"{name}.{cluster.DOMAIN}")
        poll.wait(query, b"")  # sent before it exists, as Pods do
        address = api.create(manifest)["spec"]["clusterIP"]
        made["created"].of(at).append(poll.wait(query, socket.inet_aton(address)))
        api.delete("Service", NAMESPACE, name)
        made["deleted"].of(at).append(poll.wait(query, b""))
    return made


def _quantile(change: Change, percent: int, lab: Lab, bar: Bar) -> Measured:
    both = _latencies(lab)[change]
    ours, theirs = (_rounds(seconds, percent) for seconds in (both.kdns, both.peer))
    return compared(f"ms, p{percent}", ours, theirs, bar)


def _rounds(seconds: list[float], percent: int) -> list[float]:
    """Milliseconds in each round."""
    starts = range(0, CHANGES * ROUNDS, CHANGES)
    return [_percentile(seconds[at : at + CHANGES], percent) * 1e3 for at in starts]


def _percentile(seconds: list[float], percent: int) -> float:
    return median(seconds) if percent == 50 else quantiles(seconds, n=100)[percent - 1]


def _row(change: Change, percent: int) -> Row:
    title = {"created": "Service created to right answer", "deleted": "deleted to NXDOMAIN"}[change]
    return Row(
        f"{change}-p{percent}",
        f"{title}, during {RATE:,} queries/s",
        "CoreDNS",
        Bar(1.3, True),
        partial(_quantile, change, percent),
    )


ROWS: Final = tuple(_row(change, p) for change in ("created", "deleted") for p in (50, 99))
