"""Addresses of Services: packed, each with its ports and the label that an endpoint is known by."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from itertools import repeat
from socket import AF_INET, AF_INET6, inet_ntoa, inet_pton
from typing import Final

from msgspec import Struct

from kdns.records.objects import Endpoint, Port, Slice
from kdns.records.outcome import Asked
from kdns.wire.constants import Type
from kdns.wire.message import Record
from kdns.wire.names import MAX_LABEL

WIDTHS: Final[dict[int, int]] = {Type.A: 4, Type.AAAA: 16}
"""Octets of an address in the records of these types."""

_NO_PORTS: Final = (None,)


class Addresses(Struct, frozen=True, gc=False):
    """Addresses of one family that have the same ports: the ready endpoints of a slice."""

    octets: bytes
    """The addresses one after the other in network order."""
    width: int
    """Octets of each."""
    ports: tuple[Port | None, ...]
    """None for a slice that declares no ports: it has addresses but no SRV."""
    labels: tuple[str, ...] | None = None
    """The endpoints' labels, lower case, "" for what is no label; None where the addresses make them."""
    cluster: str = ""
    """Stands after the label, for endpoints in a clusterset."""
    numbers: Sequence[int] = ()
    """At which index of the slice's ``endpoints`` each address is."""

    def __len__(self) -> int:
        return len(self.octets) // self.width

    def each(self) -> list[bytes]:
        """The addresses, in network order."""
        octets, width = self.octets, self.width
        return [octets[at : at + width] for at in range(0, len(octets), width)]

    def names(self) -> Sequence[str]:
        """The labels."""
        return [label_of(each) for each in self.each()] if self.labels is None else self.labels

    def where(self, packed: bytes) -> Iterator[int]:
        """The positions of an address."""
        width = self.width
        if len(packed) != width:
            return
        at = self.octets.find(packed)
        while at >= 0:
            if at % width == 0:
                yield at // width
            at = self.octets.find(packed, at + 1)

    def labelled(self, label: str, packed: bytes | None) -> list[int]:
        """The positions of a label; ``packed`` is the address that makes it, if one does."""
        if self.labels is None:
            return list(self.where(packed)) if packed else []
        if label not in self.labels:
            return []
        return [at for at, each in enumerate(self.labels) if each == label]

    def at(self, position: int) -> Addresses:
        """One of them alone."""
        octets = self.octets[position * self.width : (position + 1) * self.width]
        labels = None if self.labels is None else self.labels[position : position + 1]
        return Addresses(octets, self.width, self.ports, labels, self.cluster)

    def with_ports(self, ports: tuple[Port | None, ...]) -> Addresses:
        """The same with some of the ports."""
        return Addresses(self.octets, self.width, ports, self.labels, self.cluster, self.numbers)


def ready_addresses(piece: Slice, pod_names: bool) -> tuple[Addresses, ...]:
    """The addresses of a slice's ready endpoints, IPv4 before IPv6; nothing where there are none.

    ``pod_names`` is the option ``endpoint_pod_names``: whether Pods' names are labels.
    """
    ready = [each.addresses for each in piece.endpoints if each.ready]
    texts = [address for addresses in ready for address in addresses]
    if not texts:
        return ()
    if len(texts) == len(piece.endpoints) == len(ready):  # nearly always
        numbers: Sequence[int] = range(len(texts))
    else:
        numbers = [
            at for at, each in enumerate(piece.endpoints) if each.ready for _ in each.addresses
        ]
    if ":" not in "".join(texts):
        return (_packed(piece, numbers, texts, AF_INET, pod_names),)
    found = []
    for family, is_ipv6 in ((AF_INET, False), (AF_INET6, True)):
        own = [pair for pair in zip(numbers, texts, strict=True) if (":" in pair[1]) is is_ipv6]
        if own:
            at, of_family = [number for number, _ in own], [text for _, text in own]
            found.append(_packed(piece, at, of_family, family, pod_names))
    return tuple(found)


def _packed(
    piece: Slice, numbers: Sequence[int], texts: list[str], family: int, pod_names: bool
) -> Addresses:
    octets = b"".join(map(inet_pton, repeat(family), texts))
    return Addresses(
        octets,
        len(octets) // len(texts),
        piece.ports or _NO_PORTS,
        _labels(piece, numbers, texts, pod_names),
        piece.cluster.lower(),
        numbers if isinstance(numbers, range) else array("I", numbers),
    )


def _labels(
    piece: Slice, numbers: Sequence[int], texts: list[str], pod_names: bool
) -> tuple[str, ...] | None:
    endpoints = piece.endpoints
    if not any(each.hostname or (pod_names and each.pod) for each in endpoints):
        return None
    found = [
        endpoints[at].hostname or endpoint_label(endpoints[at], address, pod_names)
        for at, address in zip(numbers, texts, strict=True)
    ]
    return tuple([_folded(label) for label in found])


