"""Replies: what dnspython and dnslib read from the octets is the Answer, cut to what the client accepts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rdata
import dns.rrset
import pytest
from dnslib import DNSRecord  # type: ignore[import-untyped, unused-ignore]
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kdns.wire import names, rdata
from kdns.wire.constants import Class, EdnsOption, Flag, Rcode, Type
from kdns.wire.encode import encode, encode_error, reply
from kdns.wire.encoded import MAX_BUFSIZE, MAX_UDP
from kdns.wire.message import Answer, Edns, ExtendedError, Query, Record, Transport
from kdns.wire.question import parse

WEB = names.wire_from_text("Web.Shop.svc.Cluster.local.")


def question(qname: bytes = WEB, qtype: int = Type.A, **fields: object) -> Query:
    return replace(Query(qname, names.from_wire(qname), qtype, flags=Flag.RD), **fields)


def body_of(query: Query, answer: Answer, cookie: bytes = b"", turn: int = 0) -> bytes:
    return reply(query, encode(query, answer), cookie, turn)


def read(body: bytes, message_id: int = 0x1234) -> dns.message.Message:
    """As dnspython reads it, one RRset for each record so that order and letter case show."""
    return dns.message.from_wire(message_id.to_bytes(2, "big") + body, one_rr_per_rrset=True)


Flat = list[tuple[bytes, int, int, int, bytes]]


def flat(rrsets: Sequence[dns.rrset.RRset]) -> Flat:
    return [
        (octets(each.name), int(each.rdtype), int(each.rdclass), each.ttl, octets(each[0]))
        for each in rrsets
    ]


def octets(thing: dns.name.Name | dns.rdata.Rdata) -> bytes:
    wire = thing.to_wire()
    assert wire is not None
    return wire


def expected(records: Sequence[Record]) -> Flat:
    return [(each.owner, each.rtype, each.rclass, each.ttl, each.rdata) for each in records]


# ---- any answer

texts = st.sampled_from(["a", "A", "b", "svc", "Cluster", "cluster", "x" * 20])
owners = st.lists(texts, max_size=6).map(lambda found: names.to_wire(tuple(found)))
ttls = st.integers(0, 2**31 - 1)
short = st.integers(0, 65535)
counted = st.lists(st.binary(max_size=20), min_size=1, max_size=3)

datas = st.one_of(
    st.tuples(st.just(Type.A), st.binary(min_size=4, max_size=4)),
    st.tuples(st.just(Type.AAAA), st.binary(min_size=16, max_size=16)),
    st.tuples(st.sampled_from([Type.NS, Type.CNAME, Type.PTR, Type.DNAME]), owners),
    st.tuples(st.just(Type.SRV), st.builds(rdata.srv, short, short, short, owners)),
    st.tuples(st.just(Type.MX), st.builds(rdata.mx, short, owners)),
    st.tuples(
        st.just(Type.SOA),
        st.builds(rdata.soa, owners, owners, st.integers(0, 2**32 - 1), st.tuples(*[ttls] * 4)),
    ),
    st.tuples(st.just(Type.TXT), counted.map(lambda found: rdata.strings(*found))),
    st.tuples(st.just(65280), st.binary(min_size=1, max_size=30)),
)
records = st.builds(
    lambda owner, ttl, data: Record(owner, int(data[0]), ttl, data[1]), owners, ttls, datas
)
sections = st.lists(records, max_size=5).map(tuple)
answers = st.builds(
    Answer,
    rcode=st.integers(0, 15),
    answer=sections,
    authority=sections,
    additional=sections,
    authoritative=st.booleans(),
    recursion_available=st.booleans(),
)


@given(owners, answers)
def test_dnspython_reads_the_answer(qname: bytes, answer: Answer) -> None:
    asked = question(qname, Type.ANY, transport="tcp")
    message = read(body_of(asked, answer))
    assert message.id == 0x1234
    assert message.rcode() == answer.rcode
    assert [(octets(q.name), int(q.rdtype), int(q.rdclass)) for q in message.question] == [
        (qname, Type.ANY, Class.IN)
    ]
    assert flat(message.answer) == expected(answer.answer)
    assert flat(message.authority) == expected(answer.authority)
    assert flat(message.additional) == expected(answer.additional)
    flags = (
        Flag.QR | Flag.RD | Flag.AA * answer.authoritative | Flag.RA * answer.recursion_available
    )
    assert message.flags & ~0xF == flags


@given(owners, answers)
def test_dnslib_reads_the_answer(qname: bytes, answer: Answer) -> None:
    body = body_of(question(qname, Type.ANY, transport="tcp"), answer)
    record = DNSRecord.parse(b"\0\7" + body)
    assert record.header.rcode == answer.rcode
    for theirs, ours in (
        (record.rr, answer.answer),
        (record.auth, answer.authority),
        (record.ar, answer.additional),
    ):
        assert [(each.rtype, each.ttl) for each in theirs] == [(r.rtype, r.ttl) for r in ours]
        wires = [names.to_wire(tuple(x.decode() for x in each.rname.label)) for each in theirs]
        assert wires == [r.owner for r in ours]


@given(owners, answers, st.integers(0, 1500), st.booleans())
def test_never_more_than_the_asker_takes(
    qname: bytes, answer: Answer, size: int, edns: bool
) -> None:
    asked = question(qname, Type.ANY, edns=Edns(size) if edns else None)
    body = body_of(asked, answer)
    assert len(body) + 2 <= (min(max(size, 512), MAX_UDP) if edns else 512)
    message = read(body)
    whole = (answer.answer, answer.authority, answer.additional)
    parts = (message.answer, message.authority, message.additional)
    for ours, theirs in zip(whole, parts, strict=True):
        assert flat(theirs) == expected(ours)[: len(theirs)]
    missing = [len(ours) - len(theirs) for ours, theirs in zip(whole, parts, strict=True)]
    assert bool(message.flags & dns.flags.TC) == bool(missing[0] or missing[1]), (
        "RFC 2181 section 9: not for additional records alone"
    )
    if missing[0]:
        assert not message.authority
    if missing[0] or missing[1]:
        assert not message.additional


# ---- addresses


def addresses(count: int, owner: bytes = WEB) -> tuple[Record, ...]:
    return tuple(Record(owner, Type.A, 5, at.to_bytes(4, "big")) for at in range(count))


@pytest.mark.parametrize(
    ("asked", "count", "fits", "limit"),
    [
        (question(), 29, 29, 512),
        (question(), 30, 29, 512),
        (question(edns=Edns(512)), 29, 28, 512),
        (question(edns=Edns(100)), 29, 28, 512),
        (question(edns=Edns(1232)), 73, 73, 1232),
        (question(edns=Edns(1232)), 200, 73, 1232),
        (question(edns=Edns(4096)), 200, 73, 1232),
        (question(edns=Edns(65535)), 200, 73, 1232),
        (question(transport="tcp"), 4000, 4000, 65535),
        (question(transport="tls"), 4000, 4000, 65535),
        (question(transport="tcp"), 5000, 4093, 65535),
    ],
)
def test_cut(asked: Query, count: int, fits: int, limit: int) -> None:
    encoded = body_of(asked, Answer(answer=addresses(count)))
    message = read(encoded)
    assert flat(message.answer) == expected(addresses(fits))
    assert bool(message.flags & dns.flags.TC) == (fits < count)
    assert len(encoded) + 2 <= limit


@pytest.mark.parametrize(
    ("limit", "most"), [(0, MAX_UDP), (512, 512), (4096, MAX_BUFSIZE), (65535, MAX_BUFSIZE)]
)
def test_datagrams_are_limited_whatever_the_client_claims(limit: int, most: int) -> None:
    answer = Answer(answer=addresses(5000), payload_limit=limit)
    encoded = body_of(question(edns=Edns(65535)), answer)
    assert most - 16 < len(encoded) + 2 <= most
    message = read(encoded)
    assert message.flags & dns.flags.TC
    assert message.payload == most


def test_additional_records_that_do_not_fit_are_no_truncation() -> None:
    answer = Answer(answer=addresses(20), additional=addresses(30))
    message = read(body_of(question(), answer))
    assert not message.flags & dns.flags.TC
    assert len(message.answer) == 20
    assert len(message.additional) == 9


def test_an_answer_cut_elsewhere_says_so() -> None:
    assert read(body_of(question(), Answer(truncated=True))).flags & dns.flags.TC


def test_names_are_pointers_wherever_they_may_be() -> None:
    """RFC 3597 section 4: in the types of RFC 1035, so not in SRV (RFC 2782)."""
    target = names.wire_from_text("ep.Web.Shop.svc.Cluster.local.")
    answer = Answer(
        answer=(Record(WEB, Type.CNAME, 5, target), Record(target, Type.A, 5, bytes(4))),
        authority=(Record(names.skip(WEB, 3), Type.NS, 5, target),),
    )
    body = body_of(question(), answer)
    assert len(body) == 10 + len(WEB) + 4 + (2 + 10 + 5) + (2 + 10 + 4) + (2 + 10 + 2)
    srv = body_of(
        question(), Answer(answer=(Record(WEB, Type.SRV, 5, rdata.srv(0, 1, 2, target)),))
    )
    assert len(srv) == 10 + len(WEB) + 4 + (2 + 10 + 6 + len(target))


@pytest.mark.parametrize("labels", range(5), ids=lambda labels: f"soa-{labels}-up")
@pytest.mark.parametrize("edns", [None, Edns()], ids=["plain", "edns"])
def test_a_negative_reply(labels: int, edns: Edns | None) -> None:
    """The SOA of a zone at, above or right above the question, in the asker's letter case."""
    zone = names.skip(WEB, labels)
    data = rdata.soa(
        names.to_wire(("ns", "dns"), zone), names.to_wire(("hostmaster",), zone), 7, (1, 2, 3, 4)
    )
    soa = Record(zone, Type.SOA, 5, data)
    answer = Answer(Rcode.NXDOMAIN, authority=(soa,))
    for qname in (WEB, names.to_wire(("x",), WEB), names.to_wire(("y" * 63,), WEB)):
        encoded = body_of(question(qname, edns=edns), answer)
        message = read(encoded)
        assert flat(message.authority) == expected((soa,))
        assert octets(message.question[0].name) == qname
        assert int(message.rcode()) == Rcode.NXDOMAIN
        assert message.edns == (0 if edns else -1)
        assert encoded.count(zone) == 1, "elsewhere it is a pointer"


