# ruff: noqa: E501  (a table row per case reads best on one line)
"""Static zones: the published examples of RFC 1034 and RFC 4592, and a naive look-up as reference."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.records.zone import Zone, ZoneAnswer, ZoneError
from kdns.wire import names
from kdns.wire.constants import Rcode, Type, type_name
from kdns.wire.master import parse
from kdns.wire.message import Record


def zone_of(origin: str, text: str) -> Zone:
    placed = parse(text, "db", names.wire_from_text(origin))
    return Zone.build(names.from_text(origin), (p.record for p in placed), "db")


def ask(zone: Zone, question: str, dnssec_ok: bool = False) -> ZoneAnswer:
    qname, qtype = question.split()
    return zone.lookup(
        names.wire_from_text(qname), names.from_text(qname), Type[qtype], dnssec_ok=dnssec_ok
    )


def brief(records: Iterable[Record]) -> list[str]:
    """``owner TYPE rest``, the rest being a name or an address where it can be read as such."""
    return [
        f"{names.wire_to_text(r.owner)} {type_name(r.rtype)} {_rest(r)}".strip() for r in records
    ]


def _rest(record: Record) -> str:
    match record.rtype:
        case Type.A:
            return ".".join(map(str, record.rdata))
        case Type.NS | Type.CNAME | Type.DNAME | Type.PTR:
            return names.wire_to_text(record.rdata)
        case Type.MX:
            return names.wire_to_text(record.rdata[2:])
        case Type.RRSIG:
            return type_name(int.from_bytes(record.rdata[:2]))
        case _:
            return ""


# RFC 1034 section 6.1: the root zone of the example, with the names of section 6.2
RFC1034 = zone_of(
    ".",
    """
$TTL 86400
.       SOA   SRI-NIC.ARPA. HOSTMASTER.SRI-NIC.ARPA. 870611 1800 300 604800 86400
        NS    A.ISI.EDU.
        NS    C.ISI.EDU.
        NS    SRI-NIC.ARPA.
MIL.    NS    SRI-NIC.ARPA.
        NS    A.ISI.EDU.
EDU.    NS    SRI-NIC.ARPA.
        NS    C.ISI.EDU.
SRI-NIC.ARPA.   A     26.0.0.73
                A     10.0.0.51
                MX    0 SRI-NIC.ARPA.
                HINFO DEC-2060 TOPS20
ACC.ARPA.       A     26.6.0.65
                HINFO PDP-11/70 UNIX
                MX    10 ACC.ARPA.
USC-ISIC.ARPA.  CNAME C.ISI.EDU.
73.0.0.26.IN-ADDR.ARPA.  PTR    SRI-NIC.ARPA.
A.ISI.EDU.      A     26.3.0.103
C.ISI.EDU.      A     10.0.0.52
""",
)


def test_rfc1034_6_2_1_addresses() -> None:
    answer = ask(RFC1034, "SRI-NIC.ARPA. A")
    assert brief(answer.answer) == ["SRI-NIC.ARPA. A 26.0.0.73", "SRI-NIC.ARPA. A 10.0.0.51"]
    assert answer.authoritative
    assert answer.rcode == Rcode.NOERROR


def test_rfc1034_6_2_3_mail_exchange_brings_addresses() -> None:
    answer = ask(RFC1034, "SRI-NIC.ARPA. MX")
    assert brief(answer.answer) == ["SRI-NIC.ARPA. MX SRI-NIC.ARPA."]
    assert brief(answer.additional) == ["SRI-NIC.ARPA. A 26.0.0.73", "SRI-NIC.ARPA. A 10.0.0.51"]


def test_rfc1034_6_2_4_no_data() -> None:
    answer = ask(RFC1034, "SRI-NIC.ARPA. NS")
    assert (answer.rcode, answer.answer) == (Rcode.NOERROR, ())
    assert brief(answer.authority) == [". SOA"]


def test_rfc1034_6_2_5_no_such_name() -> None:
    answer = ask(RFC1034, "SIR-NIC.ARPA. A")
    assert (answer.rcode, answer.answer) == (Rcode.NXDOMAIN, ())
    assert brief(answer.authority) == [". SOA"]


def test_rfc1034_6_2_6_referral_with_glue() -> None:
    answer = ask(RFC1034, "BRL.MIL. A")
    assert not answer.authoritative
    assert brief(answer.authority) == ["MIL. NS SRI-NIC.ARPA.", "MIL. NS A.ISI.EDU."]
    assert brief(answer.additional) == [
        "SRI-NIC.ARPA. A 26.0.0.73",
        "SRI-NIC.ARPA. A 10.0.0.51",
        "A.ISI.EDU. A 26.3.0.103",
    ]


def test_rfc1034_6_2_7_alias_into_a_delegation() -> None:
    answer = ask(RFC1034, "USC-ISIC.ARPA. A")
    assert brief(answer.answer) == ["USC-ISIC.ARPA. CNAME C.ISI.EDU."]
    assert answer.authoritative
    assert brief(answer.authority) == ["EDU. NS SRI-NIC.ARPA.", "EDU. NS C.ISI.EDU."]


def test_rfc1034_6_2_8_alias_itself() -> None:
    assert brief(ask(RFC1034, "USC-ISIC.ARPA. CNAME").answer) == ["USC-ISIC.ARPA. CNAME C.ISI.EDU."]


# RFC 4592 section 2.2.1
RFC4592 = zone_of(
    "example.",
    """
