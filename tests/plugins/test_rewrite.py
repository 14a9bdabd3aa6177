# ruff: noqa: E501  (a table row per case reads best on one line)
"""``rewrite``: its words, what it makes of questions and replies, and CoreDNS beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final, cast

import pytest
from msgspec.structs import replace

from kdns.plugins import rewrite
from kdns.plugins.interface import Handler
from kdns.plugins.rewrite.names import Matcher, Remapper
from kdns.plugins.rewrite.rules import (
    AnswerRule,
    ClassRule,
    CnameRule,
    EdnsRule,
    NameRule,
    RcodeRule,
    Rule,
    TtlRule,
    TypeRule,
)
from kdns.wire import rdata
from kdns.wire.constants import Rcode, Type
from kdns.wire.message import FOREVER, Answer, Edns, Query, Record
from kdns.wire.names import wire_from_text, wire_to_text
from tests.plugins.chains import Chain, question, refusal, settings, told
from tests.plugins.peers import Peers, check

M = Matcher
RE = "regex"
GARDENER_OLD, GARDENER_NEW = r"(.*)\.internal\.cluster\.local", "{1}.garden.internal."

RULES: Final[dict[str, tuple[str, Rule]]] = {
    "name": ("rewrite name A.org b.org", NameRule(True, M("exact", "a.org."), "b.org.", True)),
    "exact": ("rewrite continue name exact a.org b.org.", NameRule(False, M("exact", "a.org."), "b.org.", True)),
    "prefix": ("rewrite stop name prefix a b", NameRule(True, M("prefix", "a."), "b.")),
    "suffix auto": ("rewrite name suffix .a.org .b.org answer auto", NameRule(True, M("suffix", ".a.org."), ".b.org.", True)),
    "substring": ("rewrite name substring a.b c", NameRule(True, M("substring", "a.b."), "c.")),
    "regex": (r"rewrite name regex (.*)\.a\.org\.$ {1}.B.org", NameRule(True, M(RE, r"(.*)\.a\.org\.$"), "{1}.b.org.")),
    "Gardener": ("rewrite stop {\nname regex (.*)\\.garden\\.internal {1}.internal.cluster.local\nanswer name (.*)\\.internal\\.cluster\\.local {1}.garden.internal\nanswer value (.*)\\.internal\\.cluster\\.local {1}.garden.internal\n}",
        NameRule(True, M(RE, r"(.*)\.garden\.internal"), "{1}.internal.cluster.local.", False, (AnswerRule("name", M(RE, GARDENER_OLD), GARDENER_NEW), AnswerRule("value", M(RE, GARDENER_OLD), GARDENER_NEW)))),
    "answers in one": ("rewrite name regex a b answer name x y value z w answer name q r", NameRule(True, M(RE, "a"), "b.", False, (AnswerRule("name", M(RE, "x"), "y."), AnswerRule("value", M(RE, "z"), "w."), AnswerRule("name", M(RE, "q"), "r.")))),
    "metadata": ("rewrite name regex (a) {1}.{kubernetes/client-namespace}.b metadata answer auto", NameRule(True, M(RE, "(a)"), "{1}.{kubernetes/client-namespace}.b.", True, metadata=True)),
    "type": ("rewrite type any hinfo", TypeRule(True, 255, 13)),
    "class": ("rewrite continue class CH IN", ClassRule(False, 3, 1)),
    "ttl": ("rewrite ttl a.org 30", TtlRule(True, M("exact", "a.org."), 30, 30)),
    "ttl range": ("rewrite ttl suffix .org 30-300", TtlRule(True, M("suffix", ".org."), 30, 300)),
    "ttl least": ("rewrite ttl regex .* 30-", TtlRule(True, M(RE, ".*"), 30, 0x7FFFFFFF)),
    "ttl most": ("rewrite ttl prefix a -300", TtlRule(True, M("prefix", "a."), 0, 300)),
    "rcode": ("rewrite rcode a.org NXDOMAIN 0", RcodeRule(True, M("exact", "a.org."), 3, 0)),
    "rcode match": ("rewrite continue rcode regex .* servfail NXDOMAIN", RcodeRule(False, M(RE, ".*"), 2, 3)),
    "cname": ("rewrite cname a.org b.org", CnameRule(True, M("exact", "a.org."), "b.org.")),
    "cname suffix": ("rewrite cname suffix .A.org. .b.org.", CnameRule(True, M("suffix", ".a.org."), ".b.org.")),
    "edns0 text": ("rewrite edns0 local set 0xffee abcd", EdnsRule(True, "set", 0xFFEE, b"abcd")),
    "edns0 hex": ("rewrite edns0 local append 65001 0x61ff revert", EdnsRule(True, "append", 65001, b"a\xff")),
    "edns0 variable": ("rewrite continue edns0 local replace 0xffee {client_ip}", EdnsRule(False, "replace", 0xFFEE, variable="client_ip")),
    "edns0 label": ("rewrite edns0 local set 0xffee {tsig/key}", EdnsRule(True, "set", 0xFFEE, variable="tsig/key")),
    "edns0 unset": ("rewrite edns0 local unset 0xffee", EdnsRule(True, "unset", 0xFFEE)),
    "nsid": ("rewrite edns0 nsid set", EdnsRule(True, "set", 3)),
    "subnet": ("rewrite edns0 subnet set 24 56 revert", EdnsRule(True, "set", 8, variable="subnet", masks=(24, 56))),
    "subnet unset": ("rewrite edns0 subnet unset", EdnsRule(True, "unset", 8, variable="subnet")),
    "in a block": ("rewrite {\nttl a.org 30\n}", TtlRule(True, M("exact", "a.org."), 30, 30)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "rule"), RULES.values(), ids=RULES.keys())
def test_rules(text: str, rule: Rule) -> None:
    assert settings(text) == rewrite.Settings((rule,))


def test_all_directives_are_one_list() -> None:
    found = cast("rewrite.Settings", settings("rewrite type A AAAA\nrewrite class CH IN"))
    assert [type(rule) for rule in found.rules] == [TypeRule, ClassRule]


SORTS = "name, type, class, ttl, rcode, cname, edns0, answer"
KINDS = "exact, prefix, suffix, substring, regex"
REFUSED = {
    "alone": ("rewrite", f"expected {SORTS}, found ''"),
    "mode alone": ("rewrite stop", f"expected {SORTS}, found ''"),
    "sort": ("rewrite nam a b", f"expected {SORTS}, found 'nam'"),
    "line and block": ("rewrite name a {\nb\n}", "takes a rule on its line or in its block, not both"),
    "answer alone": ("rewrite answer name a b", "answer must follow a name rule"),
    "name short": ("rewrite name a", "name takes [exact|prefix|suffix|substring|regex] FROM TO"),
    "name kind": ("rewrite name like a b", f"unknown way to match 'like'; expected {KINDS}"),
    "name pattern": ("rewrite name regex ( b", "'(' is not a regular expression: missing ): ("),
    "name groups": ("rewrite name regex (a) {1}{2}", "'{1}{2}' uses more groups than '(a)' has (1)"),
    "name more": ("rewrite name exact a b c", "expected answer, found 'c'"),
    "metadata": ("rewrite name exact a b metadata", "metadata is for name regex alone"),
    "answer part": ("rewrite name exact a b answer what x y", "expected auto, name or value after answer, found 'what'"),
    "answer nothing": ("rewrite name exact a b answer", "expected auto, name or value after answer, found ''"),
    "answer short": ("rewrite name exact a b answer name x", "answer name takes a regular expression and a replacement"),
    "answer groups": ("rewrite name exact a b answer value x {1}", "'{1}' uses more groups than 'x' has (0)"),
    "answer auto and name": ("rewrite name suffix a b answer auto answer name x y", "answer auto and answer name exclude one another"),
    "type": ("rewrite type A", "type takes exactly two types"),
    "types": ("rewrite type A NOPE", "a record type expected, not 'NOPE'"),
    "class": ("rewrite class IN", "class takes exactly two classes"),
    "classes": ("rewrite class IN XX", "'XX' is not a class; expected IN, CH, HS, NONE, ANY"),
    "ttl": ("rewrite ttl a", "ttl takes [exact|prefix|suffix|substring|regex] FROM SECONDS|MIN-MAX"),
    "ttl text": ("rewrite ttl a 5s", "takes seconds, or a range as in 30-300, 30- and -300, got '5s'"),
    "ttl dash": ("rewrite ttl a -", "takes seconds, or a range as in 30-300, 30- and -300, got '-'"),
    "ttl order": ("rewrite ttl a 300-30", "takes seconds, or a range as in 30-300, 30- and -300, got '300-30'"),
    "ttl large": ("rewrite ttl a 4294967296", "takes seconds, or a range as in 30-300, 30- and -300, got '4294967296'"),
    "rcode": ("rewrite rcode a NXDOMAIN", "rcode takes [exact|prefix|suffix|substring|regex] FROM OLD NEW"),
    "rcodes": ("rewrite rcode a NXDOMAIN 24", "unknown response code '24'; expected one such as NXDOMAIN, or 0 to 23"),
    "cname": ("rewrite cname a", "cname takes [exact|prefix|suffix|substring|regex] FROM TO"),
    "edns0": ("rewrite edns0 local", "edns0 takes local, nsid or subnet, and then set, append, replace, unset"),
    "edns0 action": ("rewrite edns0 local put 1 a", "unknown action 'put'; expected set, append, replace, unset"),
    "edns0 sort": ("rewrite edns0 cookie set", "expected local, nsid or subnet after edns0, found 'cookie'"),
    "edns0 count": ("rewrite edns0 local set 1", "edns0 local set takes 2 arguments, got 1"),
    "edns0 code": ("rewrite edns0 local set 0x1ffff a", "edns0 local takes an option code from 0 to 65535, got '0x1ffff'"),
    "edns0 hex": ("rewrite edns0 local set 1 0x6", "edns0 local takes text or 0x and hex digits, got '0x6'"),
    "edns0 variable": ("rewrite edns0 local set 1 {nope}", "unknown variable 'nope'; expected qname, qtype, client_ip, client_port, protocol, server_ip, server_port"),
    "metadata group": ("rewrite name regex (a) {2}.b metadata", "'{2}.b': there is no group 2 in the pattern"),
    "metadata label": ("rewrite name regex (a) {service}.b metadata", "'{service}.b': {service} is neither a group nor a label such as kubernetes/service"),
    "metadata brace": ("rewrite name regex (a) {1.b metadata", "'{1.b': a brace has no counterpart"),
    "subnet bits": ("rewrite edns0 subnet set 33 56", "expected bits for edns0 subnet from 0 to 32, got '33'"),
    "subnet zeros": ("rewrite edns0 subnet set 0000033 56", "expected bits for edns0 subnet from 0 to 32, got '0000033'"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str, message: str) -> None:
    assert refusal(text) == f"2: rewrite: {message}"


# ---- the question


async def _said(query: Query) -> Answer:
    """Says what it was asked."""
    data = rdata.strings(f"{wire_to_text(query.qname)} {query.qtype} {query.qclass} {query.edns}")
    return Answer(answer=(Record(b"\0", Type.TXT, 1, data),))


def asked_after(text: str, query: Query) -> Query:
    """The question that the stage after these rules gets."""
    seen: list[Query] = []

    async def see(changed: Query) -> Answer:
        seen.append(changed)
        return Answer()

    run(text, see, query)
    return seen[0]


CONTEXT: Final = Chain(". {\nwhoami\n}")


def run(text: str, handler: Handler, query: Query) -> Answer:
    stage = rewrite.wrap(cast("rewrite.Settings", settings(text)), handler, CONTEXT)

    async def wait() -> Answer:
        return await stage(query)

    return asyncio.run(wait())


QUESTIONS = {
    "exact": ("rewrite name a.org b.org", "A.Org. A", "b.org. A"),
    "not exact": ("rewrite name a.org b.org", "x.a.org. A", "x.a.org. A"),
    "prefix": ("rewrite name prefix a.b c", "a.b.org. A", "c.org. A"),
    "suffix": ("rewrite name suffix .a.org .b.org", "x.a.org. A", "x.b.org. A"),
    "not the suffix itself": ("rewrite name suffix .a.org .b.org", "a.org. A", "a.org. A"),
    "substring": ("rewrite name substring svc ns", "a.svc.svc.org. A", "a.ns.ns.org. A"),
    "regex": (r"rewrite name regex (.*)-(us-west-1)\.coredns\.rocks {1}.service.{2}.consul", "ftp-us-west-1.coredns.rocks. A", "ftp.service.us-west-1.consul. A"),
    "missing group": (r"rewrite name regex (x)?(a)\.org {1}{2}.b", "a.org. A", "a.b. A"),
    "type": ("rewrite type ANY HINFO", "a. ANY", "a. HINFO"),
    "first wins": ("rewrite name a b\nrewrite name b c", "a. A", "b. A"),
    "continue": ("rewrite continue name a b\nrewrite name b c", "a. A", "c. A"),
    "no match goes on": ("rewrite name x y\nrewrite type A AAAA", "a. A", "a. AAAA"),
    "a reply's rule stops as well": ("rewrite ttl a 5\nrewrite type A AAAA", "a. A", "a. A"),
    "metadata never": ("rewrite name regex a {x/y} metadata\nrewrite type A AAAA", "a. A", "a. AAAA"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "before", "after"), QUESTIONS.values(), ids=QUESTIONS.keys())
def test_questions(text: str, before: str, after: str) -> None:
    asked = asked_after(text, question(before))
    assert f"{wire_to_text(asked.qname)} {Type(asked.qtype).name}" == after
    assert asked.name == question(after).name


V4, V6 = "192.0.2.77", "2001:db8:1:2:3::4"
SERVER = "2001:db8::53"
OPTIONS = {
    "set": ("local set 9 ab", ((5, b"x"),), V4, ((5, b"x"), (9, b"ab"))),
    "set again": ("local set 9 ab", ((9, b"x"),), V4, ((9, b"ab"),)),
    "append": ("local append 9 ab", ((9, b"x"),), V4, ((9, b"x"), (9, b"ab"))),
    "replace": ("local replace 9 ab", ((9, b"x"),), V4, ((9, b"ab"),)),
    "replace nothing": ("local replace 9 ab", (), V4, ()),
    "unset": ("local unset 9", ((9, b"x"), (5, b"")), V4, ((5, b""),)),
    "qname": ("local set 9 {qname}", (), V4, ((9, b"a.org."),)),
    "qtype": ("local set 9 {qtype}", (), V4, ((9, b"\0\1"),)),
    "client": ("local set 9 {client_ip}", (), V4, ((9, ip_address(V4).packed),)),
    "client v6": ("local set 9 {client_ip}", (), V6, ((9, ip_address(V6).packed),)),
    "port": ("local set 9 {client_port}", (), V4, ((9, b"\0\0"),)),
    "protocol": ("local set 9 {protocol}", (), V4, ((9, b"udp"),)),
    "server": ("local set 9 {server_ip}", (), V4, ((9, ip_address(SERVER).packed),)),
    "server port": ("local set 9 {server_port}", (), V4, ((9, b"\x14\xe9"),)),
    "label": ("local set 9 {a/b}", (), V4, ()),
    "append a variable": ("local append 9 {qtype}", ((9, b"x"),), V4, ((9, b"x"),)),
    "nobody's address": ("local set 9 {client_ip}", (), "", ()),
    "nsid": ("nsid set", (), V4, ((3, b""),)),
    "subnet": ("subnet set 24 56", (), V4, ((8, bytes((0, 1, 24, 0, 192, 0, 2))),)),
    "subnet 25": ("subnet set 25 56", (), V4, ((8, bytes((0, 1, 25, 0, 192, 0, 2, 0))),)),
    "subnet 0": ("subnet set 0 0", (), V4, ((8, bytes((0, 1, 0, 0))),)),
    "subnet v6": ("subnet set 24 56", (), V6, ((8, bytes((0, 2, 56, 0, 0x20, 1, 0xD, 0xB8, 0, 1, 0))),)),
    "mapped": ("subnet set 24 56", (), f"::ffff:{V4}", ((8, bytes((0, 1, 24, 0, 192, 0, 2))),)),
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "options", "client", "expected"), OPTIONS.values(), ids=OPTIONS.keys()
)
def test_edns_options(
    words: str, options: tuple[tuple[int, bytes], ...], client: str, expected: object
) -> None:
    query = Query(
        wire_from_text("A.org."), ("a", "org"), 1, edns=Edns(options=options), client=client
    )
    query = replace(query, server=(SERVER, 5353))
    edns = asked_after(f"rewrite edns0 {words}", query).edns
    assert edns is not None
    assert edns.options == expected


def test_edns_is_made_where_there_is_none() -> None:
    asked = asked_after("rewrite edns0 nsid set", Query(b"\1a\0", ("a",), 1))
    assert asked.edns == Edns(4096, options=((3, b""),))


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ("local set 9 x", FOREVER),
        ("local set 9 {qname}", FOREVER),
        ("local set 9 {client_ip}", 0.0),
        ("local set 9 {server_ip}", 0.0),
        ("local set 9 {kubernetes/client-namespace}", 0.0),
        ("subnet set 24 56", 0.0),
    ],
)
def test_what_depends_on_the_asker_is_not_kept(words: str, kept: float) -> None:
    assert run(f"rewrite edns0 {words}", _said, question("a. A")).keep_until == kept


def test_what_is_no_name_fails() -> None:
    answer = run(f"rewrite name suffix .org {'.x' * 126}", _said, question("aaa.org. A"))
    assert answer.rcode == Rcode.SERVFAIL
    assert "what rewrite makes of the name is none" in answer.errors[0].text


# ---- the reply


def reply(*records: str, rcode: int = Rcode.NOERROR) -> Handler:
    """A handler that answers the question's own name; ``NAME TYPE DATA`` each, ``@`` for that name."""

    async def handler(query: Query) -> Answer:
        found = []
        for record in records:
            owner, kind, data = record.split()
            wire = query.qname if owner == "@" else wire_from_text(owner)
            target = query.qname if data == "@" else wire_from_text(data)
            packed = rdata.a(data) if kind == "A" else target
            packed = rdata.srv(1, 2, 3, target) if kind == "SRV" else packed
            packed = rdata.mx(4, target) if kind == "MX" else packed
            found.append(Record(wire, Type[kind], 60, packed))
        return Answer(rcode, tuple(found), tuple(found[:1]))

    return handler


