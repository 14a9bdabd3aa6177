"""Requests: what dnspython builds is read as it was meant; any octets at all give a verdict."""

from __future__ import annotations

from time import thread_time

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdatatype
import dns.tsigkeyring
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdns.wire import layouts, names, question
from kdns.wire.codec import Undecodable, decode
from kdns.wire.constants import Class, Flag, Rcode, Type
from kdns.wire.message import Edns, Query
from kdns.wire.question import Parsed, Rejected

WEB = b"\3Web\4Shop\3svc\0"
A_IN = b"\0\1\0\1"
OPT = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


def header(
    questions: int = 1, rest: tuple[int, int, int] = (0, 0, 0), flags: int = 0x0100
) -> bytes:
    return layouts.HEADER.pack(0x1234, flags, questions, *rest)


def parse(data: bytes) -> Parsed:
    return question.parse(data, "192.0.2.1", 5353, "udp")


def query(data: bytes) -> Query:
    parsed = parse(data)
    assert isinstance(parsed, Query), parsed
    return parsed


labels = st.lists(st.binary(min_size=1, max_size=20), min_size=0, max_size=6)
options = st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=30)), max_size=4).filter(
    lambda found: all(code != 10 for code, _ in found)  # a COOKIE has a length of its own
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[dns.message.Message, Edns | None]:
    name = dns.name.Name([*draw(labels), b""])
    number = draw(st.one_of(st.sampled_from([Type.A, Type.SRV, Type.ANY]), st.integers(1, 65535)))
    rtype = dns.rdatatype.RdataType.make(number)
    # dnspython wants the class of a question to be one that records can have
    message = dns.message.make_query(name, rtype, draw(st.sampled_from(["IN", "CH", "HS"])))
    message.flags = draw(st.sampled_from([0, Flag.RD, Flag.RD | Flag.CD, Flag.AD]))
    edns = None
    if draw(st.booleans()):
        edns = Edns(draw(st.integers(0, 65535)), 0, draw(st.booleans()), tuple(draw(options)))
        given_options: list[dns.edns.Option] = [
            dns.edns.GenericOption(dns.edns.OptionType.make(code), value)
            for code, value in edns.options
        ]
        message.use_edns(0, dns.flags.DO * edns.dnssec_ok, edns.payload_size, options=given_options)
    return message, edns


@given(requests())
def test_what_dnspython_asks_is_read(asked: tuple[dns.message.Message, Edns | None]) -> None:
    message, edns = asked
    found = query(message.to_wire())
    (rrset,) = message.question
    sent = rrset.name.to_wire()
    assert sent is not None
    assert (found.qname, found.spelling or sent) == (sent.lower(), sent)
    assert bool(found.spelling) == (sent != sent.lower())
    assert found.name == names.from_wire(found.qname)
    assert (found.qtype, found.qclass) == (rrset.rdtype, rrset.rdclass)
    assert found.message_id == message.id
    assert found.flags == message.flags
    assert found.edns == edns
    assert (found.client, found.client_port, found.transport) == ("192.0.2.1", 5353, "udp")


@given(requests())
def test_both_readers_agree(asked: tuple[dns.message.Message, Edns | None]) -> None:
    data = asked[0].to_wire()
    fast, decoded = query(data), decode(data)
    assert not isinstance(decoded, Undecodable)
    spelling = fast.spelling or fast.qname
    assert (decoded.qname, decoded.qtype, decoded.qclass) == (spelling, fast.qtype, fast.qclass)
    assert decoded.opt_records == (fast.edns is not None)
    if fast.edns:
        assert decoded.payload_size == fast.edns.payload_size
        assert decoded.dnssec_ok == fast.edns.dnssec_ok
        assert question.edns_options(decoded.options) == fast.edns.options


@given(st.binary(max_size=120))
def test_any_octets_give_a_verdict(data: bytes) -> None:
    assert isinstance(parse(data), Query | Rejected | None)


@given(
    st.sampled_from([0, 1, 2]),
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 3)),
    st.lists(
        st.sampled_from([WEB, b"\0", b"\xc0\x0c", b"\xc0\x10", b"\xc0\x20", A_IN, OPT, b"\x41x\0"]),
        max_size=8,
    ).map(b"".join),
)
def test_any_pieces_give_a_verdict(count: int, rest: tuple[int, int, int], body: bytes) -> None:
    parsed = parse(header(count, rest) + body)
    assert isinstance(parsed, Query | Rejected)
    if isinstance(parsed, Query):
        assert names.from_wire(parsed.qname) == parsed.name


@given(requests(), st.data())
def test_any_damage_gives_a_verdict(
    asked: tuple[dns.message.Message, Edns | None], data: st.DataObject
) -> None:
    wire = bytearray(asked[0].to_wire())
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    assert isinstance(parse(bytes(wire)), Query | Rejected | None)