$ORIGIN example.
example.                 3600 IN  SOA   ns. mbox. 1 2 3 4 60
example.                 3600     NS    ns.example.com.
example.                 3600     NS    ns.example.net.
*.example.               3600     TXT   "this is a wildcard"
*.example.               3600     MX    10 host1.example.
sub.*.example.           3600     TXT   "this is not a wildcard"
host1.example.           3600     A     192.0.2.1
_ssh._tcp.host1.example. 3600     SRV   0 0 22 host1.example.
_ssh._tcp.host2.example. 3600     SRV   0 0 22 host1.example.
subdel.example.          3600     NS    ns.example.com.
subdel.example.          3600     NS    ns.example.net.
""",
)

PUBLISHED = [
    ("host3.example. MX", Rcode.NOERROR, ["host3.example. MX host1.example."]),
    ("host3.example. A", Rcode.NOERROR, []),
    ("foo.bar.example. TXT", Rcode.NOERROR, ["foo.bar.example. TXT"]),
    ("host1.example. MX", Rcode.NOERROR, []),
    ("sub.*.example. MX", Rcode.NOERROR, []),
    ("_telnet._tcp.host1.example. SRV", Rcode.NXDOMAIN, []),
    ("ghost.*.example. MX", Rcode.NXDOMAIN, []),
    ("host2.example. MX", Rcode.NOERROR, []),  # an empty non-terminal is no place for a wildcard
    ("*.example. TXT", Rcode.NOERROR, ["*.example. TXT"]),
]


@pytest.mark.parametrize(
    ("question", "rcode", "expected"), PUBLISHED, ids=[p[0] for p in PUBLISHED]
)
def test_rfc4592_published_answers(question: str, rcode: int, expected: list[str]) -> None:
    answer = ask(RFC4592, question)
    assert (answer.rcode, brief(answer.answer)) == (rcode, expected)
    assert answer.authoritative
    assert brief(answer.authority)[0].startswith("example. SOA" if not expected else "example. NS")


def test_rfc4592_no_wildcard_below_a_delegation() -> None:
    answer = ask(RFC4592, "host.subdel.example. A")
    assert not answer.authoritative
    assert brief(answer.authority) == [
        "subdel.example. NS ns.example.com.",
        "subdel.example. NS ns.example.net.",
    ]


RICH = zone_of(
    "Example.org.",
    """
$TTL 300
@       SOA ns hostmaster 7 7200 1800 86400 60
        NS  ns
        NS  ns.elsewhere.test.
ns      A   192.0.2.53
        AAAA 2001:db8::53
