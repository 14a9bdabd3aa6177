"""What other servers reply, as dnspython writes it and as nobody should."""

from __future__ import annotations

import time

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire import encode as encoding
from kdns.wire import requests
from kdns.wire.constants import Flag, Type
from kdns.wire.encode import encode
from kdns.wire.message import Answer, Edns, ExtendedError, Query
from kdns.wire.names import from_text, wire_from_text
from kdns.wire.responses import Response, Unreadable, decode

RECORDS = (
    "Www.example.org. 300 IN CNAME a.example.org.",
    "a.example.org. 30 IN A 192.0.2.1",
    "a.example.org. 30 IN AAAA 2001:db8::1",
    "a.example.org. 30 IN MX 10 mail.example.org.",
    "_x._tcp.example.org. 5 IN SRV 1 2 3 a.example.org.",
    'example.org. 5 IN NAPTR 1 2 "a" "b" "c" a.example.org.',
    "example.org. 5 IN RP root.example.org. text.example.org.",
    "example.org. 5 IN AFSDB 1 a.example.org.",
    "example.org. 5 IN RT 1 a.example.org.",
    "example.org. 5 IN PX 1 a.example.org. b.example.org.",
    "example.org. 5 IN DNAME example.net.",
    "1.2.0.192.in-addr.arpa. 5 IN PTR a.example.org.",
    'example.org. 5 IN TXT "one" "two"',
    "example.org. 5 IN HTTPS 1 . alpn=h2",
    "example.org. 5 IN NS ns.example.org.",
    "example.org. 60 IN SOA ns.example.org. root.example.org. 1 2 3 4 5",
    r"example.org. 5 IN TYPE731 \# 3 abcdef",
)


def rrset(text: str) -> dns.rrset.RRset:
    name, ttl, rdclass, rdtype, data = text.split(None, 4)
    return dns.rrset.from_text(name, int(ttl), rdclass, rdtype, data)


def message(*records: str, edns: bool = True) -> dns.message.Message:
    query = dns.message.make_query("Www.example.org", "A", use_edns=0 if edns else -1)
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.RA
    reply.answer.extend(map(rrset, records))
    return reply


def read(data: bytes) -> Response:
    response = decode(data)
    assert isinstance(response, Response), response
    return response


@pytest.mark.parametrize("record", RECORDS, ids=[text.split()[3] for text in RECORDS])
def test_records_come_back_uncompressed(record: str) -> None:
    """Encoded by us again, dnspython reads the same records."""
    response = read(message(*RECORDS).to_wire())
    query = Query(response.qname, (), response.qtype, edns=Edns(65535), transport="tcp")
    again = dns.message.from_wire(
        b"\0\0" + encoding.reply(query, encode(query, Answer(answer=response.answer)))
    )
    assert rrset(record) in again.answer
    assert sum(map(len, again.answer)) == len(response.answer)


def test_header_question_and_sections() -> None:
    reply = message("www.example.org. 300 IN A 192.0.2.1")
    reply.authority.append(rrset(RECORDS[-2]))
    reply.additional.append(rrset("ns.example.org. 5 IN A 192.0.2.9"))
    response = read(reply.to_wire())
    assert response.answers(reply.id, b"\3wWw\7example\3org\0", Type.A, 1)
    assert not response.answers(reply.id ^ 1, response.qname, Type.A, 1)
    assert not response.answers(reply.id, b"\3www\7example\3net\0", Type.A, 1)
    assert not response.answers(reply.id, response.qname, Type.AAAA, 1)
    assert [len(s) for s in (response.answer, response.authority, response.additional)] == [1, 1, 1]
    assert (response.flags & Flag.RA, response.truncated) == (Flag.RA, False)


def test_the_opt_record_becomes_rcode_and_errors() -> None:
    reply = message()
    error = dns.edns.EDEOption(dns.edns.EDECode.NO_REACHABLE_AUTHORITY, "nobody there")
    reply.use_edns(0, 0, 1232, options=[error])
    reply.set_rcode(dns.rcode.BADVERS)
    response = read(reply.to_wire())
    assert (response.rcode, response.additional) == (16, ())
    assert response.errors == (ExtendedError(22, "nobody there"),)


