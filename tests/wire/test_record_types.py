"""The table of record types: BIND, and dnspython for the types that are not its own, read the same octets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import dns.rdata
import dns.rdatatype
import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.wire.constants import Class, Type, type_name
from kdns.wire.master import MasterFileError, parse
from kdns.wire.message import Record
from kdns.wire.names import wire_from_text
from kdns.wire.record_types import RECORD_TYPES, check, target_of, to_text, with_target
from tests.wire import bind
from tests.wire.test_master import FRAGMENTS, records

OBSOLETE: Final = frozenset({"MD", "MF", "MB", "MG", "MR", "MINFO", "SIG"})
"""Types that dnspython does not know, and BIND the first two of them no more."""

BEYOND_BIND: Final = frozenset(
    {("NSEC", "host"), ("HTTPS", "1 . dohpath=/q{?dns} ohttp key65333=ex")}
)
"""No types but the NSEC's own; a key that is newer than BIND 9.18."""

RDATA: Final = [
    ("A", "192.0.2.1"),
    ("NS", "ns1"),
    ("NS", "Ns1.Other.TEST."),
    ("CNAME", "@"),
    ("CNAME", r"a\.b.c\046d.x\032y"),
    ("CNAME", "."),
    ("SOA", "ns hostmaster 2024010101 1h 15m 4w 300"),
    ("SOA", r"ns host\.master ( 1 7200 1800\n 86400 30 )".replace(r"\n", "\n")),
    ("PTR", "www.example."),
    ("HINFO", 'PC "Linux 6"'),
    ("MX", "10 mail"),
    ("TXT", '"one" two "three ; not a comment" "quote \\" and \\\\ and \\009"'),
    ("TXT", '""'),
    ("TXT", '"grüße"'),
    ("TXT", '"a""b"'),
    ("RP", "mbox txt.example."),
    ("AFSDB", "1 afs"),
    ("AAAA", "2001:db8::1"),
    ("AAAA", "::ffff:192.0.2.1"),
    ("LOC", "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m"),
    ("LOC", "60 9 0.001 N 24 39 0.000 E 10m 20m 2000m 20m"),
    ("LOC", "0 0 0.059 N 0 0 59.999 W 0.25m 0.07m 1.1m 90000000m"),
    ("LOC", "37 N 115 48 W 1381.5m"),
    ("LOC", "1 2 3 S 4 5 6.12 W 7"),
    ("SRV", "0 5 5060 sip"),
    ("NAPTR", '100 10 "U" "E2U+sip" "!^.*$!sip:info@example.com!" .'),
    ("NAPTR", '100 10 "" "" "/urn:cid:.+@([^\\\\.]+\\\\.)(.*)$/\\\\2/i" next'),
    ("KX", "10 kx"),
    ("DNAME", "other.test."),
    ("DS", "60485 5 1 ( 2BB183AF5F22588179A53B0A\n 98631FAD1A292118 )"),
    ("SSHFP", "4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789"),
    ("RRSIG", "A 5 3 86400 20300322173103 20300220173103 2642 example. oJB1W6WNGv+ldvQ3WDG0 MQk="),
    ("RRSIG", "TYPE731 RSASHA256 3 86400 1900000000 1800000000 2642 @ AAAA"),
    ("NSEC", "host A MX RRSIG NSEC TYPE1234 CAA"),
    ("NSEC", "host"),
    ("DNSKEY", "256 3 5 ( AQPSKmynfzW4kyBv015MUG2DeIQ3 Cbl+BBZH4b/0PY1kxkmvHjcZc8no )"),
    ("DHCID", "AAIBY2/AuCccgoJbsaxcQc9TUapptP69 lOjxfNuVAA2kjEA="),
    ("NSEC3", "1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY NS SOA"),
    ("NSEC3PARAM", "1 0 12 -"),
    ("TLSA", "3 1 1 d2abde240d7cd3ee6b4b28c54df034b9 7983a1d16e8a410e4561cb106618e971"),
    ("SMIMEA", "3 1 1 d2abde240d7cd3ee6b4b28c54df034b9 7983a1d16e8a410e4561cb106618e971"),
    ("CDS", "60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118"),
    ("CDNSKEY", "256 3 8 AQPSKmynfzW4kyBv015MUG2DeIQ3"),
    ("OPENPGPKEY", "mQENBFVHm5sBCAA="),
    ("CSYNC", "66 3 A NS AAAA"),
    ("ZONEMD", "2018031500 1 1 " + "ab" * 48),
    ("SVCB", "0 svc.other.test."),
    ("SVCB", "16 svc port=53 ipv4hint=192.0.2.1,192.0.2.2 alpn=h2,h3-19 mandatory=ipv4hint,alpn"),
    ("SVCB", '1 svc alpn="f\\\\\\\\oo\\\\,bar,h2" key667="hello\\210qoo"'),
    ("HTTPS", '1 . alpn="h2,h3" no-default-alpn port=8443 ipv6hint=2001:db8::1'),
    ("HTTPS", "1 . dohpath=/q{?dns} ohttp key65333=ex"),
    ("SPF", '"v=spf1 -all"'),
    ("URI", '10 1 "ftp://ftp1.example.com/public%20data"'),
    ("CAA", '0 issue "ca.example.net; account=230123"'),
    ("CAA", "128 tbs Unknown"),
    ("TYPE65280", r"\# 4 0a000001"),
    ("TYPE65280", r"\# 0"),
    ("A", r"\# 4 0a 00 00 01"),
    ("MX", r"\# 7 000a 036d7800 ".replace("036d7800", "036d 787800")),
    ("TYPE1", "192.0.2.7"),
    ("MB", "host"),
    ("MG", "host"),
    ("MR", "host"),
    ("MINFO", "requests errors"),
    ("RT", "10 host"),
    ("PX", "10 map822 mapx400.test."),
    ("NAPTR", r'1 2 "\"" "" "" x\.y'),
    ("CAA", r'0 issue "quote \" and \001"'),
    ("CDS", "0 0 0 00"),
    ("NSEC3", "1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr"),
    ("CERT", "PKIX 1 8 AAAA"),
    ("EUI48", "00-00-5e-00-53-2a"),
    ("HIP", "( 2 200100107B1A74DF365639CC39F1D578\n AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cI rvs )"),
    ("APL", "1:192.168.32.0/21 !1:192.168.38.0/28"),
    ("L32", "10 10.1.2.0"),
    ("NID", "10 0014:4fff:ff20:ee64"),
    ("L64", "10 2001:0db8:1140:1000"),
    ("LP", "10 l64-subnet1"),
    ("EUI64", "00-00-5e-ef-10-00-00-2a"),
    ("X25", '"311061700956"'),
    ("SIG", "A 5 3 86400 20300322173103 20300220173103 2642 example. oJB1W6WNGv+ldvQ3WDG0 MQk="),
    ("AVC", '"app-name:WOLFGANG|app-class:OAM" "business=yes"'),
    ("RESINFO", "qnamemin exterr=15,16,17 infourl=https://resolver.example.test/guide"),
    ("WALLET", "ETH 0x0"),
]