www     CNAME web
web     A   192.0.2.80
out     CNAME target.elsewhere.test.
outer   CNAME out
gone    CNAME nowhere
loop1   CNAME loop2
loop2   CNAME loop1
self    CNAME self
mail    MX  10 web
        MX  20 ns
svc     SRV 0 0 80 web
        SRV 0 0 81 far.elsewhere.test.
svcb    HTTPS 1 web alpn=h2
null    MX  0 .
a.b.ent TXT deep
*.w     CNAME web
*.addr  A   192.0.2.7
deleg   NS  ns.deleg
        NS  ns
        DS  1 8 2 00
ns.deleg A  192.0.2.99
cdel    CNAME x.deleg
moved   DNAME target
x.target A  192.0.2.8
off     DNAME elsewhere.test.
""",
)

CASES = {
    "cname": ("www.example.org. A", ["www.example.org. CNAME web.Example.org.", "web.Example.org. A 192.0.2.80"]),
    "cname asked": ("www.example.org. CNAME", ["www.example.org. CNAME web.Example.org."]),
    "letter case is that of the question": ("wEb.eXample.ORG. A", ["wEb.eXample.ORG. A 192.0.2.80"]),
    "wildcard cname": ("q.W.example.org. A", ["q.W.example.org. CNAME web.Example.org.", "web.Example.org. A 192.0.2.80"]),
    "wildcard takes several labels": ("p.q.addr.example.org. A", ["p.q.addr.example.org. A 192.0.2.7"]),
    "dname": ("X.moved.example.org. A", ["moved.example.org. DNAME target.Example.org.", "X.moved.example.org. CNAME X.target.Example.org.", "X.target.Example.org. A 192.0.2.8"]),
    "dname does not move its owner": ("moved.example.org. DNAME", ["moved.example.org. DNAME target.Example.org."]),
    "cname asked below a dname": ("x.moved.example.org. CNAME", ["moved.example.org. DNAME target.Example.org.", "x.moved.example.org. CNAME x.target.Example.org."]),
    "loop ends": ("loop1.example.org. A", ["loop1.example.org. CNAME loop2.Example.org.", "loop2.Example.org. CNAME loop1.Example.org."]),
    "self": ("self.example.org. A", ["self.example.org. CNAME self.Example.org."]),
    "any": ("web.example.org. ANY", ["web.example.org. HINFO"]),
}  # fmt: skip


@pytest.mark.parametrize(("question", "expected"), CASES.values(), ids=CASES.keys())
def test_positive_answers(question: str, expected: list[str]) -> None:
    answer = ask(RICH, question)
    assert (answer.rcode, brief(answer.answer)) == (Rcode.NOERROR, expected)
    assert answer.chase is None
    assert brief(answer.authority) == [
        "Example.org. NS ns.Example.org.",
        "Example.org. NS ns.elsewhere.test.",
    ]


def test_apex_name_servers_bring_their_addresses_and_no_authority() -> None:
    answer = ask(RICH, "example.org. NS")
    assert answer.authority == ()
    assert brief(answer.additional) == ["ns.Example.org. A 192.0.2.53", "ns.Example.org. AAAA"]


@pytest.mark.parametrize("name", ["mail", "svc", "svcb"])
def test_targets_in_the_zone_bring_their_addresses(name: str) -> None:
    kind = {"mail": "MX", "svc": "SRV", "svcb": "HTTPS"}[name]
    additional = brief(ask(RICH, f"{name}.example.org. {kind}").additional)
    assert additional[0] == "web.Example.org. A 192.0.2.80"
    assert len(additional) == (3 if name == "mail" else 1)


def test_a_null_mail_exchange_has_no_address() -> None:
    assert ask(RICH, "null.example.org. MX").additional == ()


@pytest.mark.parametrize(
    ("question", "lost"),
    [("gone.example.org. A", "nowhere.Example.org."), ("no.example.org. A", "")],
)
def test_where_an_alias_leads_to_nothing(question: str, lost: str) -> None:
    assert ask(RICH, question).lost == (names.wire_from_text(lost) if lost else None)


NEGATIVE = {
    "name": ("no.example.org. A", Rcode.NXDOMAIN, True, "there is no no.example.org."),
    "type": ("web.example.org. TXT", Rcode.NOERROR, False, "web.example.org. has no TXT, only A"),
    "empty non-terminal": ("b.ent.example.org. A", Rcode.NOERROR, True, "b.ent.example.org. exists, without records"),
    "any at one": ("ent.example.org. ANY", Rcode.NOERROR, True, "ent.example.org. exists, without records"),
    "wildcard": ("z.addr.example.org. TXT", Rcode.NOERROR, False, "z.addr.example.org. has no TXT, only A (from *.addr.example.org.)"),
    "alias to nowhere": ("gone.example.org. A", Rcode.NXDOMAIN, False, "there is no nowhere.example.org."),
    "apex without other records": ("example.org. DS", Rcode.NOERROR, True, "example.org. has no DS, only SOA, NS"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("question", "rcode", "missing", "reason"), NEGATIVE.values(), ids=NEGATIVE.keys()
)
def test_negative_answers(question: str, rcode: int, missing: bool, reason: str) -> None:
    answer = ask(RICH, question)
    assert (answer.rcode, answer.missing) == (rcode, missing)
    assert answer.reason == f"{reason} in zone example.org. (db, serial 7)"
    (soa,) = answer.authority
    assert (soa.rtype, soa.ttl) == (Type.SOA, 60)


def test_an_alias_to_nowhere_is_in_the_answer() -> None:
    assert brief(ask(RICH, "gone.example.org. A").answer) == [
        "gone.example.org. CNAME nowhere.Example.org."
    ]


@pytest.mark.parametrize(("name", "length"), [("out", 1), ("outer", 2)])
def test_an_alias_out_of_the_zone_is_to_be_chased(name: str, length: int) -> None:
    answer = ask(RICH, f"{name}.example.org. A")
    assert len(answer.answer) == length
    assert answer.chase == names.wire_from_text("target.elsewhere.test.")


def test_a_dname_out_of_the_zone_is_to_be_chased() -> None:
    answer = ask(RICH, "Y.off.example.org. A")
    assert answer.chase == names.wire_from_text("Y.elsewhere.test.")


def test_a_name_too_long_for_a_dname() -> None:
    name = ".".join(["x" * 63] * 3 + ["y" * 43])
    answer = ask(RICH, f"{name}.moved.example.org. A")
    assert (answer.rcode, brief(answer.answer)) == (
        Rcode.YXDOMAIN,
        ["moved.example.org. DNAME target.Example.org."],
    )


@pytest.mark.parametrize(
    "question", ["deleg A", "deleg NS", "x.y.deleg A", "ns.deleg A", "x.deleg DS"]
)
def test_what_is_delegated_is_referred(question: str) -> None:
    name, kind = question.split()
    answer = ask(RICH, f"{name}.example.org. {kind}")
    assert (answer.rcode, answer.answer, answer.authoritative) == (Rcode.NOERROR, (), False)
    assert brief(answer.authority) == [
        "deleg.Example.org. NS ns.deleg.Example.org.",
        "deleg.Example.org. NS ns.Example.org.",
    ]
    assert brief(answer.additional) == [
        "ns.deleg.Example.org. A 192.0.2.99",
        "ns.Example.org. A 192.0.2.53",
        "ns.Example.org. AAAA",
    ]


def test_the_parent_answers_for_the_ds() -> None:
    answer = ask(RICH, "deleg.example.org. DS")
    assert answer.authoritative
    assert brief(answer.answer) == ["deleg.example.org. DS"]


SIGNED = zone_of(
    "example.",
    """