def test_a_ttl_with_the_highest_bit_is_none() -> None:
    data = message("www.example.org. 300 IN A 192.0.2.1", edns=False).to_wire()
    data = data.replace((300).to_bytes(4, "big"), b"\x80\0\0\1")
    assert read(data).answer[0].ttl == 0


HEAD = b"\0\0\x80\0\0\0\0\1\0\0\0\0"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(HEAD[:11], id="short header"),
        pytest.param(b"\0\0\0\0" + HEAD[4:], id="a question"),
        pytest.param(HEAD, id="record missing"),
        pytest.param(HEAD + b"\xc0\x0c", id="pointer to itself"),
        pytest.param(HEAD + b"\xc0\xff" + bytes(12), id="pointer forwards"),
        pytest.param(
            HEAD[:7]
            + b"\2"
            + HEAD[8:]
            + b"\0\0\1\0\1\0\0\0\5\0\4\1\2\3\2"
            + b"\xc0\x1a"
            + b"\0\1\0\1\0\0\0\5\0\4abcd",
            id="pointer to what runs into itself",
        ),
        pytest.param(HEAD + b"\xc0", id="half a pointer"),
        pytest.param(HEAD + b"\x40" + bytes(80), id="label of unknown type"),
        pytest.param(HEAD + b"\x3f" + bytes(5), id="label past the end"),
        pytest.param(HEAD + b"\x01a" * 200 + bytes(20), id="name too long"),
        pytest.param(HEAD + b"\0\0\1\0\1\0\0\0\0\0\5abcde", id="A of five octets"),
        pytest.param(HEAD + b"\0\0\1\0\1\0\0\0\0\0\4abc", id="RDATA past the end"),
        pytest.param(HEAD + b"\0\0\2\0\1\0\0\0\0\0\2\1a\0", id="name past its RDATA"),
        pytest.param(HEAD + b"\0\0\6\0\1\0\0\0\0\0\4\0\0ab", id="SOA without numbers"),
        pytest.param(
            HEAD + b"\0\0\x23\0\1\0\0\0\0\0\5\0\0\0\0\xff", id="NAPTR string past the end"
        ),
    ],
)
def test_what_is_no_reply(data: bytes) -> None:
    assert isinstance(decode(data), Unreadable)