REPLIES = {
    "exact": ("rewrite name a.org b.org", "A.org. A", ("@ A 192.0.2.1",), "A.org. 60 A 192.0.2.1"),
    "exact, below": ("rewrite name a.org b.org", "a.org. SRV", ("@ SRV x.b.org.",), "a.org. 60 SRV 1 2 3 x.a.org."),
    "exact, alike": ("rewrite name a.org b.org", "a.org. CNAME", ("@ CNAME xb.org.",), "a.org. 60 CNAME xb.org."),
    "exact, other case": ("rewrite name a.org b.org", "a.org. A", ("B.Org. A 192.0.2.1",), "a.org. 60 A 192.0.2.1"),
    "suffix": ("rewrite name suffix .a .b", "x.a. A", ("@ A 192.0.2.1",), "x.b. 60 A 192.0.2.1"),
    "suffix auto": ("rewrite name suffix .a .b answer auto", "X.a. SRV", ("@ SRV y.b.",), "X.a. 60 SRV 1 2 3 y.a."),
    "prefix auto": ("rewrite name prefix a b answer auto", "a.x. A", ("@ A 192.0.2.1",), "a.x. 60 A 192.0.2.1"),
    "regex auto": (r"rewrite name regex (.*)\.a {1}.b answer auto", "x.a. MX", ("@ MX m.x.b.",), "x.a. 60 MX m.x.a."),
    "answer name": (r"rewrite name regex (.*)\.a {1}.b answer name (.*)\.b {1}.c", "x.a. A", ("@ A 192.0.2.1",), "x.c. 60 A 192.0.2.1"),
    "answer value": (r"rewrite name exact a b answer value (.*)\.v\. {1}.w", "a. CNAME", ("@ CNAME x.v.",), "a. 60 CNAME x.w."),
    "continue, both back": ("rewrite continue name a b\nrewrite name b c", "a. A", ("@ A 192.0.2.1",), "a. 60 A 192.0.2.1"),
    "ttl": ("rewrite ttl a 5", "a. A", ("@ A 192.0.2.1",), "a. 5 A 192.0.2.1"),
    "ttl least": ("rewrite ttl a 90-", "a. A", ("@ A 192.0.2.1",), "a. 90 A 192.0.2.1"),
    "ttl within": ("rewrite ttl a 30-90", "a. A", ("@ A 192.0.2.1",), "a. 60 A 192.0.2.1"),
    "ttl elsewhere": ("rewrite ttl b 5", "a. A", ("@ A 192.0.2.1",), "a. 60 A 192.0.2.1"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "asked", "records", "expected"), REPLIES.values(), ids=REPLIES.keys()
)
def test_replies(text: str, asked: str, records: tuple[str, ...], expected: str) -> None:
    assert (
        told(run(text, reply(*records), question(asked))) == f"NOERROR; {expected}; ns {expected}"
    )


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("rewrite rcode a NXDOMAIN NOERROR", Rcode.NXDOMAIN, Rcode.NOERROR),
        ("rewrite rcode a NXDOMAIN NOERROR", Rcode.REFUSED, Rcode.REFUSED),
        ("rewrite rcode b NXDOMAIN NOERROR", Rcode.NXDOMAIN, Rcode.NXDOMAIN),
        ("rewrite rcode regex .* 2 3", Rcode.SERVFAIL, Rcode.NXDOMAIN),
    ],
)
def test_response_codes(text: str, before: int, after: int) -> None:
    assert run(text, reply(rcode=before), question("a. A")).rcode == after


