"""The lines of ``log``: by table, and beside the real CoreDNS for the same questions."""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdns.plugins import log
from kdns.plugins.log_format import PLACEHOLDERS, Exchange, parse_format
from kdns.wire.constants import Flag, Rcode, Type
from kdns.wire.message import Answer, Edns, Query, Record
from kdns.wire.names import from_text, from_wire, wire_from_text
from tests.cluster import programs
from tests.cluster.conftest import provide
from tests.cluster.processes import Process, free_dns_port, wait_until
from tests.plugins.chains import Chain

NAME = "Www.Example.ORG."
QUERY = Query(
    wire_from_text(NAME),
    from_text(NAME),
    Type.AAAA,
    message_id=4711,
    flags=Flag.RD | Flag.CD,
    edns=Edns(1232, dnssec_ok=True, options=((10, bytes(8)),)),
    client="2001:db8::1",
    client_port=5353,
    server=("192.0.2.53", 53),
)
SOA = Record(b"\0", Type.SOA, 5, b"")
NS = Record(b"\0", Type.NS, 5, b"\0")
A = Record(b"\0", Type.A, 5, bytes(4))


CONTEXT = Chain(". {\nmetadata\nwhoami\n}")


def line(text: str, query: Query = QUERY, answer: Answer | None = None) -> str:
    exchange = Exchange(
        query, answer or Answer(), 103, 0.000102071, lambda label: {"x/y": "value"}.get(label, "")
    )
    return parse_format(text)(exchange)


@given(
    name=st.lists(st.binary(min_size=1, max_size=20), max_size=6),
    qtype=st.integers(0, 65535),
    qclass=st.integers(0, 65535),
    flags=st.integers(0, 65535),
    client=st.sampled_from(("192.0.2.1", "::1", "fe80::1%eth0", "::ffff:10.0.0.1", "")),
    rcode=st.integers(0, 4095),
)
def test_no_query_makes_the_observer_raise(
    name: list[bytes], qtype: int, qclass: int, flags: int, client: str, rcode: int
) -> None:
    """It is called where nothing catches what it raises."""
    wire = b"".join(bytes((len(label),)) + label for label in name) + b"\0"
    query = Query(wire, from_wire(wire), qtype, qclass, flags=flags, client=client)
    placeholders = " ".join(f"{{{each}}}" for each in PLACEHOLDERS)
    rules = log.Settings((log.Rule((), f"{placeholders} {{/view/name}} {{/log/type}}"),))
    observer = log.observe(CONTEXT, rules)
    assert observer.wants(query, Answer(rcode))
    observer(query, Answer(rcode), 512, 0.001)


COMBINED_LINE = (
    '[2001:db8::1]:5353 - 4711 "AAAA IN www.example.org. udp 56 true 1232" '
    'NOERROR qr,aa,rd,cd 103 0.000102071s "0"'
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{type}", "AAAA"),
        ("{name}", "www.example.org."),
        ("{class}", "IN"),
        ("{proto}", "udp"),
        ("{size}", "56"),
        ("{remote}", "[2001:db8::1]"),
        ("{port}", "5353"),
        ("{local}", "192.0.2.53"),
        ("{>id}", "4711"),
        ("{>opcode}", "0"),
        ("{>do}", "true"),
        ("{>bufsize}", "1232"),
        ("{rcode}", "NOERROR"),
        ("{rsize}", "103"),
        ("{duration}", "0.000102071s"),
        ("{>rflags}", "qr,aa,rd,cd"),
        ("{/forward/upstream}", "-"),
        ("plain", "plain"),
        ("", ""),
        ("{ {type} }", "{ AAAA }"),
        ("{nope} } {name", "{nope} } {name"),
        ("{{type}}", "{AAAA}"),
        (log.COMBINED, COMBINED_LINE),
    ],
)
def test_placeholders(text: str, expected: str) -> None:
    assert line(text) == expected


