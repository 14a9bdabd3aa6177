"""Records -> the nodes of a zone: RRsets by name, checked against what a zone may hold.

RFC 1034 section 4.2, RFC 2181 section 5 and 10.1, RFC 6672 section 2.4. What makes a zone unusable is
a ``ZoneError``; what is only odd becomes a warning.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from kdns.wire import names
from kdns.wire.constants import Type, type_name
from kdns.wire.message import Record
from kdns.wire.names import Name

RRset: TypeAlias = tuple[Record, ...]
Node: TypeAlias = tuple[RRset, ...]
"""The RRsets at a name; empty for a name that exists only because of names below it."""

_BESIDE_CNAME: Final = frozenset({Type.CNAME, Type.RRSIG, Type.NSEC})  # RFC 4035 section 2.5
_SINGLE: Final = (Type.CNAME, Type.DNAME)  # RFC 2181 section 10.1, RFC 6672 section 2.4


class ZoneError(ValueError):
    """Records that make no zone; ``record`` is the one at fault, if it is one."""

    def __init__(self, message: str, record: Record | None = None) -> None:
        super().__init__(message)
        self.record = record


class Nodes(Struct, frozen=True):
    """What ``Zone`` is made of."""

    by_name: dict[Name, Node]
    soa: Record
    warnings: tuple[str, ...]


def gather(origin: Name, records: Iterable[Record]) -> Nodes:
    """Sort ``records`` into nodes. Raises ``ZoneError``."""
    grouped = _group(origin, records)
    soa = _soa(origin, grouped)
    warnings: list[str] = []
    by_name: dict[Name, Node] = {}
    for name, rrsets in grouped.items():
        _check_node(name, rrsets)
        by_name[name] = tuple(_rrset(rrset, warnings) for rrset in rrsets.values())
    _warn(origin, by_name, warnings)
    _add_empty_non_terminals(origin, by_name)
    return Nodes(by_name, soa, tuple(warnings))


def rrset_of(node: Node, rtype: int) -> RRset:
    """The RRset of this type at ``node``, or an empty one."""
    for rrset in node:
        if rrset[0].rtype == rtype:
            return rrset
    return ()


def canonical_order(name: Name) -> tuple[bytes, ...]:
    """Sort key of RFC 4034 section 6.1."""
    return tuple(label.encode("latin-1") for label in reversed(name))


Grouped: TypeAlias = dict[Name, dict[int, list[Record]]]


def _group(origin: Name, records: Iterable[Record]) -> Grouped:
    grouped: Grouped = {}
    known: dict[bytes, tuple[Name, bytes]] = {}
    labels: dict[str, str] = {}  # each label once in memory, however many names have it
    for record in records:
        if record.owner not in known:
            name = tuple(labels.setdefault(x, x) for x in names.from_wire(record.owner))
            known[record.owner] = name, record.owner
        name, owner = known[record.owner]
        if not names.is_below(name, origin):
            zone = names.to_text(origin)
            raise ZoneError(f"{names.to_text(name)} does not belong to the zone {zone}", record)
        grouped.setdefault(name, {}).setdefault(record.rtype, []).append(_own(record, owner))
    return grouped


def _own(record: Record, owner: bytes) -> Record:
    return record if record.owner is owner else replace(record, owner=owner)


def _soa(origin: Name, grouped: Grouped) -> Record:
    zone = names.to_text(origin)
    for name, rrsets in grouped.items():
        if Type.SOA in rrsets and name != origin:
            text = f"SOA at {names.to_text(name)}: it must stand at {zone}, the zone's name"
            raise ZoneError(text, rrsets[Type.SOA][0])
    soas = grouped.get(origin, {}).get(Type.SOA, [])
    if not soas:
        raise ZoneError(f"no SOA at {zone}")
    if len({(soa.rdata.lower()) for soa in soas}) > 1:
        raise ZoneError(f"{len(soas)} SOAs at {zone}; one expected", soas[1])
    return soas[0]


def _check_node(name: Name, rrsets: dict[int, list[Record]]) -> None:
    for single in _SINGLE:
        rrset = rrsets.get(single, [])
        for other in rrset[1:]:
            if other.rdata != rrset[0].rdata:
                text = f"{names.to_text(name)} has several {single.name} records; one expected"
                raise ZoneError(text, other)
    if Type.CNAME in rrsets and (others := rrsets.keys() - _BESIDE_CNAME):
        rtype = min(others)
        text = f"{names.to_text(name)} has a CNAME and other data ({type_name(rtype)})"
        raise ZoneError(text, rrsets[rtype][0])


def _rrset(records: list[Record], warnings: list[str]) -> RRset:
    """Without duplicates and of one TTL, the lowest (RFC 2181 section 5.2); RRSIGs keep theirs."""
    unique = list({record.rdata: record for record in reversed(records)}.values())[::-1]
    ttl = min(record.ttl for record in unique)
    if records[0].rtype == Type.RRSIG or all(record.ttl == ttl for record in unique):
        return tuple(unique)
    owner, kind = names.wire_to_text(records[0].owner), type_name(records[0].rtype)
    warnings.append(f"{owner} {kind}: the records have several TTLs; the lowest, {ttl}, is used")
    return tuple(replace(record, ttl=ttl) for record in unique)


def _warn(origin: Name, by_name: dict[Name, Node], warnings: list[str]) -> None:
    if not rrset_of(by_name[origin], Type.NS):
        warnings.append(f"no NS at {names.to_text(origin)}")
    for name, node in by_name.items():
        if name[:1] == ("*",):
            for rtype in (Type.NS, Type.DNAME):
                if rrset_of(node, rtype):  # RFC 4592 sections 4.2 and 4.4 leave these undefined
                    text = (
                        f"{type_name(rtype)} at the wildcard {names.to_text(name)} does not apply"
                    )
                    warnings.append(f"{text} to the names it makes")


def _add_empty_non_terminals(origin: Name, by_name: dict[Name, Node]) -> None:
    for name in list(by_name):
        for depth in range(1, len(name) - len(origin)):
            if name[depth:] in by_name:
                break
            by_name[name[depth:]] = ()