$TTL 60
@  SOA ns host 1 2 3 4 30
   RRSIG SOA 8 1 60 20300101000000 20200101000000 1 example. AAAA
   NS  ns
   NSEC *.w SOA NS
   RRSIG NSEC 8 1 60 20300101000000 20200101000000 1 example. AAAA
*.w A  192.0.2.1
   RRSIG A 8 2 60 20300101000000 20200101000000 1 example. AAAA
   NSEC ns A
ns A   192.0.2.2
   NSEC sub A
sub NS ns.sub
   NSEC example. NS
ns.sub A 192.0.2.3
""",
)

PROOFS = {
    "signature": ("ns.example. A", ["example. NS ns.example."]),
    "no data": ("ns.example. TXT", ["example. SOA", "example. RRSIG SOA", "ns.example. NSEC"]),
    "no name": ("o.example. A", ["example. SOA", "example. RRSIG SOA", "ns.example. NSEC", "example. NSEC", "example. RRSIG NSEC"]),
    "wildcard": ("q.w.example. A", ["example. NS ns.example.", "*.w.example. NSEC"]),
    "unsigned referral": ("a.sub.example. A", ["sub.example. NS ns.sub.example.", "sub.example. NSEC"]),
}  # fmt: skip


@pytest.mark.parametrize(("question", "authority"), PROOFS.values(), ids=PROOFS.keys())
def test_a_signed_zone_brings_its_proofs_to_who_asks(question: str, authority: list[str]) -> None:
    assert brief(ask(SIGNED, question, dnssec_ok=True).authority) == authority
    assert "NSEC" not in " ".join(brief(ask(SIGNED, question).authority))


def test_a_wildcard_answer_keeps_its_signature() -> None:
    assert brief(ask(SIGNED, "q.w.example. A", dnssec_ok=True).answer) == [
        "q.w.example. A 192.0.2.1",
        "q.w.example. RRSIG A",
    ]


SOA = "@ 60 SOA ns host 1 2 3 4 5\n"
WRONG = {
    "no soa": ("@ 60 NS ns", "no SOA at example."),
    "several soas": (SOA + "@ 60 SOA ns host 2 2 3 4 5", "2 SOAs at example.; one expected"),
    "soa elsewhere": (SOA + "x 60 SOA ns host 1 2 3 4 5", "SOA at x.example.: it must stand at example., the zone's name"),
    "outside": (SOA + "x.test. 60 A 192.0.2.1", "x.test. does not belong to the zone example."),
    "cname and data": (SOA + "x 60 CNAME y\nx 60 A 192.0.2.1", "x.example. has a CNAME and other data (A)"),
    "cname at the apex": (SOA + "@ 60 CNAME y.test.", "example. has a CNAME and other data (SOA)"),
    "several cnames": (SOA + "x 60 CNAME y\nX 60 CNAME z", "x.example. has several CNAME records; one expected"),
    "several dnames": (SOA + "x 60 DNAME y\nx 60 DNAME z", "x.example. has several DNAME records; one expected"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_zone_is_refused(text: str, message: str) -> None:
    with pytest.raises(ZoneError) as caught:
        zone_of("example.", text)
    assert str(caught.value) == message


def test_odd_records_are_served_with_a_warning() -> None:
    zone = zone_of(
        "example.", SOA + "x 60 A 192.0.2.1\nX 30 A 192.0.2.2\nx 60 A 192.0.2.1\n*.d 60 NS x"
    )
    assert zone.warnings == (
        "x.example. A: the records have several TTLs; the lowest, 30, is used",
        "no NS at example.",
        "NS at the wildcard *.d.example. does not apply to the names it makes",
    )
    assert [record.ttl for record in ask(zone, "x.example. A").answer] == [30, 30]


def test_records_are_listed_in_canonical_order() -> None:
    zone = zone_of("example.", SOA + "z 1 A 192.0.2.1\na.z 1 A 192.0.2.1\nb 1 A 192.0.2.1\n")
    listed = [names.wire_to_text(record.owner) for record in zone.records()]
    assert listed == ["example.", "b.example.", "z.example.", "a.z.example."]
    assert (len(zone), zone.serial, zone.origin) == (4, 1, ("example",))


# A slow look-up straight from the list of records, to compare with

LABELS = ["a", "b", "*"]
OWNERS = [
    f"{p}{q}{r}".lstrip(".")
    for p in ["", ".a", ".b", ".*"]
    for q in ["", ".a", ".b", ".*"]
    for r in ["", ".a"]
]
OWNER = st.sampled_from(sorted({o for o in OWNERS if o}))
DATA = st.sampled_from(["A 192.0.2.1", "A 192.0.2.2", "TXT x", "NS ns.test.", "MX 1 a.z."])
ALIAS = st.builds("CNAME {}".format, OWNER.map(lambda o: f"{o}.z.") | st.just("out.test."))
LINE = st.tuples(OWNER, DATA | ALIAS | st.builds("DNAME {}.z.".format, OWNER))


Row = tuple[str, str, str]


def exists(rows: list[Row], name: str) -> bool:
    return any(owner == name or owner.endswith("." + name) for owner, _, _ in rows)


def data(rows: list[Row], name: str, kind: str) -> list[str]:
    return [rest for owner, rtype, rest in rows if (owner, rtype) == (name, kind)]


def way_down(rows: list[Row], qname: str) -> list[str]:
    """The names from the apex to the closest encloser."""
    labels = qname.split(".")
    names_above = [".".join(labels[at:]) for at in range(len(labels) - 2, -1, -1)]
    return [name for name in names_above if exists(rows, name)]


def naive_step(rows: list[Row], qname: str, qtype: str) -> tuple[str, list[str]]:
    """One pass of RFC 1034 section 4.3.2 for ``rows`` of (owner, type, data), word for word."""
    way = way_down(rows, qname)
    for place in way:
        if data(rows, place, "NS") and place != "z." and (place, qtype) != (qname, "DS"):
            return f"referral {place}", []
        if place != qname and (target := data(rows, place, "DNAME")):
            alias = qname.removesuffix(place) + target[0]
            return f"alias {alias}", [f"{place} DNAME {target[0]}", f"{qname} CNAME {alias}"]
    source = qname if way[-1] == qname else f"*.{way[-1]}"
    if not exists(rows, source):
        return "NXDOMAIN", []
    if not data(rows, source, qtype) and (target := data(rows, source, "CNAME")):
        return f"alias {target[0]}", [f"{qname} CNAME {target[0]}"]
    return "end", [f"{qname} {qtype} {rest}".strip() for rest in data(rows, source, qtype)]


def naive(rows: list[Row], qname: str, qtype: str) -> tuple[str, list[str]]:
    """How the look-up ends, and the answer section."""
    answer: list[str] = []
    asked: list[str] = []
    while qname not in asked and len(asked) <= 10:
        asked.append(qname)
        what, found = naive_step(rows, qname, qtype)
        answer += found
        if not what.startswith("alias ") or qtype == "CNAME":
            return what, answer
        qname = what.removeprefix("alias ")
        if not qname.endswith(".z."):
            return "chase", answer
    return "loop", answer


@given(st.lists(LINE, max_size=8), OWNER, st.sampled_from(["A", "TXT", "CNAME", "DS", "NS", "MX"]))
def test_answers_are_those_of_a_naive_look_up(
    lines: list[tuple[str, str]], qname: str, qtype: str
) -> None:
    text = "@ 1 SOA a. a. 1 2 3 4 5\n@ 1 NS ns.test.\n" + "".join(f"{o} 1 {d}\n" for o, d in lines)
    try:
        zone = zone_of("z.", text)
    except ZoneError:
        return
    rows = [("z.", "SOA", ""), ("z.", "NS", "ns.test.")]
    for owner, data in lines:
        kind, _, rest = data.partition(" ")
        rest = rest.removeprefix("1 ") if kind == "MX" else "" if kind == "TXT" else rest
        if (f"{owner}.z.", kind, rest) not in rows:
            rows.append((f"{owner}.z.", kind, rest))
    what, expected = naive(rows, f"{qname}.z.", qtype)
    answer = ask(zone, f"{qname}.z. {qtype}")
    assert sorted(brief(answer.answer)) == sorted(set(expected))
    assert (answer.rcode == Rcode.NXDOMAIN) == (what == "NXDOMAIN")
    assert (answer.chase is not None) == (what == "chase")
    if what.startswith("referral"):
        assert brief(answer.authority)[0].startswith(what.removeprefix("referral ") + " NS")
        assert answer.authoritative == bool(expected)
