# ruff: noqa: E501  (a table row per fault reads best on one line)
"""Master files: the rules of RFC 1035 section 5, and what is refused. RDATA: ``test_record_types``."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire import names
from kdns.wire.constants import Type
from kdns.wire.master import MAX_INCLUDE_DEPTH, MAX_INCLUDES, Include, MasterFileError, parse
from kdns.wire.message import Record
from kdns.wire.record_types import RECORD_TYPES

ORIGIN = b"\7example\0"


def records(text: str, include: Include | None = None) -> list[Record]:
    return [placed.record for placed in parse(text, "zones/db.example", ORIGIN, include)]


def shown(text: str) -> list[tuple[str, int, str]]:
    return [(names.wire_to_text(r.owner), r.ttl, Type(r.rtype).name) for r in records(text)]


def refused(text: str, include: Include | None = None) -> str:
    with pytest.raises(MasterFileError) as caught:
        records(text, include)
    return str(caught.value)


ENTRIES = {
    "ttl then class": ("a 60 IN A 192.0.2.1", ("a.example.", 60, "A")),
    "class then ttl": ("a IN 60 A 192.0.2.1", ("a.example.", 60, "A")),
    "lower case": ("a in 1m a 192.0.2.1", ("a.example.", 60, "A")),
    "generic class and type": ("a 60 CLASS1 TYPE1 192.0.2.1", ("a.example.", 60, "A")),
    "units": ("a 1w1d1h1m1s A 192.0.2.1", ("a.example.", 694861, "A")),
    "$TTL": ("$TTL 1h30m\na A 192.0.2.1", ("a.example.", 5400, "A")),
    "soa starts with its minimum": ("@ SOA . . 1 2 3 4 77", ("example.", 77, "SOA")),
    "blank first owner is the origin": (" 60 NS ns", ("example.", 60, "NS")),
    "$ORIGIN, relative": ("$ORIGIN sub\na 60 A 192.0.2.1", ("a.sub.example.", 60, "A")),
    "$ORIGIN, absolute": ("$origin other.\n@ 60 A 192.0.2.1", ("other.", 60, "A")),
    "escaped owner": (r"a\.b\064\$ 60 A 192.0.2.1", (r"a\.b\@\$.example.", 60, "A")),
    "escaped at and dollar": (r"\@ 60 A 192.0.2.1", (r"\@.example.", 60, "A")),
    "owner that reads like a class": ("IN 60 IN A 192.0.2.1", ("IN.example.", 60, "A")),
    "owner over two lines": ("a ( ; the rest\n 60\n IN ) A 192.0.2.1", ("a.example.", 60, "A")),
    "windows line ends": ("a 60 A 192.0.2.1\r\n", ("a.example.", 60, "A")),
    "letter case is kept": ("WwW 60 A 192.0.2.1", ("WwW.example.", 60, "A")),
}


@pytest.mark.parametrize(("text", "expected"), ENTRIES.values(), ids=ENTRIES.keys())
def test_one_entry(text: str, expected: tuple[str, int, str]) -> None:
    assert shown(text) == [expected]


def test_blank_owner_and_ttl_carry_over() -> None:
    text = """; a zone
a 60 A 192.0.2.1
  AAAA 2001:db8::1   ; same owner, last TTL
$TTL 120
  TXT x
b 30 A 192.0.2.2
  TXT y