COMPARED: Final = [row for row in RDATA if row not in BEYOND_BIND and row[0] != "SOA"]
"""With BIND, which takes an SOA for the zone's own only."""


def read(rtype: str, text: str) -> Record:
    (record,) = records(f"@ 60 IN {rtype} {text}\n")
    return record


def test_octets_are_those_that_bind_reads(tmp_path: Path) -> None:
    theirs = bind.rdata(COMPARED, tmp_path)
    for row, other in zip(COMPARED, theirs, strict=True):
        assert read(*row).rdata == other, row


def test_bind_reads_what_is_printed(tmp_path: Path) -> None:
    found = [read(rtype, text) for rtype, text in COMPARED]
    printed = [(type_name(record.rtype), to_text(record.rtype, record.rdata)) for record in found]
    theirs = bind.rdata(printed, tmp_path)
    for row, record, other in zip(printed, found, theirs, strict=True):
        assert other == record.rdata, row
        assert row[1].startswith("\\#") == (record.rtype == 65280), (
            "spelt out where there is a form"
        )


@pytest.mark.parametrize(("rtype", "text"), RDATA, ids=[f"{t} {x[:30]}" for t, x in RDATA])
def test_dnspython_reads_the_same(rtype: str, text: str) -> None:
    if rtype in OBSOLETE:
        return
    line = f"@ 60 IN {rtype} {text}\n"
    zone = dns.zone.from_text(line, origin="example.", relativize=False, check_origin=False)
    (oracle,) = [rdata for _, _, rdata in zone.iterate_rdatas()]
    assert (read(rtype, text).rdata, read(rtype, text).rtype) == (oracle.to_wire(), oracle.rdtype)


def test_every_type_is_compared() -> None:
    assert set(RECORD_TYPES) - {Type.MD, Type.MF} <= {
        Type[rtype] for rtype, _ in RDATA if rtype in Type.__members__
    }


@pytest.mark.parametrize(("rtype", "text"), RDATA, ids=[f"{t} {x[:30]}" for t, x in RDATA])
def test_octets_of_a_type_are_told_from_others(rtype: str, text: str) -> None:
    record = read(rtype, text)
    check(record.rtype, record.rdata)
    fixed = (
        all(field.size for field in RECORD_TYPES[record.rtype].fields)
        if record.rtype in RECORD_TYPES
        else False
    )
    if fixed:
        for wrong in (record.rdata[:-1], record.rdata + b"\0", b""):
            with pytest.raises(ValueError, match=f"no {type_name(record.rtype)} RDATA"):
                check(record.rtype, wrong)