def test_letter_case_is_never_borrowed() -> None:
    """A pointer to a name in other letter case would change what is echoed (RFC 4343 section 4.1)."""
    lower = WEB.lower()
    answer = Answer(answer=(Record(WEB, Type.CNAME, 5, lower), Record(lower, Type.A, 5, bytes(4))))
    message = read(body_of(question(), answer))
    assert [octets(each.name) for each in message.answer] == [WEB, lower]


def test_names_beyond_what_a_pointer_reaches() -> None:
    """RFC 1035 section 4.1.4: a pointer has 14 bits."""
    many = tuple(
        Record(names.to_wire((f"pod-{at}", "db", "svc")), Type.TXT, 5, rdata.strings("x" * 200))
        for at in range(200)
    )
    asked = question(transport="tcp")
    assert flat(read(body_of(asked, Answer(answer=many * 1))).answer) == expected(many)
    assert len(body_of(asked, Answer(answer=many))) > 0x4000


# ---- rotation


def aaaa(count: int) -> tuple[Record, ...]:
    return tuple(Record(WEB, Type.AAAA, 5, at.to_bytes(16, "big")) for at in range(count))


CNAME = Record(names.wire_from_text("s."), Type.CNAME, 5, WEB)
SRV = Record(WEB, Type.SRV, 5, rdata.srv(0, 50, 80, WEB))