SHAPES = (
    # type, RDATA that is well-formed, and some that is not
    (Type.TXT, b"\1a\0", (b"", b"\2a", b"\1a\3b")),
    (Type.SPF, b"\1a", (b"", b"\2a")),
    (Type.HINFO, b"\1a\1b", (b"\1a", b"\1a\1b\0")),
    (Type.CAA, b"\0\5issuex", (b"", b"\0", b"\0\0x", b"\0\5iss", b"\0\3is!x")),
    (
        Type.NSEC,
        b"\1a\0\0\1\x40",
        (b"\1a\0\0", b"\1a\0\0\0", b"\1a\0\0\2\x40\0", b"\1a\0\0\x21" + b"\1" * 33),
    ),
    (Type.NSEC, b"\0\0\1\x40\1\1\x40", (b"\0\1\1\x40\0\1\x40", b"\0\1\1\x40\1\1\x40", b"\x40")),
    (
        Type.NSEC3,
        b"\1\0\0\1\1s\1h\0\1\x40",
        (b"\1\0\0", b"\1\0\0\1\2s", b"\1\0\0\1\1s\3h", b"\1\0\0\1\1s\1h\0"),
    ),
    (Type.NSEC3PARAM, b"\1\0\0\1\1s", (b"\1\0\0\1", b"\1\0\0\1\1s\0")),
    (Type.RRSIG, bytes(18) + b"\1a\0s", (bytes(17), bytes(18) + b"\1a", bytes(18) + b"\xc0\x0cs")),
    (Type.DS, bytes(4) + b"d", (bytes(3),)),
    (Type.DNSKEY, bytes(4) + b"k", (bytes(3),)),
    (Type.TLSA, bytes(3) + b"c", (bytes(2),)),
    (Type.SSHFP, bytes(2) + b"f", (b"\0",)),
    (Type.URI, bytes(4) + b"u", (bytes(4),)),
    (Type.LOC, bytes(16), (bytes(15), b"\1" + bytes(15))),
    (Type.CSYNC, bytes(6) + b"\0\1\x40", (bytes(5), bytes(6) + b"\0")),
    (Type.ZONEMD, bytes(6) + b"d", (bytes(6),)),
    (Type.NAPTR, b"\0\1\0\1\1a\0\0\0", (b"\0\1\0\1\1a\0\0", b"\0\1\0\1\1a\0\0\0\0")),
    (
        Type.HTTPS,
        b"\0\1\0\0\1\0\3\2h2\0\3\0\2\1\xbb",
        (b"\0\1", b"\0\1\0\0\1\0\4\2h2", b"\0\1\0\0\3\0\2\1\xbb\0\1\0\3\2h2"),
    ),
    (
        Type.SVCB,
        b"\0\1\0\0\4\0\4\1\2\3\4",
        (b"\0\1\0\0\4\0\3\1\2\3", b"\0\1\0\0\3\0\1\1", b"\0\1\0\0\1\0\1\0", b"\0\1\0\0\2\0\1\0"),
    ),
    (
        Type.SVCB,
        b"\0\1\0\0\0\0\2\0\1",
        (b"\0\1\0\0\0\0\0", b"\0\1\0\0\6\0\4\1\2\3\4", b"\0\1\0\0\0"),
    ),
    (108, bytes(6), (bytes(5),)),
)


def with_rdata(rtype: int, rdata: bytes, rclass: int = 1) -> bytes:
    record = b"\0" + b"".join(number.to_bytes(2) for number in (rtype, rclass, 0, 5, len(rdata)))
    return HEAD[:4] + b"\0\1" + HEAD[6:] + b"\1q\0\0\1\0\1" + record + rdata


@pytest.mark.parametrize(("rtype", "good", "bad"), SHAPES)
def test_rdata_of_each_type_has_its_shape(rtype: int, good: bytes, bad: tuple[bytes, ...]) -> None:
    """What is malformed is never relayed."""
    assert read(with_rdata(rtype, good)).answer[0].rdata == good
    for rdata in bad:
        assert isinstance(decode(with_rdata(rtype, rdata)), Unreadable), rdata


def test_types_of_the_class_in_are_others_elsewhere() -> None:
    assert read(with_rdata(Type.SRV, b"x", rclass=3)).answer[0].rdata == b"x"
    assert isinstance(decode(with_rdata(Type.SRV, b"x")), Unreadable)
    assert isinstance(decode(with_rdata(Type.TXT, b"x", rclass=3)), Unreadable)


WIRE = message(*RECORDS).to_wire()


@given(st.lists(st.tuples(st.integers(0, len(WIRE) - 1), st.integers(0, 255)), max_size=12))
def test_changed_bytes_never_raise(changes: list[tuple[int, int]]) -> None:
    data = bytearray(WIRE)
    for at, value in changes:
        data[at] = value
    response = decode(bytes(data))
    if isinstance(response, Response):  # and what was read can be sent on
        query = Query(response.qname or b"\0", (), response.qtype, edns=Edns())
        sections = (response.answer, response.authority, response.additional)
        encode(query, Answer(0, *sections))


@given(st.binary(max_size=200))
def test_any_bytes_never_raise(data: bytes) -> None:
    decode(data)
    decode(HEAD + data)