@pytest.mark.parametrize(
    ("rtype", "octets"),
    [
        (Type.A, b"\x0a\0\0"),
        (Type.TXT, b""),
        (Type.TXT, b"\5ab"),
        (Type.HINFO, b"\1a"),
        (Type.CAA, b"\0"),
        (Type.CAA, b"\0\5issue"[:-2]),
        (Type.NS, b"\3ab"),
        (Type.NS, b"\xc0\x0c"),
        (Type.NS, b"\0\0"),
        (Type.MX, b"\0"),
        (Type.SRV, b"\0" * 6),
        (Type.SOA, b"\0" * 21),
        (Type.NAPTR, b"\0" * 7),
        (Type.RRSIG, b"\0" * 18),
        (Type.NSEC, b"\0\0\0"),
        (Type.NSEC, b"\0\0\2\1"),
        (Type.NSEC, b"\0\1\1\x40\0\1\x40"),
        (Type.NSEC, b"\0\0\2\x40\0"),
        (Type.NSEC3, b"\1\0\0\0\5"),
        (Type.CAA, b"\0\3a b"),
        (Type.DS, b"\0\1\5\1"),
        (Type.LOC, b"\1" + b"\0" * 15),
        (Type.SVCB, b"\0\1\0\0\3\0\2\0\x35\0\1\0\3\2h2"),
        (Type.SVCB, b"\0\1\0\0\3\0\3\0\x35"),
        (Type.SVCB, b"\0\1\0\0\3\0\1\0"),
        (Type.HTTPS, b"\0\1\0\0\1\0\0"),
        (Type.HTTPS, b"\0\1\0\0\1\0\3\0\1a"),
        (Type.HTTPS, b"\0\1\0\0\4\0\5\1\2\3\4\5"),
        (Type.TLSA, b"\0\0"),
        (Type.LOC, b"\0" * 15),
        (Type.SVCB, b"\0\1\3"),
        (Type.DNSKEY, b"\0\1\3"),
    ],
)
def test_malformed_octets(rtype: Type, octets: bytes) -> None:
    """They are refused, and shown as octets."""
    with pytest.raises(ValueError, match=f"no {rtype.name} RDATA"):
        check(rtype, octets)
    assert to_text(rtype, octets) == f"\\# {len(octets)} {octets.hex()}".rstrip()


def test_a_type_of_the_internet_is_another_one_in_another_class() -> None:
    check(Type.A, b"\2ch\0", Class.CH)
    with pytest.raises(ValueError, match="no TXT RDATA"):
        check(Type.TXT, b"", Class.CH)


@given(st.sampled_from(sorted(RECORD_TYPES)) | st.integers(1, 300), st.binary(max_size=60))
def test_any_octets_can_be_printed_and_read_again(rtype: int, octets: bytes) -> None:
    if rtype == Type.OPT or 128 <= rtype < 256:
        return
    text = to_text(rtype, octets)
    assert text.isprintable()
    assert text.isascii()
    try:
        check(rtype, octets)
    except ValueError:
        return
    again = read(f"TYPE{rtype}", text).rdata
    assert again == octets or rtype not in RECORD_TYPES or RECORD_TYPES[rtype].rare


@given(st.sampled_from(sorted(RECORD_TYPES)), st.lists(FRAGMENTS, max_size=8).map(" ".join))
def test_any_text_gives_rdata_or_an_error(rtype: int, text: str) -> None:
    try:
        (placed,) = parse(f"x 60 {Type(rtype).name} {text.replace(chr(10), ' ')}", "", b"\0")
    except (MasterFileError, ValueError):
        return
    check(rtype, placed.record.rdata)


@pytest.mark.parametrize(
    ("rtype", "text", "target", "renamed"),
    [
        ("CNAME", "old", "old.example.", "new.test."),
        ("SOA", "old admin 1 2 3 4 5", "old.example.", "new.test. admin.example. 1 2 3 4 5"),
        ("MX", "10 old", "old.example.", "10 new.test."),
        ("SRV", "1 2 3 old", "old.example.", "1 2 3 new.test."),
        ("NAPTR", '1 2 "a" "bc" "d" old', "old.example.", '1 2 "a" "bc" "d" new.test.'),
        ("RP", "old txt", None, "old.example. txt.example."),
        ("A", "192.0.2.1", None, "192.0.2.1"),
        ("TYPE65280", "\\# 0", None, "\\# 0"),
    ],
)
def test_the_name_that_rdata_lead_to(
    rtype: str, text: str, target: str | None, renamed: str
) -> None:
    record = read(rtype, text)
    expected = None if target is None else wire_from_text(target)
    assert target_of(record.rtype, record.rdata) == expected
    other = with_target(record.rtype, record.rdata, wire_from_text("new.test."))
    assert to_text(record.rtype, other) == renamed


def test_dnspython_is_not_imported_before_it_is_needed() -> None:
    """It would add a half to the time that a start takes."""
    program = """
import sys
import kdns.__main__, kdns.cli.coredns, kdns.server.lifecycle
from kdns.wire.master import parse
list(parse("@ 60 SRV 1 2 3 x\\n@ 60 CAA 0 issue x\\n@ 60 DS 1 8 2 00\\n", "", b"\\0"))
assert "dns" not in sys.modules
list(parse("@ 60 TLSA 3 1 1 " + "00" * 32, "", b"\\0"))
assert "dns" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