@pytest.mark.parametrize(
    ("query", "answer", "turns"),
    [
        (question(), Answer(answer=addresses(3)), 3),
        (question(), Answer(answer=aaaa(2)), 2),
        (question(), Answer(answer=addresses(20)), 20),
        (question(edns=Edns()), Answer(answer=addresses(4), additional=aaaa(3)), 4),
        (question(CNAME.owner), Answer(answer=(CNAME, *addresses(5))), 5),
        (question(), Answer(answer=addresses(1)), 1),
        (question(), Answer(answer=(SRV, SRV), additional=addresses(3)), 1),
        (question(), Answer(authority=addresses(3)), 1),
        (question(), Answer(), 1),
    ],
    ids=["a", "aaaa", "many", "edns", "cname", "one", "srv", "authority", "none"],
)
def test_each_address_is_the_first_equally_often(query: Query, answer: Answer, turns: int) -> None:
    whole = read(body_of(query, answer))
    firsts = Counter[object]()
    for turn in range(3 * turns):
        message = read(body_of(query, answer, turn=turn))
        assert sorted(flat(message.answer)) == sorted(flat(whole.answer))
        assert flat(message.additional) == flat(whole.additional)
        assert message.flags == whole.flags
        if answer.answer[:1] == (CNAME,):
            assert int(message.answer[0].rdtype) == Type.CNAME
        firsts[str(flat(message.answer)[-1:])] += 1
    assert len(firsts) == turns
    assert set(firsts.values()) == {3}


