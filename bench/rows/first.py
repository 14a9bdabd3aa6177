"""The first query for a Service with very many endpoints: its CPU time, and how long others wait for it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from msgspec import Struct

from bench import cluster, packets, servers
from bench.cluster import LARGE_DOMAIN, SMALL
from bench.lab import Lab
from bench.load import Load
from bench.rounds import Bar, Measured, NotRunError, absolute, compared
from bench.rows import Row
from bench.servers import SELF, Server
from tests.cluster.processes import wait_until

_SIZES: Final = (100, 1_000, 10_000)
"""Endpoints."""
_TYPES: Final = {
    "a": "A",
    "aaaa": "AAAA (NODATA)",
    "srv": "SRV",
    "txt": "TXT (NODATA)",
    "ptr": "PTR of an endpoint",
    "endpoint": "A of an endpoint's name",
}
_ROUNDS: Final = 4
"""Services for the CPU time, and as many for the waiting. One more is for what loads the code."""
_WARM: Final = 2 * _ROUNDS
_PATIENCE: Final = 10.0
_SETTLE: Final = 0.02
"""Seconds after a reply within which the server has finished with the query."""
_HOT: Final = 50
_HOT_RATE: Final = 500
_PAUSE: Final = 0.1
"""Seconds between two first queries, so that they do not wait for each other."""
_MEANWHILE: Final = 2.0
"""Seconds during which the other queries are sent: longer than all first queries together."""
_LONGEST: Final = 20.0
"""Milliseconds that another query may wait."""


class Firsts(Struct, frozen=True):
    """Of one program."""

    cpu: dict[str, list[float]]
    """Microseconds by type."""
    longest: list[float]
    """Milliseconds."""


_done: Final[dict[int, tuple[Firsts, Firsts] | None]] = {}


def _measured(endpoints: int, lab: Lab) -> tuple[Firsts, Firsts]:
    """Of kdns and CoreDNS, once for all rows of a size."""
    if endpoints not in _done:
        _done[endpoints] = None
        _done[endpoints] = _measure(endpoints, lab)
    if (done := _done[endpoints]) is None:
        raise NotRunError("as the row before it")
    return done


def _measure(endpoints: int, lab: Lab) -> tuple[Firsts, Firsts]:
    lab.grow(SMALL)
    both = (lab.server("kdns", "kubeadm"), lab.server("coredns", "kubeadm"))
    lab.add_large(endpoints, range(_WARM + 1))
    firsts = tuple(Firsts({each: [] for each in _TYPES}, []) for _ in both)
    for server in both:
        _wait_known(server, endpoints)
        for message in _messages(endpoints, _WARM).values():
            _query(server, message)
    for number in range(_ROUNDS):
        for server, found in zip(both, firsts, strict=True):
            _take_cpu(server, _messages(endpoints, number, start=number), found)
    for number in range(_ROUNDS, 2 * _ROUNDS):
        for server, found in zip(both, firsts, strict=True):
            found.longest.append(_longest(lab, server, _messages(endpoints, number)))
    return firsts[0], firsts[1]


def _wait_known(server: Server, endpoints: int) -> None:
    """Wait until the Service that was added last is answered."""
    name = f"{_endpoint(endpoints, _WARM)}.{cluster.large_name(endpoints, _WARM)}.{LARGE_DOMAIN}"
    wait_until(lambda: servers.answers(server.port, name), 60, f"{name} in {server.process.name}")
    time.sleep(1)


def _endpoint(endpoints: int, number: int) -> str:
    """The dashed address of the last endpoint."""
    return cluster.large_address(endpoints, number, endpoints - 1).replace(".", "-")


def _messages(endpoints: int, number: int, start: int = 0) -> dict[str, bytes]:
    """The queries by type. ``start`` changes the order: what the first computes may serve the next."""
    name = f"{cluster.large_name(endpoints, number)}.{LARGE_DOMAIN}"
    endpoint = _endpoint(endpoints, number)
    reverse = ".".join(reversed(endpoint.split("-")))
    queries = {
        "a": (name, packets.A),
        "aaaa": (name, packets.AAAA),
        "srv": (f"_http._tcp.{name}", packets.SRV),
        "txt": (name, packets.TXT),
        "ptr": (f"{reverse}.in-addr.arpa", packets.PTR),
        "endpoint": (f"{endpoint}.{name}", packets.A),
    }
    order = [*_TYPES][start * 2 :] + [*_TYPES][: start * 2]
    return {
        each: packets.message(packets.wire(queries[each][0]), queries[each][1], packets.opt())
        for each in order
    }


def _take_cpu(server: Server, messages: dict[str, bytes], found: Firsts) -> None:
    for each, message in messages.items():
        for hot in packets.hot(_HOT):
            _query(server, hot)  # so that the processor's caches have the code
        idle = _spent(server, None)
        found.cpu[each].append((_spent(server, message) - idle) / 1e3)


def _spent(server: Server, message: bytes | None) -> int:
    """Nanoseconds of CPU for a query, or in the same time without one."""
    before = server.cpu_nanoseconds()
    if message is not None:
        _query(server, message)
    time.sleep(_SETTLE)
    return server.cpu_nanoseconds() - before


def _longest(lab: Lab, server: Server, messages: dict[str, bytes]) -> float:
    """The longest wait of queries for hot names meanwhile."""
    hot = packets.write(lab.path("hot"), packets.hot())
    lab.send(Load(hot, 5, once=True), server)
    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(lab.send, Load(hot, _MEANWHILE, _HOT_RATE), server)
        time.sleep(_PAUSE)
        for message in messages.values():
            _query(server, message)
            time.sleep(_PAUSE)
        return others.result().longest / 1e3


def _query(server: Server, message: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(_PATIENCE)
        client.connect((SELF, server.port))
        client.send(message)
        reply = client.recv(65535)
    if reply[3] & 0xF:
        text = f"RCODE {reply[3] & 0xF} for {message[12:].hex(' ')}"
        raise NotRunError(f"{server.process.name} answered {text}")


def _cpu(endpoints: int, each: str, lab: Lab, bar: Bar) -> Measured:
    kdns, coredns = _measured(endpoints, lab)
    return compared("µs of CPU", kdns.cpu[each], coredns.cpu[each], bar)


def _wait(endpoints: int, lab: Lab, bar: Bar) -> Measured:
    kdns, coredns = _measured(endpoints, lab)
    return absolute("ms, the longest", kdns.longest, coredns.longest)


def _rows(endpoints: int) -> Iterator[Row]:
    for each, title in _TYPES.items():
        yield Row(
            f"first-{endpoints}-{each}",
            f"first query for a Service of {endpoints:,} endpoints, {title}",
            "CoreDNS",
            Bar(1, True),
            partial(_cpu, endpoints, each),
        )
    yield Row(
        f"first-{endpoints}-wait",
        f"other queries meanwhile, {endpoints:,} endpoints",
        "CoreDNS",
        Bar(_LONGEST, True),
        partial(_wait, endpoints),
    )


ROWS: Final = tuple(row for endpoints in _SIZES for row in _rows(endpoints))