@pytest.mark.parametrize(
    ("text", "query", "answer", "expected"),
    [
        ("{type} {class}", Query(b"\0", (), 731, 7), None, "TYPE731 CLASS7"),
        ("{>do} {>bufsize} {size}", Query(b"\0", (), 1), None, "false 512 17"),
        ("{>bufsize}", Query(b"\0", (), 1, edns=Edns(100)), None, "512"),
        ("{proto} {>bufsize}", Query(b"\0", (), 1, transport="tls"), None, "tcp 65535"),
        ("{rcode}", QUERY, Answer(3841), "3841"),
        ("{>opcode}", Query(b"\0", (), 1, flags=4 << 11), None, "4"),
        (
            "{>rflags}",
            Query(b"\0", (), 1),
            Answer(authoritative=False, truncated=True, recursion_available=True),
            "qr,tc,ra",
        ),
        ("{remote}", Query(b"\0", (), 1, client="10.0.0.1"), None, "10.0.0.1"),
        ("{remote}", Query(b"\0", (), 1), None, "-"),
    ],
)
def test_placeholders_of_other_questions(
    text: str, query: Query, answer: Answer | None, expected: str
) -> None:
    assert line(text, query, answer) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0s"), (1e-9, "0.000000001s"), (0.0000123456789, "0.000012346s"), (12.0, "12s")],
)
def test_durations_are_plain_decimals(seconds: float, text: str) -> None:
    assert (
        parse_format("{duration}")(Exchange(QUERY, Answer(), 1, seconds, lambda label: "")) == text
    )


@given(st.text(alphabet="{}/>atypenmx \\é", max_size=60))
def test_any_format_gives_a_line(text: str) -> None:
    assert isinstance(line(text), str)


@pytest.mark.parametrize(
    ("query", "answer", "expected"),
    [
        (QUERY, Answer(answer=(A,)), "success"),
        (QUERY, Answer(), "success"),
        (QUERY, Answer(authority=(NS,)), "success"),
        (QUERY, Answer(authority=(SOA,)), "denial"),
        (QUERY, Answer(Rcode.NXDOMAIN, authority=(SOA,)), "denial"),
        (QUERY, Answer(Rcode.NXDOMAIN, answer=(A,)), "error"),
        (QUERY, Answer(Rcode.SERVFAIL), "error"),
        (QUERY, Answer(Rcode.REFUSED), "error"),
        (Query(b"\0", (), Type.AXFR), Answer(answer=(SOA,)), "error"),
        (Query(b"\0", (), Type.SOA, flags=4 << 11), Answer(answer=(SOA,)), "error"),
    ],
)
def test_classes(query: Query, answer: Answer, expected: str) -> None:
    assert log.classify(query, answer) == expected