def test_what_is_cut_off_is_unreadable_for_a_reason_in_words() -> None:
    data = message(*RECORDS).to_wire()
    responses = [decode(data[:end]) for end in range(len(data))]
    assert {each.reason for each in responses if isinstance(each, Unreadable)} == {
        "a label has an unknown type",
        "a record runs past the end",
        "it ends too early",
    }
    assert all(isinstance(each, Unreadable) for each in responses)


def test_pointers_upon_pointers_cost_little() -> None:
    """64 KiB of records whose owners are pointers to pointers: each place is read once."""
    chain = b"".join((0xC000 | 12 + 11 + 2 * at).to_bytes(2, "big") for at in range(-1, 8000))
    text = b"\0\0\x10\0\1\0\0\0\0" + len(chain).to_bytes(2, "big") + chain
    ends = (0xC000 | 12 + 11 + 2 * 7000).to_bytes(2, "big")
    record = ends + b"\0\1\0\1\0\0\0\0\0\4abcd"
    data = b"\0\0\x80\0\0\0" + (3001).to_bytes(2, "big") + bytes(4) + text + record * 3000
    started = time.thread_time()
    assert isinstance(decode(data), Unreadable)  # more pointers than a name has labels
    assert time.thread_time() - started < 0.5


def test_names_as_long_as_the_question_cost_little() -> None:
    """Each owner is a label and a pointer to the owner before, 125 of them, as long as the question."""
    qname = b"\1a" * 126 + b"\0"
    question = qname + b"\0\1\0\1"
    first = 12 + len(question)
    records, fixed = [b"\1b\0"], b"\0\1\0\1\0\0\0\0\0\4abcd"
    at = first
    for _ in range(125):
        records.append(b"\1b" + (0xC000 | at).to_bytes(2))
        at += len(records[-2]) + len(fixed)
    records += [records[-1]] * 3400
    body = b"".join(record + fixed for record in records)
    data = b"\0\0\x80\0\0\1" + len(records).to_bytes(2) + bytes(4) + question + body
    started = time.thread_time()
    assert len(read(data).answer) == len(records)
    assert time.thread_time() - started < 0.5


class TestRequests:
    @staticmethod
    def asked(query: Query) -> dns.message.Message:
        return dns.message.from_wire(requests.encode(query, 4711))

    def test_the_name_is_sent_in_lower_case(self) -> None:
        """The reply may be for several clients."""
        query = Query(
            wire_from_text("Www.Example."), from_text("www.example."), Type.TXT, flags=0x0110
        )
        sent = self.asked(query)
        assert sent.question[0].to_text() == "www.example. IN TXT"
        assert (sent.id, dns.flags.to_text(sent.flags)) == (4711, "RD AD CD")
        assert sent.edns == -1

    def test_edns_is_ours_but_for_what_concerns_the_question(self) -> None:
        subnet, cookie = (8, b"\0\1\x18\0\xc0\0\2"), (10, b"12345678")
        query = Query(b"\0", (), Type.NS, edns=Edns(4096, dnssec_ok=True, options=(cookie, subnet)))
        sent = self.asked(query)
        assert (sent.payload, sent.ednsflags & dns.flags.DO) == (1232, dns.flags.DO)
        assert [int(option.otype) for option in sent.options] == [8]


def test_a_reason_is_one_line_of_a_bounded_length() -> None:
    """It goes to terminals and logs, and to askers within a message."""
    for text, expected in (
        (b"\x1b[31mred\n[INFO] forged", "\ufffd[31mred\ufffd[INFO] forged"),
        (b"\xff" * 60000, "\ufffd" * 1024),
    ):
        reply = message()
        option = dns.edns.GenericOption(dns.edns.OptionType.EDE, b"\0\0" + text)
        reply.use_edns(0, 0, 1232, options=[option])
        errors = read(reply.to_wire(max_size=65535)).errors
        assert errors == (ExtendedError(0, expected),)
        query = Query(b"\1a\0", ("a",), Type.A, edns=Edns(), transport="tcp")
        assert encoding.reply(query, encode(query, Answer(errors=errors)))
