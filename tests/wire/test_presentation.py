"""Records as text, with dnspython as the judge."""

from __future__ import annotations

import dns.rdata
import dns.rdataclass
import dns.rdatatype
import pytest

from kdns.wire.constants import Type
from kdns.wire.message import Record
from kdns.wire.names import wire_from_text
from kdns.wire.presentation import rdata_text, record_text

DATA = {
    "A": "192.0.2.1",
    "AAAA": "fd00::1",
    "CNAME": "web.example.",
    "NS": r"a\.b.example.",
    "PTR": "web.example.",
    "MX": "10 mail.example.",
    "SRV": "0 50 5432 db-0.db.",
    "SOA": r"n\000s.example. hostmaster.example. 7 7200 1800 86400 5",
    "TXT": r'"one two" "quo\"te \\ \007 \255" ""',
    "HINFO": '"RFC8482" ""',
    "NAPTR": '100 10 "u" "sip+E2U" "" web.example.',
    "CAA": '0 issue "ca.example"',
}


@pytest.mark.parametrize("kind", DATA)
def test_it_means_the_same_to_another_reader(kind: str) -> None:
    rtype = dns.rdatatype.from_text(kind)
    wire = dns.rdata.from_text("IN", rtype, DATA[kind]).to_wire()
    assert wire is not None
    text = rdata_text(rtype, wire)
    assert dns.rdata.from_text("IN", rtype, text).to_wire() == wire
    assert not text.startswith("\\#")


@pytest.mark.parametrize("kind", [Type.A, Type.SRV, Type.SOA, Type.TXT, Type.MX])
@pytest.mark.parametrize("rdata", [b"", b"\5ab", b"\xff" * 3, b"\0"])
def test_broken_data_are_shown_and_harm_nobody(kind: Type, rdata: bytes) -> None:
    assert isinstance(rdata_text(kind, rdata), str)


def test_a_record() -> None:
    record = Record(wire_from_text("Web.example."), Type.A, 5, b"\x0a\0\0\1")
    assert record_text(record) == "Web.example. 5 IN A 10.0.0.1"
