"""DNS messages as the resolver libraries of Pods send them, and queries that no one has sent before.

Messages have the ID 0, which the load program replaces. What makes a query new is random: a name, the case of
its letters, a cookie. It need not be reproducible, since both servers of a round are sent the same file.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from bench import cluster

A, PTR, TXT, AAAA, SRV = 1, 12, 16, 28, 33
_RD: Final = 0x0100
_AD: Final = 0x0020
_OPT: Final = 41
_COOKIE: Final = 10
_PAYLOAD: Final = 1232
_CLASS_IN: Final = b"\0\x01"


def opt(payload: int = _PAYLOAD, cookie: bytes = b"") -> bytes:
    """An OPT record (RFC 6891) with a payload size in octets and a client's cookie (RFC 7873)."""
    option = _COOKIE.to_bytes(2, "big") + len(cookie).to_bytes(2, "big") + cookie if cookie else b""
    fixed = b"\0" + _OPT.to_bytes(2, "big") + payload.to_bytes(2, "big") + bytes(4)
    return fixed + len(option).to_bytes(2, "big") + option


def wire(name: str) -> bytes:
    """A name of text without escapes, with or without its final dot."""
    labels = name.rstrip(".").encode().split(b".")
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def message(name: bytes, rtype: int, additional: bytes = b"", flags: int = _RD) -> bytes:
    """A query; ``name`` in wire form, ``additional`` an OPT record or nothing."""
    counts = b"\0\x01\0\0\0\0\0" + (b"\x01" if additional else b"\0")
    head = b"\0\0" + flags.to_bytes(2, "big") + counts
    return head + name + rtype.to_bytes(2, "big") + _CLASS_IN + additional


def write(path: Path, messages: Iterable[bytes]) -> Path:
    """The file that the load program reads."""
    path.write_bytes(b"".join(len(each).to_bytes(2, "big") + each for each in messages))
    return path


def cookie() -> bytes:
    """A client cookie that no query had before."""
    return random.getrandbits(64).to_bytes(8, "big")


def mixed_case(name: bytes) -> bytes:
    """The name with each letter in upper or lower case at random (draft-vixie-dnsext-dns0x20)."""
    bits = random.getrandbits(len(name))
    return bytes(
        octet ^ 0x20 if bits >> at & 1 and 97 <= octet <= 122 else octet
        for at, octet in enumerate(name)
    )


def random_label(prefix: str = "") -> str:
    return f"{prefix}{random.getrandbits(64):016x}"


# ---- queries that are new each time

_SERVICES: Final = cluster.SMALL.services


def _service_names() -> list[bytes]:
    return [wire(name) for name in cluster.names("svc", _SERVICES)]


def hot(count: int = _SERVICES) -> Iterator[bytes]:
    """The names of existing Services, type A."""
    return (message(wire(name), A) for name in cluster.names("svc", count))


def with_cookies(count: int) -> Iterator[bytes]:
    names = _service_names()
    for at in range(count):
        yield message(names[at % _SERVICES], A, opt(cookie=cookie()))


def with_mixed_case(count: int) -> Iterator[bytes]:
    names = _service_names()
    for at in range(count):
        yield message(mixed_case(names[at % _SERVICES]), A)


def missing(count: int, additional: bytes = b"") -> Iterator[bytes]:
    """Names in an existing namespace that do not exist."""
    ending = wire(cluster.DOMAIN)
    for _ in range(count):
        yield message(b"\x10" + random_label().encode() + ending, A, additional)


def external(count: int, zone: str, prefix: str = "") -> Iterator[bytes]:
    """Names in ``zone``, outside of the cluster; those that begin with ``nx`` do not exist."""
    for _ in range(count):
        yield message(wire(f"{random_label(prefix)}.{zone}"), A)


def spellings(name: str, count: int, payload: int) -> Iterator[bytes]:
    """One name in different letter case, with EDNS and a payload size."""
    plain, additional = wire(name), opt(payload)
    for _ in range(count):
        yield message(mixed_case(plain), A, additional)


# ---- the queries of Pods