def test_the_first_rule_for_a_name_decides(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = log.Rule(("example", "org"), "first {name}", frozenset({"denial"}))
    observer = log.observe(
        CONTEXT, log.Settings((first,)), log.Settings((log.Rule((), "any {name}"),))
    )
    other = Query(b"\1a\0", ("a",), Type.A)
    observer(QUERY, Answer(answer=(A,)), 1, 0.0)
    observer(QUERY, Answer(authority=(SOA,)), 1, 0.0)
    observer(other, Answer(), 1, 0.0)
    assert caplog.messages == ["first www.example.org.", "any a."]
    assert [observer.wants(QUERY, Answer(answer=(A,))), observer.wants(other, Answer())] == [
        False,
        True,
    ]


def test_names_outside_every_rule_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    observer = log.observe(CONTEXT, log.Settings((log.Rule(("example", "com")),)))
    observer(QUERY, Answer(), 1, 0.0)
    assert not observer.wants(QUERY, Answer())
    assert not caplog.messages


# Beside CoreDNS.

ZONE = """\
@ 60 IN SOA ns hostmaster 1 7200 1800 86400 30
@ 60 IN NS ns
ns 60 IN A 192.0.2.1
a 60 IN A 192.0.2.2
alias 60 IN CNAME missing
sub 60 IN NS ns.elsewhere.test.
"""
FORMAT = (
    "{>id} {remote} {type} {class} {name} {proto} {size} {>do} {>bufsize} {rcode} {>rflags} "
    "{>opcode} { {type} {nope} {/a} | {duration} {/log/class}"
)
# Not compared: a question whose CNAME was followed (the target has a line of its own there), and names with
# spaces, "$" or "'" (escaped otherwise).
QUESTIONS = [
    ("a.Example.org.", "A"),
    ("a.example.org.", "TXT"),
    ("missing.example.org.", "A"),
    ("alias.example.org.", "CNAME"),
    ("x.sub.example.org.", "A"),
    ("example.org.", "AXFR"),
    ("example.org.", "TYPE731"),
    ("refused.test.", "A"),
    ("nobody.test.", "A"),
    (r"we\.ird\"n;a(m)e\\@\000\255.example.org.", "A"),
]


MESSAGE_IDS = itertools.count(1)
"""By which a line of the log is found: chance would give one of them twice."""


class CoreDns:
    def __init__(self, folder: Path) -> None:
        self.port = free_dns_port()
        (folder / "zone").write_text(ZONE)
        corefile = folder / "Corefile"
        corefile.write_text(
            f'. {{\nbind 127.0.0.1\nmetadata\nerrors\nlog . "{FORMAT}"\n'
            f"template ANY ANY refused.test {{\nrcode REFUSED\n}}\nfile {folder}/zone example.org\n}}"
        )
        command: list[str | Path] = [
            programs.require("coredns"),
            "-conf",
            corefile,
            "-dns.port",
            str(self.port),
        ]
        self.process = Process(command, folder / "log")
        self.process.wait_ready(lambda: f":{self.port} on" in self.process.log.read_text(), 60)

    def line(self, message_id: int) -> str:
        found: list[str] = []

        def logged() -> bool:
            pattern = rf"^\[INFO\] ({message_id} .*)$"
            found[:] = re.findall(pattern, self.process.log.read_text(), re.MULTILINE)
            return bool(found)

        wait_until(logged, 60, "log line")
        return found[0]


@pytest.fixture(scope="module")
def coredns(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CoreDns]:
    provide(request, "coredns")
    subject = CoreDns(tmp_path_factory.mktemp("coredns"))
    try:
        yield subject
    finally:
        subject.process.stop()


def records(section: list[dns.rrset.RRset]) -> tuple[Record, ...]:
    return tuple(Record(b"\0", rrset.rdtype, 0, b"") for rrset in section for _ in rrset)


@pytest.mark.parametrize("edns", ["none", "plain", "do"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(("name", "rtype"), QUESTIONS, ids=str)
def test_lines_are_the_peers(
    coredns: CoreDns, name: str, rtype: str, transport: str, edns: str
) -> None:
    if (rtype, transport) == ("AXFR", "tcp"):
        rtype = "IXFR"  # a whole transfer is a stream of messages
    message = dns.message.make_query(name, rtype, id=next(MESSAGE_IDS))
    if edns != "none":
        message.use_edns(0, ednsflags=dns.flags.DO if edns == "do" else 0, payload=1232)
    ask = dns.query.udp if transport == "udp" else dns.query.tcp
    reply = ask(message, "127.0.0.1", 30, coredns.port)
    theirs, _, their_end = coredns.line(message.id).partition("| ")

    query = Query(
        wire_from_text(name),
        from_text(name),
        message.question[0].rdtype,
        message_id=message.id,
        flags=int(message.flags),
        edns=Edns(1232, dnssec_ok=edns == "do") if edns != "none" else None,
        transport="udp" if transport == "udp" else "tcp",
        client="127.0.0.1",
    )
    answer = Answer(
        reply.rcode(),
        records(reply.answer),
        records(reply.authority),
        authoritative=bool(reply.flags & dns.flags.AA),
    )
    ours = parse_format(FORMAT)(Exchange(query, answer, 0, 0.0, lambda label: "")).partition("| ")[
        0
    ]
    assert ours == theirs
    assert log.classify(query, answer) == their_end.split()[1]
    assert re.fullmatch(r"[0-9.]+s", their_end.split()[0])
