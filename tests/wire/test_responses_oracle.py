"""Mutated replies to our decoder and to dnspython: both accept the same ones and read the same records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import dns.exception
import dns.message
import dns.name
import dns.rrset
from hypothesis import assume, given
from hypothesis import strategies as st

from kdns.wire.constants import Class, Type
from kdns.wire.message import Record
from kdns.wire.relayed import Section
from kdns.wire.responses import Response, decode
from kdns.wire.scan import scan

Fields: TypeAlias = tuple[bytes, int, int, int, bytes]

REPLIES: Final = (
    ("www.example.org. 300 IN A 192.0.2.1",),
    tuple(f"www.example.org. 300 IN A 192.0.2.{last}" for last in range(4)),
    (
        "www.example.org. 300 IN CNAME a.example.net.",
        "a.example.net. 60 IN CNAME b.c.example.net.",
        "b.c.example.net. 60 IN AAAA 2001:db8::1",
    ),
    (
        "www.example.org. 5 IN MX 10 mail.example.org.",
        "www.example.org. 5 IN SRV 1 2 3 mail.example.org.",
        "mail.example.org. 5 IN A 192.0.2.1",
        'www.example.org. 5 IN NAPTR 1 2 "a" "b" "c" mail.example.org.',
    ),
    (
        'www.example.org. 5 IN TXT "one" "two" ""',
        'www.example.org. 5 IN CAA 0 issue "ca.example.org"',
        "www.example.org. 5 IN HTTPS 1 . mandatory=port alpn=h2,h3 port=443 ipv4hint=192.0.2.1",
        "www.example.org. 5 IN SVCB 0 a.example.org.",
        'www.example.org. 5 IN URI 1 2 "https://example.org"',
        'www.example.org. 5 IN HINFO "a" "b"',
        "www.example.org. 5 IN DNAME example.net.",
        "www.example.org. 5 IN RP root.example.org. a.example.org.",
        "www.example.org. 5 IN AFSDB 1 a.example.org.",
        "www.example.org. 5 IN RT 1 a.example.org.",
        "www.example.org. 5 IN PX 1 a.example.org. b.example.org.",
        "www.example.org. 5 IN KX 1 a.example.org.",
        r"www.example.org. 5 IN TYPE731 \# 3 abcdef",
    ),
    (
        "example.org. 60 IN SOA ns.example.org. root.example.org. 1 2 3 4 5",
        "example.org. 60 IN NSEC a.example.org. A NS SOA CAA",
        "b4um86eghhds.example.org. 60 IN NSEC3 1 0 5 ab 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
        "example.org. 60 IN NSEC3PARAM 1 0 5 ab",
        "example.org. 60 IN RRSIG NSEC 8 2 60 20300101000000 20200101000000 1 example.org. YWJj",
        "example.org. 60 IN DNSKEY 256 3 8 YWJj",
        "example.org. 60 IN CSYNC 1 1 A NS",
    ),
)

DEFINITE: Final = {
    *(Type.A, Type.NS, Type.CNAME, Type.SOA, Type.PTR, Type.HINFO, Type.MX, Type.TXT, Type.RP),
    *(Type.AFSDB, Type.AAAA, Type.SRV, Type.NAPTR, Type.KX, Type.RRSIG, Type.NSEC),
    *(Type.DNSKEY, Type.NSEC3, Type.NSEC3PARAM, Type.OPENPGPKEY, Type.CSYNC, Type.URI, Type.CAA),
    *(19, 21, 26, 104, 105, 106, 107, 108, 109, 731),
}
"""Types of which dnspython checks the form, and no more than that. It takes no compressed DNAME."""


def wire(records: tuple[str, ...], section: int) -> bytes:
    made = dns.message.make_response(dns.message.make_query("www.example.org", "A", use_edns=0))
    made.use_edns(0, 0, 1232)
    for record in records:
        name, ttl, rdclass, rdtype, data = record.split(None, 4)
        made.sections[section].append(dns.rrset.from_text(name, int(ttl), rdclass, rdtype, data))
    return made.to_wire()


WIRES: Final = tuple(wire(records, section) for records in REPLIES for section in (1, 2, 3))

_OFFSETS: Final = st.integers(0, 400)
CHANGES: Final = st.one_of(
    st.tuples(st.just("set"), _OFFSETS, st.integers(0, 255)),
    st.tuples(st.just("set"), _OFFSETS, st.sampled_from((0, 1, 2, 12, 63, 64, 0xC0, 0xC1, 0xFF))),
    st.tuples(st.just("add"), _OFFSETS, st.integers(-2, 2)),
    st.tuples(st.just("insert"), _OFFSETS, st.integers(0, 255)),
    st.tuples(st.just("delete"), _OFFSETS, st.just(0)),
    st.tuples(st.just("cut"), _OFFSETS, st.just(0)),
    st.tuples(st.just("case"), _OFFSETS, st.just(0)),
)


def changed(data: bytes, changes: Sequence[tuple[str, int, int]]) -> bytes:
    """A reply still: QR set, opcode QUERY, one question at most."""
    out = bytearray(data)
    for kind, offset, value in changes:
        at = offset % len(out)
        if kind == "set":
            out[at] = value
        elif kind == "add":
            out[at] = (out[at] + value) % 256
        elif kind == "case":
            out[at] ^= 0x20
        elif kind == "insert":
            out.insert(at, value)
        elif len(out) > 13:
            del out[at : at + 1 if kind == "delete" else None]
        out += bytes(max(13 - len(out), 0))
    out[2] = out[2] & 0x87 | 0x80
    out[4:6] = (out[5] & 1).to_bytes(2)
    return bytes(out)


def ours(response: Response) -> list[list[Fields]]:
    return [
        [(r.owner, r.rtype, r.rclass, r.ttl, r.rdata) for r in section]
        for section in (response.answer, response.authority, response.additional)
    ]


def theirs(message: dns.message.Message) -> list[list[Fields]]:
    found = []
    for section in message.sections[1:]:
        records = []
        for rrset in section:
            owner = rrset.name.to_wire()
            assert owner is not None
            (data,) = rrset
            records.append(
                (owner, int(rrset.rdtype), int(rrset.rdclass), rrset.ttl, data.to_wire() or b"")
            )
        found.append(records)
    return found


def read(data: bytes) -> dns.message.Message | None:
    try:
        return dns.message.from_wire(data, ignore_trailing=True, one_rr_per_rrset=True)
    except (dns.exception.DNSException, ValueError):
        return None


def is_definite(sections: list[list[Fields]]) -> bool:
    kinds = {fields[1:3] for section in sections for fields in section}
    return (Type.A, Class.CH) not in kinds and {rtype for rtype, _ in kinds} <= DEFINITE


def disagreement(data: bytes) -> str:
    """What the two decoders say differently of a message; "" for nothing."""
    if Type.TSIG.to_bytes(2) in data:  # dnspython takes no signature without its key
        return ""
    response, message = decode(data), read(data)
    read_by_us = ours(response) if isinstance(response, Response) else None
    read_by_them = theirs(message) if message is not None else None
    if not is_definite(read_by_us or []) or not is_definite(read_by_them or []):
        return ""
    if read_by_us != read_by_them:
        return f"{read_by_us} instead of {read_by_them}"
    if isinstance(response, Response) and message is not None and response.rcode != message.rcode():
        return f"rcode {response.rcode} instead of {message.rcode()}"
    return ""


@given(st.sampled_from(WIRES), st.lists(CHANGES, max_size=6))
def test_both_read_the_same(data: bytes, changes: list[tuple[str, int, int]]) -> None:
    assert not disagreement(changed(data, changes))


@given(st.sampled_from(WIRES), st.lists(CHANGES, max_size=4))
def test_what_is_relayed_is_what_was_read(data: bytes, changes: list[tuple[str, int, int]]) -> None:
    """The one pass takes nothing that the general way refuses or reads otherwise."""
    data = changed(data, changes)
    found = scan(data)
    assume(found is not None)
    assert found is not None
    relayed = found[2]
    message = dns.message.from_wire(
        data[:4]
        + b"\0\1"
        + b"".join(count.to_bytes(2) for count in relayed.counts)
        + relayed.question
        + relayed.body,
        one_rr_per_rrset=True,
    )
    sections: list[list[Record]] = [
        list(Section(relayed, number)) if relayed.counts[number] else [] for number in range(3)
    ]
    assert [
        [(r.owner, r.rtype, r.rclass, r.ttl, r.rdata) for r in section] for section in sections
    ] == theirs(message)
