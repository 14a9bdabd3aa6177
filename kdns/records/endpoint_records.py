"""Records of endpoints, made as far as they are sent: addresses, SRV and what those lead to (RFC 2782)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TypeAlias

from kdns.records.locations import (
    WIDTHS,
    Addresses,
    label_of,
    packed_of,
    packed_record,
    types_at,
    unique,
)
from kdns.wire import rdata
from kdns.wire.address_records import AddressRecords, MadeRecords
from kdns.wire.constants import Type
from kdns.wire.message import Record
from kdns.wire.names import MAX_LABEL, MAX_NAME, BadNameError, to_wire

Label: TypeAlias = str | bytes
"""An endpoint's label, or the address in network order that makes it."""


def address_records(
    found: Sequence[Addresses], qname: bytes, qtype: int, ttl: int
) -> Sequence[Record]:
    """A or AAAA records, each address once; nothing for other types."""
    width = WIDTHS.get(qtype)
    octets = b"".join([each.octets for each in found if each.width == width])
    if not octets or width is None:
        return ()
    return AddressRecords(qname, ttl, unique(octets, width), width, qtype)


def types_of(found: Sequence[Addresses]) -> tuple[Type, ...]:
    """The types of the records at a name with these addresses."""
    widths = {each.width for each in found}
    ports = any(port is not None for each in found for port in each.ports)
    return types_at(ipv4=4 in widths, ipv6=16 in widths, ports=ports)


def srv_records(
    found: Sequence[Addresses], qname: bytes, ttl: int, service: bytes
) -> MadeRecords[tuple[Label, bytes, int]]:
    """SRV records, each once; ``service`` is the Service's name, above the endpoints'.

    The weight shares 100 among the records before duplicates go (specification 2.3.2 leaves it open;
    this is CoreDNS's). A slice without ports has none, but its share counts.
    """
    weight = max(100 // sum([len(each) * len(each.ports) for each in found]), 1)

    def make(key: tuple[Label, bytes, int]) -> Record:
        label, origin, port = key
        return Record(qname, Type.SRV, ttl, rdata.srv(0, weight, port, _target(label, origin)))

    def collect() -> Sequence[tuple[Label, bytes, int]]:
        keys = [
            (label, origin, number)
            for each, origin, labels in _with_targets(found, service)
            for numbers in [dict.fromkeys([port.number for port in each.ports if port])]
            for label in labels
            if label
            for number in numbers
        ]
        return tuple(dict.fromkeys(keys))

    return MadeRecords(ttl, collect, make)


class TargetRecords(MadeRecords[tuple[Label, bytes, bytes]]):
    """Addresses of SRV records' targets: those of some targets are found without making the others."""

    __slots__ = ()

    def of(self, owners: Collection[bytes]) -> Sequence[Record]:
        wanted: set[tuple[Label, bytes]] = set()
        for owner in owners:
            end = owner[0] + 1
            label, origin = owner[1:end].decode("latin-1"), owner[end:]
            wanted.add((label, origin))
            if packed := packed_of(label):
                wanted.add((packed, origin))
        return [self._make(key) for key in self.keys if key[:2] in wanted]


def target_records(found: Sequence[Addresses], ttl: int, service: bytes) -> TargetRecords:
    """A and AAAA records of the SRV records' targets, each once."""

    def make(key: tuple[Label, bytes, bytes]) -> Record:
        label, origin, packed = key
        return packed_record(_target(label, origin), packed, ttl)

    def collect() -> Sequence[tuple[Label, bytes, bytes]]:
        keys = [
            (label, origin, packed)
            for each, origin, labels in _with_targets(found, service)
            for label, packed in zip(labels, each.each(), strict=True)
            if label
        ]
        return tuple(dict.fromkeys(keys))

    return TargetRecords(ttl, collect, make)


def _with_targets(
    found: Sequence[Addresses], service: bytes
) -> Iterator[tuple[Addresses, bytes, Sequence[Label]]]:
    """Those that have ports, each with what its labels stand before, and them; "" for one too long."""
    # An address's own label is spelt out only where a host name may be the same.
    plain = all(each.labels is None for each in found)
    for each in found:
        if each.ports[0] is None:
            continue
        try:
            origin = to_wire((each.cluster,), service) if each.cluster else service
        except BadNameError:
            continue
        room = MAX_NAME - len(origin) - 1
        if plain and room >= MAX_LABEL:
            yield each, origin, each.each()
        elif room >= MAX_LABEL:
            yield each, origin, each.names()
        else:
            yield each, origin, [label if len(label) <= room else "" for label in each.names()]


def _target(label: Label, origin: bytes) -> bytes:
    """The endpoint's name."""
    octets = (label if isinstance(label, str) else label_of(label)).encode("latin-1")
    return len(octets).to_bytes() + octets + origin