@pytest.mark.parametrize("size", range(12))
def test_less_than_a_header_is_met_with_silence(size: int) -> None:
    assert parse(header()[:size]) is None


def test_a_response_is_met_with_silence() -> None:
    assert parse(header(flags=Flag.QR) + WEB + A_IN) is None


REJECTED = {
    "no question": (header(0), Rcode.FORMERR),
    "two questions": (header(2) + (WEB + A_IN) * 2, Rcode.FORMERR),
    "nothing after the header": (header(), Rcode.FORMERR),
    "name cut off": (header() + WEB[:6], Rcode.FORMERR),
    "type cut off": (header() + WEB + A_IN[:3], Rcode.FORMERR),
    "trailing garbage": (header() + WEB + A_IN + b"x", Rcode.FORMERR),
    "trailing garbage after OPT": (header(rest=(0, 0, 1)) + WEB + A_IN + OPT + b"x", Rcode.FORMERR),
    "OPT missing": (header(rest=(0, 0, 1)) + WEB + A_IN, Rcode.FORMERR),
    "OPT cut off": (header(rest=(0, 0, 1)) + WEB + A_IN + OPT[:-1], Rcode.FORMERR),
    "OPT not counted": (header() + WEB + A_IN + OPT, Rcode.FORMERR),
    "two OPTs": (header(rest=(0, 0, 2)) + WEB + A_IN + OPT * 2, Rcode.FORMERR),
    "OPT not at the root": (header(rest=(0, 0, 1)) + WEB + A_IN + WEB + OPT[1:], Rcode.FORMERR),
    "an option cut off": (
        header(rest=(0, 0, 1)) + WEB + A_IN + OPT[:-2] + b"\0\5\0\3\0\2x",
        Rcode.FORMERR,
    ),
    "half an option": (
        header(rest=(0, 0, 1)) + WEB + A_IN + OPT[:-2] + b"\0\2\0\3",
        Rcode.FORMERR,
    ),
    "a label of 64": (header() + b"\x40" + b"a" * 64 + b"\0" + A_IN, Rcode.FORMERR),
    "reserved label type": (header() + b"\x80a\0" + A_IN, Rcode.FORMERR),
    "a name of 256": (header() + (b"\x3f" + b"a" * 63) * 4 + b"\0" + A_IN, Rcode.FORMERR),
    "pointer to itself": (header() + b"\xc0\x0c" + A_IN, Rcode.FORMERR),
    "pointer forward": (header() + b"\xc0\x20" + A_IN + WEB * 3, Rcode.FORMERR),
    "pointer into the header": (b"\x01a\0\0" + header()[4:] + b"\xc0\0" + A_IN, Rcode.FORMERR),
    "EDNS version 1": (
        header(rest=(0, 0, 1)) + WEB + A_IN + OPT[:6] + b"\1" + OPT[7:],
        Rcode.BADVERS,
    ),
    "IQUERY": (header(flags=1 << 11) + WEB + A_IN, Rcode.NOTIMP),
    "STATUS": (header(flags=2 << 11) + WEB + A_IN, Rcode.NOTIMP),
    "UPDATE with anything": (header(3, (9, 9, 9), flags=5 << 11) + b"x", Rcode.NOTIMP),
    "opcode 15": (header(flags=15 << 11) + WEB + A_IN, Rcode.NOTIMP),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejected(name: str) -> None:
    data, rcode = REJECTED[name]
    parsed = parse(data)
    assert isinstance(parsed, Rejected)
    assert parsed.rcode == rcode


def cookie(size: int) -> bytes:
    option = b"\0\x0a" + size.to_bytes(2, "big") + bytes(size)
    return header(rest=(0, 0, 1)) + WEB + A_IN + OPT[:-2] + len(option).to_bytes(2, "big") + option


@pytest.mark.parametrize("size", [0, 1, 7, 9, 15, 41])
def test_a_cookie_of_a_wrong_length_is_a_format_error(size: int) -> None:
    parsed = parse(cookie(size))
    assert isinstance(parsed, Rejected)
    assert parsed.rcode == Rcode.FORMERR
    assert parsed.query is not None, "the reply shows the question and an OPT"


@pytest.mark.parametrize("size", [8, 16, 24, 40])
def test_a_cookie_of_a_right_length(size: int) -> None:
    edns = query(cookie(size)).edns
    assert edns is not None
    assert edns.options == ((10, bytes(size)),)


def test_badvers_knows_its_question() -> None:
    parsed = parse(REJECTED["EDNS version 1"][0])
    assert isinstance(parsed, Rejected)
    assert parsed.query is not None
    assert parsed.query.name == ("web", "shop", "svc")


def test_letter_case_is_kept_apart_from_the_name() -> None:
    found = query(header() + WEB + A_IN)
    assert found.spelling == WEB
    assert found.qname == WEB.lower()
    assert found.name == ("web", "shop", "svc")


ODD = {
    "root": b"\0",
    "a zero octet in a label": b"\3a\0b\3svc\0",
    "a label that is a zero octet": b"\1\0\0",
    "octets over 127": b"\4\xff\xfe\x80\xc8\0",
    "dots and backslashes": b"\3.\\.\0",
    "127 labels": b"\1a" * 127 + b"\0",
    "the longest labels": (b"\x3f" + b"Z" * 63) * 3 + b"\x3d" + b"z" * 61 + b"\0",
}


@pytest.mark.parametrize(
    "extra", [b"", OPT, b"\0\0\x01\0\1\0\0\0\0\0\0" + OPT], ids=["plain", "edns", "more"]
)
@pytest.mark.parametrize("name", ODD)
def test_odd_names(name: str, extra: bytes) -> None:
    """Whatever else is in the message, and whichever reader it thus goes to."""
    wire = ODD[name]
    found = query(header(rest=(0, 0, -(-len(extra) // 11))) + wire + A_IN + extra)
    assert found.qname == wire.lower()
    assert found.spelling == (wire if wire != wire.lower() else b"")
    assert found.name == names.from_wire(wire)


def test_ixfr_brings_its_soa() -> None:
    message = dns.message.make_query("Example.org", "IXFR")
    message.use_edns(0, 0, 1400)
    soa = "Example.org. 0 IN SOA ns.example.org. hostmaster.example.org. 7 1 1 1 1"
    message.authority = dns.message.from_text(f"id 1\nopcode QUERY\n;AUTHORITY\n{soa}").authority
    found = query(message.to_wire())
    assert found.qtype == Type.IXFR
    assert found.qname == b"\7example\3org\0"
    assert found.spelling == b"\7Example\3org\0"
    assert found.edns == Edns(1400)


def test_tsig_does_not_hinder() -> None:
    keyring = dns.tsigkeyring.from_text({"key.": "c2VjcmV0"})
    message = dns.message.make_query("example.org", "A", use_edns=0)
    message.use_tsig(keyring)
    found = query(message.to_wire())
    assert found.name == ("example", "org")
    assert found.edns is not None


def test_records_before_and_after_the_opt_do_not_hinder() -> None:
    other = b"\xc0\x0c\0\x10\0\1\0\0\0\0\0\2\1x"
    found = query(header(rest=(1, 1, 3)) + WEB + A_IN + other * 3 + OPT + other)
    assert found.edns == Edns(1232)


def test_a_chain_of_pointers_costs_no_time() -> None:
    """RFC 9267 section 2: 64 KiB of pointers, and records that start at their end."""
    chain = b"".join(
        (0xC000 | 12 + len(WEB) + 4 + 11 + at).to_bytes(2, "big") for at in range(0, 800, 2)
    )
    start = len(header()) + len(WEB) + len(A_IN)
    first = b"\0\0\x10\0\1\0\0\0\0" + (len(chain) + 2).to_bytes(2, "big") + b"\xc0\x0c" + chain
    last = (0xC000 | start + len(first) - 2).to_bytes(2, "big")
    record = last + b"\0\x10\0\1\0\0\0\0\0\0"
    count = (65535 - start - len(first)) // len(record)
    data = header(rest=(count + 1, 0, 0)) + WEB + A_IN + first + record * count
    started = thread_time()
    parse(data)
    assert thread_time() - started < 0.5


@settings(max_examples=20)
@given(st.sampled_from(list(Class)), st.integers(0, 65535))
def test_any_class_and_type_is_read(qclass: Class, qtype: int) -> None:
    found = query(header() + WEB + qtype.to_bytes(2, "big") + qclass.to_bytes(2, "big"))
    assert (found.qtype, found.qclass) == (qtype, qclass)


def test_notify() -> None:
    """RFC 1996 section 3.7: a question for the SOA, maybe with the new one in the answer section."""
    bare = header(flags=4 << 11) + WEB + A_IN
    record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4\1\2\3\4"
    for data in (bare, header(rest=(1, 0, 0), flags=4 << 11) + WEB + A_IN + record):
        parsed = parse(data)
        assert isinstance(parsed, Query)
        assert parsed.opcode == 4


def test_serial_of_ixfr() -> None:
    """RFC 1995 section 3: the asker's version is the SOA in the authority section."""
    soa = b"\0\0" + (7).to_bytes(4, "big") + b"\0\0\0\1" * 4
    record = b"\xc0\x0c\0\6\0\1\0\0\0\0" + len(soa).to_bytes(2, "big") + soa
    question = WEB + b"\0\xfb\0\1"
    for sections, serial in (((0, 1, 0), 7), ((1, 0, 0), None), ((0, 0, 1), None)):
        parsed = parse(header(rest=sections) + question + record)
        assert isinstance(parsed, Query)
        assert parsed.serial == serial