@pytest.mark.parametrize("count", [15, 20, 40, 100])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_cut_reply_has_each_address_equally_often(count: int, transport: Transport) -> None:
    """Where all of them are encoded, as for the reply cache, also those that one reply has no room for."""
    query = question(transport=transport)
    encoded = encode(query, Answer(answer=addresses(count)), whole=True)
    seen, firsts = Counter[object](), Counter[object]()
    for turn in range(count):
        message = read(reply(query, encoded, turn=turn))
        found = [str(record) for record in flat(message.answer)]
        assert bool(message.flags & dns.flags.TC) == (len(found) < count)
        assert len(found) == len(set(found)) == (count if transport == "tcp" else min(count, 29))
        seen.update(found)
        firsts[found[0]] += 1
    assert len(seen) == len(firsts) == count
    assert len(set(seen.values())) == len(set(firsts.values())) == 1


@given(owners, answers, st.integers(0, 10))
def test_rotations_of_any_answer(qname: bytes, answer: Answer, turn: int) -> None:
    query = question(qname, Type.ANY)
    whole, message = read(body_of(query, answer)), read(body_of(query, answer, turn=turn))
    assert sorted(flat(message.answer)) == sorted(flat(whole.answer))
    assert flat(message.authority) == flat(whole.authority)
    assert flat(message.additional) == flat(whole.additional)


@given(owners, answers, st.integers(512, 5000), st.sampled_from(["udp", "tcp"]), st.booleans())
def test_one_encoding_serves_every_client(
    qname: bytes, answer: Answer, size: int, transport: Transport, edns: bool
) -> None:
    """What was encoded for any client, cut for this one, is what would be encoded for it."""
    query = question(qname, Type.ANY, transport=transport, edns=Edns(size) if edns else None)
    whole = encode(query, answer, whole=True)
    assert reply(query, whole) == body_of(query, answer)


# ---- EDNS


def test_opt_only_for_who_sent_one() -> None:
    assert read(body_of(question(), Answer(errors=(ExtendedError(0, "x"),)))).edns == -1
    message = read(body_of(question(edns=Edns(1400, dnssec_ok=True)), Answer()))
    assert (message.edns, message.payload, message.ednsflags) == (0, MAX_UDP, dns.flags.DO)


def test_extended_errors_and_options() -> None:
    answer = Answer(
        Rcode.NXDOMAIN,
        errors=(ExtendedError(3, "since noon"), ExtendedError(0, "no Service wéb")),
        options=((EdnsOption.NSID, b"kdns"),),
    )
    message = read(body_of(question(edns=Edns()), answer))
    nsid, *errors = message.options
    assert nsid.otype == dns.edns.OptionType.NSID
    found = [(e.code, e.text) for e in errors if isinstance(e, dns.edns.EDEOption)]
    assert found == [(3, "since noon"), (0, "no Service wéb")]


def test_half_a_character_in_an_explanation() -> None:
    answer = Answer(errors=(ExtendedError(0, "no Service \ud800"),))
    (error,) = read(body_of(question(edns=Edns()), answer)).options
    assert isinstance(error, dns.edns.EDEOption)
    assert error.text == "no Service ?"