"""
    assert shown(text) == [
        ("a.example.", 60, "A"),
        ("a.example.", 60, "AAAA"),
        ("a.example.", 120, "TXT"),
        ("b.example.", 30, "A"),
        ("b.example.", 120, "TXT"),
    ]


def test_octets_of_a_file_that_is_not_utf8_come_through() -> None:
    text = b'a 60 TXT "gr\xfc\xdfe"'.decode("utf-8", "surrogateescape")
    assert records(text)[0].rdata == b"\x05gr\xfc\xdfe"


def test_include_takes_an_origin_and_gives_back_the_old_one() -> None:
    files = {"inner": "a 60 A 192.0.2.1\n$ORIGIN deep\n$TTL 5\nb A 192.0.2.2\n"}
    text = "x 60 A 192.0.2.9\n$INCLUDE inner sub\n  TXT again\n$INCLUDE inner\n"
    found = [
        (names.wire_to_text(p.record.owner), p.record.ttl, p.file, p.line)
        for p in parse(text, "top", ORIGIN, lambda path, _: (path, files[path]))
    ]
    assert found == [
        ("x.example.", 60, "top", 1),
        ("a.sub.example.", 60, "inner", 1),
        ("b.deep.sub.example.", 5, "inner", 4),
        ("x.example.", 60, "top", 3),
        ("a.example.", 60, "inner", 1),
        ("b.deep.example.", 5, "inner", 4),
    ]


BAD = {
    "ttl": ("\n\na 1x A 192.0.2.1", "3: TTL: seconds from 0 to 2147483647 or as in 1h30m expected, not '1x'"),
    "ttl too large": ("a 2147483648 A 192.0.2.1", "1: TTL: seconds from 0 to 2147483647 or as in 1h30m expected, not '2147483648'"),
    "no ttl": ("a A 192.0.2.1", "1: a TTL expected before A: none was given, nor $TTL"),
    "no type": ("a 60 IN", "1: a record type expected, but the record ends"),
    "unknown type": ("a 60 IN NAME x", "1: a record type expected, not 'NAME'"),
    "meta type": ("a 60 ANY x", "1: ANY is not a type that a zone can hold"),
    "class": ("a 60 CH TXT x", "1: class IN expected, not CH"),
    "address": ("a 60 A 192.0.2.256", "1: A: Octet 256 (> 255) not permitted in '192.0.2.256'"),
    "address missing": ("a 60 A", "1: A: an IPv4 address expected, but the record ends"),
    "scoped address": ("a 60 AAAA fe80::1%eth0", "1: AAAA: an IPv6 address without a zone expected, not 'fe80::1%eth0'"),
    "too much": ("a 60 A 192.0.2.1 192.0.2.2", "1: A: end of the record expected, not '192.0.2.2'"),
    "number": ("a 60 MX 70000 mail", "1: MX: a number from 0 to 65535 expected, not '70000'"),
    "in the second line": ("@ 60 SOA a b (\n 1 2\n x 4 5 )", "3: SOA: seconds from 0 to 4294967295 or as in 1h30m expected, not 'x'"),
    "name": ("a..b 60 A 192.0.2.1", "1: a domain name expected: 'a..b' has an empty label"),
    "name with umlaut": ("bücher 60 A 192.0.2.1", "1: a domain name expected: a name in ASCII expected (xn--… or \\DDD), not 'bücher'"),
    "name in rdata": (f"a 60 NS {'x' * 64}", f"1: NS: {'x' * 64!r} has a label of 64 octets; 63 is the most"),
    "quoted owner": ('"a" 60 A 192.0.2.1', "1: a domain name without quotes expected, not 'a'"),
    "quote": ('a 60 TXT "open\nb', "1: closing '\"' expected before the end of the line"),
    "open parenthesis": ("\na 60 TXT ( x\n\n", "2: ')' expected before the end of the file: '(' is still open"),
    "closed parenthesis": ("a 60 TXT x )", "1: ')' without '(' before it"),
    "backslash at the end": ("a 60 TXT x\\\n", "1: a character expected after '\\' at the end of the line"),
    "escape": ('a 60 TXT "\\300"', "1: TXT: \\000 to \\255 expected, not \\300"),
    "long string": (f"a 60 TXT {'x' * 256}", "1: TXT: a string of at most 255 octets expected, not 256"),
    "generic length": ("a 60 TYPE9999 \\# 3 0a0b", "1: TYPE9999: 3 octets in hex expected, not 2"),
    "generic hex": ("a 60 TYPE9999 \\# 1 0x", "1: TYPE9999: an even number of hex digits expected, not '0x'"),
    "generic form of a known type": ("a 60 A \\# 3 0a0b0c", "1: A: the octets are no A RDATA"),
    "type without a text form": ("a 60 TYPE9999 x", "1: TYPE9999: RDATA of this type must be written as \\# LENGTH HEX (RFC 3597)"),
    "base64": ("a 60 DNSKEY 256 3 5 ***", "1: DNSKEY: base64 text expected, not '***'"),
    "generate": ("$GENERATE 1-9 a$ A 192.0.2.$", "1: $GENERATE is not supported; $ORIGIN, $TTL or $INCLUDE expected"),
    "origin without name": ("$ORIGIN", "1: one domain name expected after $ORIGIN"),
    "include without reader": ("$INCLUDE x", "1: $INCLUDE cannot be used here"),
    "svcb key": ("a 60 SVCB 1 . alpen=h2", "1: SVCB: Unknown SVCB ParamKey"),
    "loc": ("a 60 LOC 91 N 0 E 0m", "1: LOC: degrees not in range [0, 90]"),
    "time": ("a 60 RRSIG A 5 3 1 20301322173103 20300220173103 1 . AA==", "1: RRSIG: a time as YYYYMMDDHHmmSS expected, not '20301322173103'"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD.keys())
def test_a_fault_is_named_with_its_line(text: str, message: str) -> None:
    assert refused(text) == f"zones/db.example:{message}"


def test_a_file_that_includes_itself_is_refused() -> None:
    assert refused("$INCLUDE a", lambda path, _: (path, "$INCLUDE a")).endswith(
        "a:1: $INCLUDE a: the file includes itself"
    )


def test_includes_do_not_nest_without_end() -> None:
    def endless(path: str, _: str) -> tuple[str, str]:
        return path, f"$INCLUDE {path}x"

    nesting = "a" + "x" * (MAX_INCLUDE_DEPTH - 1)
    assert refused("$INCLUDE a", endless) == f"{nesting}:1: $INCLUDE nests too deep, or too often"


def test_includes_do_not_multiply() -> None:
    opened: list[str] = []

    def doubling(path: str, _: str) -> tuple[str, str]:
        opened.append(path)
        depth = len(path)
        return path, f"$INCLUDE {path}x\n$INCLUDE {path}y\n" if depth < MAX_INCLUDE_DEPTH else ""

    assert "too often" in refused("$INCLUDE a\n" * 10, doubling)
    assert len(opened) == MAX_INCLUDES


def test_a_missing_include_is_named() -> None:
    def missing(path: str, _: str) -> tuple[str, str]:
        raise FileNotFoundError(2, "No such file or directory")

    assert refused("\n$INCLUDE gone", missing) == (
        "zones/db.example:2: $INCLUDE gone: No such file or directory"
    )


WORDS = (
    '@ a ( ) ; " \\ \\# \\0 $TTL $ORIGIN $INCLUDE 60 1h IN CH . 1 h2 = alpn= ::1 N E aa é - 192.0.2.1 '
    "TYPE99 20300101000000"
)
FRAGMENTS = st.sampled_from(
    [*WORDS.split(), " ", "\n", "\t", "\udcff", *(Type(rtype).name for rtype in RECORD_TYPES)]
)


@given(st.lists(FRAGMENTS, max_size=40).map(" ".join) | st.text(max_size=200))
def test_any_text_gives_records_or_a_master_file_error(text: str) -> None:
    try:
        found = records(text, lambda path, _: (path, "x 1 A 192.0.2.1"))
    except MasterFileError:
        return
    for record in found:
        assert names.to_wire(names.from_wire(record.owner)) == record.owner.lower()
        assert len(record.rdata) < 65536