def _folded(label: str) -> str:
    """In lower case, sharing memory with what is already; "" for what no name can hold."""
    if len(label) > MAX_LABEL or not (label.isascii() or max(label) <= "\xff"):
        return ""
    folded = label.lower()
    return label if label == folded else folded


def matching(found: Iterable[Addresses], asked: Asked) -> list[Addresses]:
    """Those with the ports and under the label that are asked for."""
    if not asked.port and not asked.protocol:
        return _labelled(found, asked) if asked.endpoint else list(found)
    chosen: list[Addresses] = []
    before: tuple[Port | None, ...] = ()
    ports: tuple[Port | None, ...] = ()
    for each in _labelled(found, asked) if asked.endpoint else found:
        if each.ports is not before:  # the slices of a Service mostly share theirs
            before = each.ports
            ports = tuple([port for port in before if port_matches(asked, port)])
        if ports:
            chosen.append(each.with_ports(ports))
    return chosen


def _labelled(found: Iterable[Addresses], asked: Asked) -> list[Addresses]:
    label, packed = asked.endpoint, packed_of(asked.endpoint)
    return [
        each.at(position)
        for each in found
        if each.cluster == asked.cluster
        for position in each.labelled(label, packed)
    ]


# ---- labels


def endpoint_label(endpoint: Endpoint, address: str, pod_names: bool) -> str:
    """The label an endpoint is known by: its host name, its Pod's name if wished, its address."""
    if endpoint.hostname:
        return endpoint.hostname
    if pod_names and endpoint.pod and len(endpoint.pod) <= MAX_LABEL:
        return endpoint.pod
    return dashed(address)


def dashed(address: str) -> str:
    """The label that an address makes: ``10-0-0-1``, ``fd00--1``."""
    label = address.replace(".", "-").replace(":", "-")
    return label + "0" if label.endswith("-") else label


def label_of(packed: bytes) -> str:
    """The label that an address in network order makes."""
    if len(packed) == 4:
        return inet_ntoa(packed).replace(".", "-")
    return dashed(str(IPv6Address(packed)))


def address_of_label(label: str) -> IPv4Address | IPv6Address | None:
    """The address that a label means: ``10-0-0-1``, ``fd00--1``; as CoreDNS parses that of a Pod."""
    try:
        if label.count("-") == 3 and "--" not in label:
            return IPv4Address(label.replace("-", "."))
        address = IPv6Address(label.replace("-", ":"))
    except ValueError:
        return None
    if address.scope_id is not None:
        return None
    return address.ipv4_mapped or address


def packed_of(label: str) -> bytes | None:
    """The address, in network order, that makes exactly this label."""
    address = address_of_label(label)
    return address.packed if address and label_of(address.packed) == label else None


def port_matches(asked: Asked, port: Port | None) -> bool:
    """An empty port or protocol label matches any, as with the peer."""
    if not asked.port and not asked.protocol:
        return True
    if port is None:
        return False
    return (not asked.port or asked.port == port.name.lower()) and (
        not asked.protocol or asked.protocol == port.protocol
    )


# ---- addresses


def pack(address: str) -> bytes:
    """The address in network order. Raises ``OSError`` if it is none."""
    return inet_pton(AF_INET6 if ":" in address else AF_INET, address)


def unique(octets: bytes, width: int) -> bytes:
    """Packed addresses, each once, in the order of their first places."""
    if width == 4:
        numbers = memoryview(octets).cast("I")
        if len(set(numbers)) == len(numbers):
            return octets
    parts = [octets[at : at + width] for at in range(0, len(octets), width)]
    once = dict.fromkeys(parts)
    return octets if len(once) == len(parts) else b"".join(once)


@lru_cache(maxsize=8)  # all that there are
def types_at(*, ipv4: bool, ipv6: bool, ports: bool) -> tuple[Type, ...]:
    """The types of the records at a name that has such addresses, and ports or none."""
    there = ((Type.A, ipv4), (Type.AAAA, ipv6), (Type.SRV, ports))
    return tuple([rtype for rtype, is_there in there if is_there])


def address_record(owner: bytes, address: str, ttl: int) -> Record:
    """An A or AAAA record."""
    return packed_record(owner, pack(address), ttl)


def packed_record(owner: bytes, packed: bytes, ttl: int) -> Record:
    """An A or AAAA record of an address in network order."""
    return Record(owner, Type.A if len(packed) == 4 else Type.AAAA, ttl, packed)