@pytest.mark.parametrize("count", [20, 27, 28, 29, 40])
@pytest.mark.parametrize("size", [0, 5, 40, 200, 300, 600])
@pytest.mark.parametrize("payload", [512, 1232])
def test_an_explanation_never_pushes_a_record_out(count: int, size: int, payload: int) -> None:
    """RFC 8914 section 3: it is shortened or left out, and takes what room there is."""
    query = question(edns=Edns(payload))
    bare = body_of(query, Answer(answer=addresses(count)))
    encoded = body_of(
        query, Answer(answer=addresses(count), errors=(ExtendedError(0, "x" * size),))
    )
    without, message = read(bare), read(encoded)
    assert flat(message.answer) == flat(without.answer)
    assert message.flags == without.flags
    room = payload - 2 - len(bare)
    texts = [
        option.text or "" for option in message.options if isinstance(option, dns.edns.EDEOption)
    ]
    assert texts == ([] if room < 6 else ["x" * min(size, room - 6)])


def test_an_explanation_is_shortened_between_characters() -> None:
    query = question(edns=Edns(512))
    for count in range(20, 29):
        answer = Answer(answer=addresses(count), errors=(ExtendedError(0, "é" * 150),))
        for option in read(body_of(query, answer)).options:
            assert isinstance(option, dns.edns.EDEOption)
            assert set(option.text or "é") == {"é"}


def test_a_cookie_stays_when_explanations_do_not_fit() -> None:
    answer = Answer(errors=(ExtendedError(0, "x" * 300), ExtendedError(3, "y" * 300)))
    message = read(body_of(question(edns=Edns(512)), answer, cookie=bytes(24)))
    assert [option.otype for option in message.options] == [10, 15, 15]
    first, second = message.options[1:]
    assert isinstance(first, dns.edns.EDEOption)
    assert isinstance(second, dns.edns.EDEOption)
    assert first.text == "x" * 300
    assert (second.text or "").rstrip("y") == ""
    assert 0 < len(second.text or "") < 300


@pytest.mark.parametrize("rcode", [Rcode.BADVERS, Rcode.BADCOOKIE, Rcode.NXDOMAIN])
def test_extended_rcodes(rcode: int) -> None:
    message = read(body_of(question(edns=Edns()), Answer(rcode)))
    assert message.rcode() == rcode
    assert message.edns == 0


@pytest.mark.parametrize("rcode", [Rcode.BADVERS, Rcode.BADCOOKIE])
def test_without_edns_an_extended_rcode_is_a_failure(rcode: int) -> None:
    """Its lower bits alone would say something else: those of BADVERS, NOERROR."""
    assert read(body_of(question(), Answer(rcode))).rcode() == dns.rcode.SERVFAIL


# ---- errors


def test_badvers_reply() -> None:
    asked = dns.message.make_query("Web.svc", "A", use_edns=3, payload=1400)
    data = asked.to_wire()
    reply = dns.message.from_wire(encode_error(query_of(data), data, Rcode.BADVERS))
    assert reply.id == asked.id
    assert int(reply.rcode()) == Rcode.BADVERS
    assert reply.edns == 0, "RFC 6891 section 6.1.3: the highest version that is understood"
    assert reply.question == asked.question


def query_of(data: bytes) -> Query | None:
    parsed = parse(data, "192.0.2.1", 53, "udp")
    return getattr(parsed, "query", None)


@pytest.mark.parametrize("flags", [0x0100, 0x2910, 0x7FFF])
@pytest.mark.parametrize("rcode", [Rcode.FORMERR, Rcode.NOTIMP])
def test_a_request_that_cannot_be_read(flags: int, rcode: int) -> None:
    data = b"\xab\xcd" + flags.to_bytes(2, "big") + bytes(8) + b"x" * 50
    reply = encode_error(None, data, rcode)
    assert len(reply) == 12
    assert reply[:2] == b"\xab\xcd"
    sent = int.from_bytes(reply[2:4], "big")
    assert sent & 0xF == rcode
    assert sent & Flag.QR
    assert sent & 0x7910 == flags & 0x7910, "opcode, RD and CD are the asker's"
    assert not sent & (Flag.AA | Flag.TC | Flag.RA | Flag.AD)
    assert reply[4:] == bytes(8)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_the_opcode_and_the_askers_bits_come_back(transport: Transport) -> None:
    asked = question(flags=Flag.RD | Flag.CD | Flag.AD | 0x0040, transport=transport)
    message = read(body_of(asked, Answer()))
    assert message.flags == Flag.QR | Flag.AA | Flag.RD | Flag.CD