def test_a_name_too_long_to_come_back_stays() -> None:
    long = wire_from_text(".".join([*["a" * 49] * 4, "a" * 53]) + ".")
    assert Remapper(b"\1b\0", long)(b"\1c\1b\0") == b"\1c\1b\0"


CNAMES = {
    "exact": ("cname a.test b.test", "www.test. A", "NOERROR; www.test. 60 CNAME b.test.; b.test. 60 A 192.0.2.2"),
    "suffix": ("cname suffix a.test. b.test.", "www.test. A", "NOERROR; www.test. 60 CNAME b.test.; b.test. 60 A 192.0.2.2"),
    "regex": (r"cname regex ([ab])\.test\. b.test.", "www.test. A", "NOERROR; www.test. 60 CNAME b.test.; b.test. 60 A 192.0.2.2"),
    "another": ("cname c.test b.test", "www.test. A", "NOERROR; www.test. 60 CNAME a.test.; a.test. 60 A 192.0.2.1"),
    "no alias": ("cname a.test b.test", "a.test. A", "NOERROR; a.test. 60 A 192.0.2.1"),
    "to itself": ("cname a.test www.test", "www.test. A", None),
}  # fmt: skip


@pytest.mark.parametrize(("words", "asked", "expected"), CNAMES.values(), ids=CNAMES.keys())
def test_aliases(words: str, asked: str, expected: str | None) -> None:
    template = 'template IN {} {} {{\nanswer "{{{{ .Name }}}} 60 {} {}"\n}}\n'
    text = "".join(
        [
            template.format("A", "www.test", "CNAME", "a.test."),
            template.format("A", "a.test", "A", "192.0.2.1"),
            template.format("A", "b.test", "A", "192.0.2.2"),
        ]
    )
    answer = told(Chain(f". {{\nrewrite {words}\n{text}}}\n").ask(asked))
    assert answer == expected if expected else answer.count("CNAME") <= 20


