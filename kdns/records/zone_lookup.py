"""The look-up in a static zone, as RFC 1034 section 4.3.2 says.

Wildcards are those of RFC 4592, DNAME that of RFC 6672, negative answers those of RFC 2308 and 8020.
Where an alias leads out of the zone, the answer says which name is to be asked next.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.records.zone_denial import Denial
from kdns.records.zone_nodes import Node, RRset, rrset_of
from kdns.wire import names
from kdns.wire.aliases import chain_end
from kdns.wire.constants import Rcode, Type, type_name
from kdns.wire.message import Record
from kdns.wire.names import Name
from kdns.wire.rdata import strings

_ANY_TTL: Final = 8482  # RFC 8482 section 4.2 leaves it open; CoreDNS's `any` sends this too
_ANY_RDATA: Final = strings("RFC8482", "")
_AT_APEX: Final = frozenset({Type.SOA, Type.NS, Type.RRSIG})  # what every zone has there
# Octets before the name in the RDATA of types whose target's addresses help the asker.
_TARGETS: Final[dict[int, int]] = {
    Type.NS: 0,
    Type.MX: 2,
    Type.SRV: 6,
    Type.SVCB: 2,
    Type.HTTPS: 2,
}


class ZoneAnswer(Struct, frozen=True):
    """What a zone says to a question."""

    rcode: int
    answer: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    authoritative: bool = True
    """False exactly for a referral."""
    reason: str = ""
    """Why there is no answer, for people; "" when there is one."""
    chase: bytes | None = None
    """Where the last alias of ``answer`` leads, if that is outside of the zone (wire form)."""
    missing: bool = False
    """The name that was asked has no records of its own, neither by a wildcard; the apex, but SOA and NS."""
    lost: bytes | None = None
    """Where the last alias of ``answer`` leads, if that is such a name (wire form)."""


class ZoneData(Struct, frozen=True):
    """What look-ups read."""

    origin: Name
    by_name: dict[Name, Node]
    soa: Record
    where: str
    """The zone for people."""
    denial: Denial

    def node(self, name: Name) -> Node | None:
        """What is written at exactly ``name``; None where the name does not exist."""
        return self.by_name.get(name)


class _Found(Struct, frozen=True):
    """Where the way down from the apex to a name ends."""

    name: Name
    """The last name on the way that exists."""
    node: Node
    """What stands there, or at the wildcard that stands in for the rest of the way."""
    exists: bool = True
    cut: bool = False
    redirect: bool = False
    """``node`` holds a DNAME for names below it."""
    wildcard: Name | None = None


class Lookup:
    """One question on its way; gathers the sections."""

    def __init__(self, data: ZoneData, qtype: int, dnssec_ok: bool) -> None:
        self._data = data
        self._qtype = qtype
        self._dnssec_ok = dnssec_ok
        self._answer: list[Record] = []
        self._proof: list[Record] = []  # NSEC records, with their signatures

    def run(self, qname: bytes, name: Name, followed: tuple[Name, ...] = ()) -> ZoneAnswer:
        """``followed`` are the names of the chain of aliases that led here, ``name`` itself the last."""
        target = self._step(self._find(name), qname, name)
        if isinstance(target, ZoneAnswer):
            return target
        chain = followed or (name,)
        while True:
            qname, name = target, names.from_wire(target)
            if not names.is_below(name, self._data.origin):
                return replace(self._finish(Rcode.NOERROR, self._apex(Type.NS)), chase=qname)
            if end := chain_end(chain, name):
                authority = self._apex(Type.NS) if end.rcode == Rcode.NOERROR else []
                return self._finish(end.rcode, authority, reason=end.reason)
            chain = (*chain, name)
            target = self._step(self._find(name), qname, name)
            if isinstance(target, ZoneAnswer):
                lost = qname if target.missing else None
                return replace(target, missing=False, lost=lost)

    def _step(self, found: _Found, qname: bytes, name: Name) -> ZoneAnswer | bytes:
        """The end of the look-up, or the next name to look up (wire form)."""
        if found.cut:
            return self._referral(found)
        if found.redirect:
            return self._redirect(found, qname, name)
        if not found.exists:
            return self._no_name(found, name)
        cname = rrset_of(found.node, Type.CNAME)
        if cname and self._qtype != Type.ANY and not rrset_of(found.node, self._qtype):
            self._take(cname, found, qname)
            return cname[0].rdata
        return self._records(found, qname, name)

    def _find(self, name: Name) -> _Found:
        """RFC 1034 section 4.3.2 step 3, down from the apex; the closest encloser of RFC 4592."""
        origin, data = self._data.origin, self._data
        encloser, node = origin, data.node(origin) or ()
        for depth in range(len(origin), len(name) + 1):
            part = name[len(name) - depth :]
            below = data.node(part)
            if below is None:
                return self._wildcard(encloser)
            encloser, node, whole = part, below, depth == len(name)
            # RFC 4035 section 3.1.4.1: the parent answers for the DS at a cut
            asks_parent = whole and self._qtype == Type.DS
            if part != origin and not asks_parent and rrset_of(node, Type.NS):
                return _Found(part, node, cut=True)
            if not whole and rrset_of(node, Type.DNAME):
                return _Found(part, node, redirect=True)
        return _Found(encloser, node)

    def _wildcard(self, encloser: Name) -> _Found:
        """RFC 4592 section 3.3.1: the source of synthesis is ``*`` at the closest encloser, only."""
        name = ("*", *encloser)
        node = self._data.node(name)
        if node is None:
            return _Found(encloser, (), exists=False)
        return _Found(encloser, node, wildcard=name)

    # The ends

    def _records(self, found: _Found, qname: bytes, name: Name) -> ZoneAnswer:
        if self._qtype == Type.ANY and found.node:
            self._answer.append(Record(qname, Type.HINFO, _ANY_TTL, _ANY_RDATA))
            return self._finish(Rcode.NOERROR, self._apex(Type.NS))
        rrset = rrset_of(found.node, self._qtype)
        if not rrset:
            return self._no_data(found, name)
        self._take(rrset, found, qname)
        if self._qtype == Type.NS and name == self._data.origin:
            return self._finish(Rcode.NOERROR, [])
        return self._finish(Rcode.NOERROR, self._apex(Type.NS))

    def _no_data(self, found: _Found, name: Name) -> ZoneAnswer:
        kind = type_name(self._qtype)
        have = ", ".join(type_name(rrset[0].rtype) for rrset in found.node)
        text = names.to_text(name)
        reason = f"{text} has no {kind}, only {have}" if have else f"{text} exists, without records"
        if found.wildcard:
            reason += f" (from {names.to_text(found.wildcard)})"
        if self._dnssec_ok:
            self._proof += self._data.denial.no_data(name, found.wildcard)
        bare = name == self._data.origin and all(r[0].rtype in _AT_APEX for r in found.node)
        return self._negative(Rcode.NOERROR, reason, missing=bare or not found.node)

    def _no_name(self, found: _Found, name: Name) -> ZoneAnswer:
        if self._dnssec_ok:
            self._proof += self._data.denial.no_name(name, found.name)
        return self._negative(Rcode.NXDOMAIN, f"there is no {names.to_text(name)}", missing=True)

    def _negative(self, rcode: int, reason: str, missing: bool) -> ZoneAnswer:
        """RFC 2308 sections 3 and 5: the SOA, its TTL the lower of its own and MINIMUM."""
        ttl = min(self._data.soa.ttl, int.from_bytes(self._data.soa.rdata[-4:]))
        soa = [replace(record, ttl=min(ttl, record.ttl)) for record in self._apex(Type.SOA)]
        return self._finish(rcode, soa, reason=reason, missing=missing)

    def _referral(self, found: _Found) -> ZoneAnswer:
        servers = rrset_of(found.node, Type.NS)
        authority = list(servers)
        if self._dnssec_ok:
            ds = self._signed(found.node, rrset_of(found.node, Type.DS))
            authority += ds or self._data.denial.no_data(found.name, None)
        # RFC 1034 section 4.3.1: AA speaks of the first owner, so an alias before the cut keeps it
        answer = self._finish(Rcode.NOERROR, authority, glue=servers)
        return replace(answer, authoritative=bool(self._answer))

    def _redirect(self, found: _Found, qname: bytes, name: Name) -> ZoneAnswer | bytes:
        """RFC 6672 section 3.1: the DNAME, and a CNAME made from it with its TTL."""
        above = len(name) - len(found.name)
        (dname,) = rrset_of(found.node, Type.DNAME)
        signed = self._signed(found.node, (dname,))
        self._answer += [replace(record, owner=names.skip(qname, above)) for record in signed]
        prefix = qname[: len(qname) - len(names.skip(qname, above))]
        target = prefix + dname.rdata
        if len(target) > names.MAX_NAME:  # RFC 6672 section 2.2
            reason = f"{names.to_text(name)} grows over 255 octets by the DNAME above it"
            return self._finish(Rcode.YXDOMAIN, [], reason=reason)
        self._answer.append(Record(qname, Type.CNAME, dname.ttl, target))
        if self._qtype in {Type.CNAME, Type.ANY}:
            return self._finish(Rcode.NOERROR, self._apex(Type.NS))
        return target

    # The sections

    def _take(self, rrset: RRset, found: _Found, qname: bytes) -> None:
        """Put an RRset into the answer, under the name that was asked, in its letter case."""
        for record in self._signed(found.node, rrset):
            self._answer.append(replace(record, owner=qname))
        if found.wildcard and self._dnssec_ok:
            self._proof += self._data.denial.covering(names.from_wire(qname))

    def _signed(self, node: Node, rrset: RRset) -> list[Record]:
        if not self._dnssec_ok or not rrset:
            return list(rrset)
        return [*rrset, *_signatures(node, rrset[0].rtype)]

    def _apex(self, rtype: int) -> list[Record]:
        node = self._data.node(self._data.origin) or ()
        return self._signed(node, rrset_of(node, rtype))

    def _finish(
        self,
        rcode: int,
        authority: list[Record],
        reason: str = "",
        missing: bool = False,
        glue: RRset = (),
    ) -> ZoneAnswer:
        return ZoneAnswer(
            rcode,
            tuple(dict.fromkeys(self._answer)),
            tuple(dict.fromkeys([*authority, *self._proof])),
            tuple(self._addresses([*self._answer, *glue])),
            reason=self._why(reason),
            missing=missing,
        )

    def _why(self, reason: str) -> str:
        return reason and f"{reason} in {self._data.where}"

    def _addresses(self, records: list[Record]) -> Iterator[Record]:
        """Addresses in the zone of the names that ``records`` point to, glue too, each once."""
        answered = [r for r in self._answer if r.rtype in {Type.A, Type.AAAA}]
        seen = {names.from_wire(record.owner) for record in answered}
        for record in records:
            before = _TARGETS.get(record.rtype)
            if before is None or not (target := _target(record, before)):
                continue
            name = names.from_wire(target)
            if name in seen or (node := self._data.node(name)) is None:
                continue
            seen.add(name)
            for rtype in (Type.A, Type.AAAA):
                for address in self._signed(node, rrset_of(node, rtype)):
                    yield replace(address, owner=target)


def _signatures(node: Node, rtype: int) -> list[Record]:
    covered = rtype.to_bytes(2)
    return [record for record in rrset_of(node, Type.RRSIG) if record.rdata[:2] == covered]


def _target(record: Record, before: int) -> bytes:
    """The name in ``record`` after ``before`` octets; b"" for the root, which has no addresses."""
    target = record.rdata[before : names.end_of(record.rdata, before)]
    return target if target != b"\0" else b""