class Library(Struct, frozen=True):
    """A resolver library: what its queries look like. All send A and AAAA at once."""

    name: str
    flags: int = _RD
    edns: bool = False
    cookies: bool = False
    """A client cookie of its own in each lookup, as a process that lives for one lookup has."""

    def queries(self, name: str) -> tuple[bytes, bytes]:
        """For a complete name."""
        additional = opt(cookie=cookie() if self.cookies else b"") if self.edns else b""
        name_wire = wire(name)
        return (
            message(name_wire, A, additional, self.flags),
            message(name_wire, AAAA, additional, self.flags),
        )


GLIBC: Final = Library("glibc")
MUSL: Final = Library("musl", _RD | _AD)
GO: Final = Library("Go", edns=True)
C_ARES: Final = Library("c-ares", edns=True, cookies=True)
_LIBRARIES: Final = (GLIBC, MUSL, GO, C_ARES)
_LIBRARY_WEIGHTS: Final = (35, 25, 30, 10)

_SHORT, _WITH_NAMESPACE, _FULL, _OUTSIDE, _NEW_OUTSIDE, _PORT, _ADDRESS = range(7)
_LOOKUP_WEIGHTS: Final = (35, 25, 10, 15, 2, 6, 7)
"""Of the lookups that Pods make: Services in their own namespace, in another one, by the full name; external
names that are cached, and new ones; SRV; PTR."""
_PODS_IN_NAMESPACE: Final = 10
_LOOKUPS_OF_POD: Final = 8


class Lookup(Struct, frozen=True):
    """A name that a Pod resolves again and again."""

    library: Library
    namespace: str
    kind: int
    service: int
    """By number; also chooses the external name."""


def _population() -> list[Lookup]:
    """The lookups of the Pods in all namespaces, the same in every run, so that caches become warm."""
    chosen = random.Random(1)
    found = []
    for namespace in range(cluster.NAMESPACES):
        for _ in range(_PODS_IN_NAMESPACE):
            library = chosen.choices(_LIBRARIES, _LIBRARY_WEIGHTS)[0]
            for kind in chosen.choices(range(7), _LOOKUP_WEIGHTS, k=_LOOKUPS_OF_POD):
                service = chosen.randrange(_SERVICES)
                if kind == _SHORT:
                    service += namespace - service % cluster.NAMESPACES
                found.append(Lookup(library, cluster.namespace(namespace), kind, service))
    return found


def mix(count: int, zone: str, outside_names: Sequence[str]) -> Iterator[bytes]:
    """At least ``count`` queries of Pods in all namespaces."""
    population, made = _population(), 0
    while made < count:
        for query in _queries(random.choice(population), zone, outside_names):
            yield query
            made += 1


def _queries(lookup: Lookup, zone: str, outside_names: Sequence[str]) -> Iterator[bytes]:
    name = f"svc-{lookup.service}.{cluster.namespace(lookup.service)}"
    full = f"{name}.svc.cluster.local"
    additional = opt() if lookup.library.edns else b""
    if lookup.kind == _PORT:
        yield message(wire(f"_http._tcp.{full}"), SRV, additional)
    elif lookup.kind == _ADDRESS:
        reverse = ".".join(reversed(cluster.cluster_ip(lookup.service).split(".")))
        yield message(wire(f"{reverse}.in-addr.arpa"), PTR, additional)
    elif lookup.kind in {_SHORT, _WITH_NAMESPACE}:
        yield from _search(lookup, name.partition(".")[0] if lookup.kind == _SHORT else name, full)
    elif lookup.kind == _FULL:
        yield from _search(lookup, full, full)
    else:
        new, known = f"{random_label()}.{zone}", outside_names[lookup.service % len(outside_names)]
        external = new if lookup.kind == _NEW_OUTSIDE else known
        yield from _search(lookup, external, external)


def _search(lookup: Lookup, name: str, existing: str) -> Iterator[bytes]:
    """What a stub resolver with ``ndots:5`` sends until it comes to the name that exists."""
    own = f".{lookup.namespace}.svc.cluster.local"
    for suffix in (own, ".svc.cluster.local", ".cluster.local", ""):
        yield from lookup.library.queries(name + suffix)
        if name + suffix == existing:
            return