# ---- CoreDNS beside it

COREFILE = r"""
. {
    bind 127.0.0.1
    chaos
    rewrite name exact.test a.data.test
    rewrite name exact alias.exact.test alias.data.test answer value (.*)\.data\.test {1}.other.test
    rewrite name suffix .suffix.test .data.test
    rewrite name suffix .auto.test .data.test answer auto
    rewrite name prefix prefix a
    rewrite name prefix pauto a answer auto
    rewrite name substring inner.test data.test
    rewrite name substring sub.inner data answer auto
    rewrite stop {
      name regex (.*)\.garden\.internal {1}.data.test
      answer name (.*)\.data\.test {1}.garden.internal
      answer value (.*)\.data\.test {1}.garden.internal
    }
    rewrite continue name regex (.*)\.step1\.test\.$ {1}.step2.test answer auto
    rewrite name regex (.*)\.step2\.test\.$ {1}.data.test answer auto
    rewrite continue ttl suffix .data.test 30-300
    rewrite continue ttl exact ttl.data.test 7
    rewrite continue rcode nx.data.test NXDOMAIN NOERROR
    rewrite continue rcode suffix .refused.test SERVFAIL REFUSED
    rewrite continue type MX TXT
    rewrite continue cname exact target.data.test. a.data.test.
    template IN ANY refused.test {
      rcode SERVFAIL
    }
    file FOLDER/data.db data.test
}
"""
ZONE = """$TTL 3600
@ 60 SOA ns hostmaster 1 2 3 4 60
@ NS ns
ns A 192.0.2.53
a 5 A 192.0.2.1
a AAAA 2001:db8::1
a TXT "text"
b A 192.0.2.2
alias CNAME a
alias2 CNAME target
target A 192.0.2.9
ttl A 192.0.2.3
srv SRV 1 2 80 a
mx MX 10 a
low.alias CNAME target
"""
NAMES: Final = (
    *("exact.test", "EXACT.test", "alias.exact.test", "a.suffix.test", "srv.suffix.test", "a.auto.test", "A.Auto.test", "srv.auto.test", "alias.auto.test"),
    *("none.auto.test", "prefix.data.test", "pauto.data.test", "a.inner.test", "a.sub.inner.test", "a.garden.internal", "srv.garden.internal", "alias.garden.internal"),
    *("none.garden.internal", "a.step1.test", "srv.step1.test", "a.step2.test", "a.data.test", "ttl.data.test", "nx.data.test", "x.refused.test", "mx.data.test", "alias2.data.test"),
)  # fmt: skip
QUESTIONS_TO_PEERS: Final = [
    f"{name} {rtype}"
    for name in NAMES
    # An alias that leads to a name without such data is told otherwise by "file" (see there).
    for rtype in (("A", "CNAME") if "alias" in name else ("A", "AAAA", "SRV", "MX", "CNAME"))
]


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    folder = tmp_path_factory.mktemp("rewrite")
    (folder / "data.db").write_text(ZONE)
    running = Peers(COREFILE, folder)
    yield running
    running.stop()


def test_same_as_coredns(peers: Peers) -> None:
    check(peers, QUESTIONS_TO_PEERS, {})
