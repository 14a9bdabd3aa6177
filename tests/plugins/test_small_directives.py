# ruff: noqa: E501, A004  (a table row per case reads best on one line; a directive is called any)
"""``acl any bufsize dns64 header local metadata minimal nsid root``: options, answers, and CoreDNS beside them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from itertools import repeat
from pathlib import Path
from typing import Final

import dns.message
import dns.query
import pytest
from msgspec.structs import replace

from kdns.answers.reply_cache import ReplyCache
from kdns.answers.responder import Responder
from kdns.plugins import acl, any, bufsize, dns64, header, local, metadata, minimal, nsid, root
from kdns.plugins.blocks import Served
from kdns.wire.constants import EdnsOption, Flag, Rcode
from kdns.wire.encode import encode, reply
from kdns.wire.message import FOREVER, Answer, Edns, ExtendedError
from tests.plugins.chains import Chain, question, refusal, settings, told
from tests.plugins.peers import SILENCE, Peers, check

P = acl.Policy
NET4, NET6 = IPv4Network("10.0.0.0/8"), IPv6Network("fd00::/8")

SETTINGS = {
    "acl": ("acl", acl.Settings((acl.Rule((), ()),))),
    "acl lines": ("acl a.org 10.0.0.0/8 {\nallow net 10.0.0.0/8 FD00::/8\nBlock TYPE a AAAA\nfilter type A net 10.1.2.3 ::1\ndrop\n}", acl.Settings((acl.Rule((("a", "org"), ("10", "in-addr", "arpa")), (P("allow", networks=(NET4, NET6)), P("block", frozenset({1, 28})), P("filter", frozenset({1}), (IPv4Network("10.1.2.3/32"), IPv6Network("::1/128"))), P("drop"))),))),
    "acl stars": ("acl {\nblock type A * net * 10.0.0.0/8\n}", acl.Settings((acl.Rule((), (P("block"),)),))),
    "acl both": ("acl a\nacl b", acl.Settings((acl.Rule((("a",),), ()), acl.Rule((("b",),), ())))),
    "acl host bits": ("acl {\nblock net 10.9.9.9/8\n}", acl.Settings((acl.Rule((), (P("block", networks=(NET4,)),)),))),
    "any": ("any", any.Settings()),
    "bufsize": ("bufsize", bufsize.Settings(1232)),
    "bufsize 512": ("bufsize 512", bufsize.Settings(512)),
    "bufsize 4096": ("bufsize 4096", bufsize.Settings(4096)),
    "dns64": ("dns64", dns64.Settings()),
    "dns64 prefix": ("dns64 2001:db8::/96", dns64.Settings(IPv6Network("2001:db8::/96"))),
    "dns64 options": ("dns64 {\nprefix fd00::1/64\ntranslate_all\nallow_ipv4\n}", dns64.Settings(IPv6Network("fd00::/64"), True, True)),
    "header": ("header {\nresponse set ra\n}", header.Settings(response=(("ra", True),))),
    "header lines": ("header {\nQuery SET RD\nresponse clear aa ra\nresponse set rd\n}", header.Settings((("rd", True),), (("aa", False), ("ra", False), ("rd", True)))),
    "local": ("local", local.Settings()),
    "local off": ("local {\nlocalhost_prefix off\n}", local.Settings(prefix=False)),
    "local on": ("local {\nlocalhost_prefix on\n}", local.Settings(prefix=True)),
    "metadata": ("metadata a.org", metadata.Settings((("a", "org"),))),
    "minimal": ("minimal", minimal.Settings()),
    "nsid": ("nsid", nsid.Settings()),
    "nsid words": ("nsid Use The Force", nsid.Settings("Use The Force")),
    "root": ("root /", root.Settings("/")),
    "root not there": ("root /none", root.Settings("/none", ("Corefile:2: root: /none is not a folder (yet)",))),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SETTINGS.values(), ids=SETTINGS.keys())
def test_settings(text: str, expected: object) -> None:
    assert settings(text) == expected


LENGTHS = "takes an IPv6 prefix with a length of 32, 40, 48, 56, 64, 96, got"
REFUSED = {
    "acl action": ("acl {\nallw\n}", "3: allw: unknown action of acl; expected allow, block, filter, drop"),
    "acl section": ("acl {\nallow nets 10.0.0.0/8\n}", "3: allow: expected type or net, found 'nets'"),
    "acl nothing": ("acl {\nallow type net 10.0.0.0/8\n}", "3: allow: nothing stands after type"),
    "acl type": ("acl {\nallow type NOPE\n}", "3: allow: a record type expected, not 'NOPE'"),
    "acl net": ("acl {\nallow net 10.0.0.0/33\n}", "3: allow: '10.0.0.0/33' is not a network, expected one like 10.0.0.0/8"),
    "acl zone": ("acl a..b", "2: not a zone: 'a..b' has an empty label"),
    "any": ("any x", "2: any: takes no argument, got 'x'"),
    "any block": ("any {\nx\n}", "3: x: any has no options"),
    "bufsize small": ("bufsize 511", "2: bufsize: expected octets from 512 to 4096, got '511'"),
    "bufsize large": ("bufsize 4097", "2: bufsize: expected octets from 512 to 4096, got '4097'"),
    "bufsize text": ("bufsize 1k", "2: bufsize: expected octets from 512 to 4096, got '1k'"),
    "bufsize two": ("bufsize 512 512", "2: bufsize: takes exactly one argument, got 2"),
    "dns64 length": ("dns64 2001:db8::/80", f"2: dns64: {LENGTHS} '2001:db8::/80'"),
    "dns64 IPv4": ("dns64 10.0.0.0/8", f"2: dns64: {LENGTHS} '10.0.0.0/8'"),
    "dns64 address": ("dns64 {\nprefix ::1\n}", f"3: prefix: {LENGTHS} '::1'"),
    "dns64 option": ("dns64 {\nprefx ::/96\n}", "3: prefx: not an option of dns64; these are prefix, translate_all, allow_ipv4"),
    "dns64 two": ("dns64 ::/96 ::/96", "2: dns64: takes exactly one argument, got 2"),
    "header": ("header", "2: header: needs a line such as 'response set ra'"),
    "header side": ("header {\nset ra\n}", "3: set: not an option of header; expected query or response"),
    "header action": ("header {\nresponse put ra\n}", "3: response: expected set or clear, found 'put'"),
    "header flags": ("header {\nresponse set\n}", "3: response: expected at least one of aa, ra, rd after set"),
    "header flag": ("header {\nresponse set ad\n}", "3: response: unknown flag 'ad'; expected aa, ra, rd"),
    "local": ("local x", "2: local: takes no argument, got 'x'"),
    "local option": ("local {\nprefix off\n}", "3: prefix: not an option of local; expected localhost_prefix on|off"),
    "local word": ("local {\nlocalhost_prefix no\n}", "3: localhost_prefix: takes on or off, got 'no'"),
    "metadata": ("metadata {\nx\n}", "3: x: metadata has no options"),
    "minimal": ("minimal x", "2: minimal: takes no argument, got 'x'"),
    "nsid": (f"nsid {'x' * 256}", "2: nsid: takes at most 255 octets"),
    "nsid block": ("nsid {\nx\n}", "3: x: nsid has no options"),
    "root": ("root", "2: root: takes exactly one argument, got 0"),
    "root two": ("root a b", "2: root: takes exactly one argument, got 2"),
    "twice": ("nsid\nnsid", "3: nsid: is there already (Corefile:2); a server block takes it once"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str, message: str) -> None:
    assert refusal(text) == message


BEHIND = """
template IN A both.test {
    answer "{{ .Name }} 60 A 192.0.2.1"
    additional "x.test. 60 A 192.0.2.9"
    authority "both.test. 60 NS ns.both.test."
}
template IN AAAA both.test {
    answer "{{ .Name }} 60 AAAA 2001:db8::1"
}
template IN A four.test {
    answer "{{ .Name }} 900 A 192.0.2.4"
    authority "four.test. 60 NS ns.four.test."
}
template IN AAAA four.test {
    authority "four.test. 30 SOA ns.four.test. h.four.test. 1 2 3 4 30"
}
template IN A nosoa.test {
    answer "{{ .Name }} 900 A 192.0.2.5"
}
template IN AAAA nosoa.test {
    rcode NOERROR
}
template IN AAAA six.test {
    answer "{{ .Name }} 60 AAAA 2001:db8::6"
    authority "six.test. 60 NS ns.six.test."
}
template IN A six.test {
    authority "six.test. 30 SOA ns.six.test. h.six.test. 1 2 3 4 30"
}
template IN AAAA six-fails.test {
    answer "{{ .Name }} 60 AAAA 2001:db8::7"
}
template IN A six-fails.test {
    rcode REFUSED
}
template IN ANY none.test {
    rcode NOERROR
}
template IN AAAA mapped.test mapped-only.test {
    answer "{{ .Name }} 60 AAAA ::ffff:192.0.2.7"
}
template IN AAAA mixed.test {
    answer "{{ .Name }} 60 AAAA ::ffff:192.0.2.7" "{{ .Name }} 60 AAAA 2001:db8::8"
}
template IN A mapped.test {
    answer "{{ .Name }} 900 A 192.0.2.6"
}
template IN A mapped-only.test {
    rcode NOERROR
}
template IN AAAA alias.test {
    answer "{{ .Name }} 60 CNAME x.four.test."
}
template IN A alias.test {
    answer "{{ .Name }} 60 CNAME x.four.test."
}
template IN ANY gone.test {
    rcode NXDOMAIN
    authority "gone.test. 60 SOA ns.gone.test. h.gone.test. 1 2 3 4 60"
}
template IN A ref.test {
    authority "ref.test. 60 NS ns.ref.test."
    additional "ns.ref.test. 60 A 192.0.2.53"
}
"""


def chain(directives: str) -> Chain:
    return Chain(f". {{\n{directives}\n{BEHIND}\n}}\n")


# ---- acl

ACL = "acl test {\nallow net 10.0.0.1\nblock type A net 10.0.0.0/24\nfilter type TXT\ndrop type MX net 10.0.0.0/24\n}\nacl {\nblock net 10.0.0.66\n}"
DECISIONS = {
    "allowed": ("a.both.test. A", "10.0.0.1", "allow", 0.0),
    "blocked": ("a.both.test. A", "10.0.0.2", "block", 0.0),
    "other network": ("a.both.test. A", "10.0.1.2", "allow", 0.0),
    "filtered": ("a.both.test. TXT", "10.0.1.2", "filter", 0.0),
    "dropped": ("a.both.test. MX", "10.0.0.2", "drop", 0.0),
    "no policy": ("a.both.test. AAAA", "10.0.0.2", "allow", 0.0),
    "next directive": ("a.both.test. AAAA", "10.0.0.66", "block", 0.0),
    "other zone": ("a.org. A", "10.0.0.2", "allow", 0.0),
    "mapped": ("a.both.test. A", "::ffff:10.0.0.2", "block", 0.0),
    "v6": ("a.both.test. A", "fd00::1%eth0", "allow", 0.0),
    "our own question": ("a.both.test. A", "", "allow", FOREVER),
}  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "client", "action", "kept"), DECISIONS.values(), ids=DECISIONS.keys()
)
def test_acl_decides(asked: str, client: str, action: str, kept: float) -> None:
    answer = chain(ACL).ask(asked, client=client)
    said = "allow"
    if answer.plugin == "acl":
        said = "drop" if answer.silent else {0: "filter", 5: "block"}[answer.rcode]
    assert (said, answer.keep_until) == (action, kept)


def test_acl_for_all_askers_is_kept() -> None:
    server = chain("acl {\nblock type A\n}")
    answer = server.ask("a.both.test. A")
    assert replace(answer, replayed=()) == Answer(
        Rcode.REFUSED, authoritative=False, errors=(ExtendedError(15),), plugin="acl"
    )
    assert server.ask("a.both.test. A", edns=None).errors == ()


def test_acl_counts() -> None:
    server = chain(ACL)
    for asked, client in (
        ("a.both.test. A", "10.0.0.2"),
        ("a.both.test. A", "10.0.0.1"),
        ("a.both.test. MX", "10.0.0.2"),
    ):
        server.ask(asked, client=client)
    lines = server.metrics.expose().decode().splitlines()
    assert {line for line in lines if line.startswith("coredns_acl_")} == {
        'coredns_acl_allowed_requests_total{server="dns://:53",view=""} 1.0',
        'coredns_acl_blocked_requests_total{server="dns://:53",view="",zone="test."} 1.0',
        'coredns_acl_dropped_requests_total{server="dns://:53",view="",zone="test."} 1.0',
    }


def test_what_is_dropped_gets_no_reply() -> None:
    server = chain("acl {\ndrop\n}")
    served = Served((), server.handler, server.metrics.meter("dns://:53", "."))
    responder = Responder("dns://:53", server.metrics, [served])
    responder.cache = ReplyCache()
    request = dns.message.make_query("a.test.", "A").to_wire()
    assert responder.respond(request, "10.0.0.1", 5, "udp", "127.0.0.1") is None
    assert not responder.cache.entries


# ---- the others


def test_any() -> None:
    assert (
        told(chain("any").ask("A.both.test. ANY"))
        == "NOERROR; A.both.test. 8482 HINFO ANY obsoleted\x0cSee RFC 8482"
    )
    assert chain("any").ask("a.both.test. A").plugin == "template"


MINIMAL = {
    "answer": ("a.both.test. A", "NOERROR; a.both.test. 60 A 192.0.2.1"),
    "denial": ("a.gone.test. A", "NXDOMAIN; ns gone.test. 60 SOA ns.gone.test."),
    "NODATA": ("a.four.test. AAAA", "NOERROR; ns four.test. 30 SOA ns.four.test."),
    "referral": ("a.ref.test. A", "NOERROR; ns ref.test. 60 NS ns.ref.test.; + ns.ref.test. 60 A 192.0.2.53"),
    "empty": ("a.nosoa.test. AAAA", "NOERROR"),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "expected"), MINIMAL.values(), ids=MINIMAL.keys())
def test_minimal(asked: str, expected: str) -> None:
    assert told(chain("minimal").ask(asked)) == expected


@pytest.mark.parametrize(("words", "data"), [("", socket.gethostname()), ("a b", "a b")])
def test_nsid(words: str, data: str) -> None:
    server = chain(f"nsid {words}")
    wanted = Edns(options=((EdnsOption.NSID, b""),))
    assert server.ask("a.both.test. A", edns=wanted).options == ((EdnsOption.NSID, data.encode()),)
    assert server.ask("a.both.test. A").options == ()
    assert server.ask("a.both.test. A", edns=None).options == ()


@pytest.mark.parametrize(("asked_for", "got"), [(4096, 700), (700, 700), (600, 600), (100, 512)])
def test_bufsize(asked_for: int, got: int) -> None:
    query = replace(question("a.both.test. A"), edns=Edns(asked_for))
    answer = chain("bufsize 700").ask("a.both.test. A", edns=Edns(asked_for))
    opt = reply(query, encode(query, answer))[-11:]
    assert int.from_bytes(opt[3:5]) == got


HEADERS = {
    "as it is": ("header {\nresponse set aa\n}", True, (True, False, True)),
    "ra": ("header {\nresponse set ra\n}", True, (True, True, True)),
    "clear": ("header {\nresponse clear aa rd\n}", True, (False, False, False)),
    "query": ("header {\nquery clear rd\n}", True, (True, False, False)),
    "query set": ("header {\nquery set rd\n}", False, (True, False, True)),
    "both sides": ("header {\nquery set rd\nresponse clear rd\n}", True, (True, False, False)),
    "several directives": ("header {\nresponse set ra\n}\nheader {\nresponse clear aa\n}", True, (False, True, True)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "desired", "expected"), HEADERS.values(), ids=HEADERS.keys())
def test_header(text: str, desired: bool, expected: tuple[bool, bool, bool]) -> None:
    query = replace(question("a.both.test. A"), flags=Flag.RD if desired else 0)
    answer = chain(text).ask("a.both.test. A", flags=query.flags)
    flags = int.from_bytes(reply(query, encode(query, answer))[:2])
    assert tuple(bool(flags & bit) for bit in (Flag.AA, Flag.RA, Flag.RD)) == expected


LOCAL = {
    "a": ("LocalHost. A", "NOERROR; LocalHost. 604800 A 127.0.0.1"),
    "aaaa": ("localhost. AAAA", "NOERROR; localhost. 604800 AAAA ::1"),
    "ns": ("localhost. NS", "NOERROR; localhost. 604800 NS localhost."),
    "soa": ("127.in-addr.arpa. SOA", "NOERROR; 127.in-addr.arpa. 604800 SOA localhost."),
    "no data": ("localhost. MX", "NOERROR; ns localhost. 604800 SOA localhost."),
    "reverse zone": ("0.in-addr.arpa. A", "NOERROR; ns 0.in-addr.arpa. 604800 SOA localhost."),
    "ptr": ("1.0.0.127.in-addr.arpa. PTR", "NOERROR; 1.0.0.127.in-addr.arpa. 604800 PTR localhost."),
    "ptr, other type": ("1.0.0.127.in-addr.arpa. A", "NOERROR; ns 127.in-addr.arpa. 604800 SOA localhost."),
    "missing": ("2.0.0.127.In-Addr.arpa. PTR", "NXDOMAIN; ns 127.In-Addr.arpa. 604800 SOA localhost."),
    "below": ("a.localhost. A", "NOERROR; a.localhost. 604800 A 127.0.0.1"),
    "below, no data": ("a.localhost. TXT", "NOERROR; ns a.localhost. 604800 SOA localhost."),
    "search list": ("localhost.both.test. AAAA", "NOERROR; localhost.both.test. 604800 AAAA ::1"),
    "elsewhere": ("a.both.test. AAAA", "NOERROR; a.both.test. 60 AAAA 2001:db8::1"),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "expected"), LOCAL.values(), ids=LOCAL.keys())
def test_local(asked: str, expected: str) -> None:
    assert told(chain("local").ask(asked)) == expected


def test_local_without_prefix() -> None:
    server = chain("local {\nlocalhost_prefix off\n}")
    assert server.ask("localhost.both.test. AAAA").plugin == "template"
    assert server.ask("a.localhost. A").plugin == "local"


# RFC 6052 section 2.4
EMBEDDED = {
    "2001:db8::/32": "2001:db8:c000:221::",
    "2001:db8:100::/40": "2001:db8:1c0:2:21::",
    "2001:db8:122::/48": "2001:db8:122:c000:2:2100::",
    "2001:db8:122:300::/56": "2001:db8:122:3c0:0:221::",
    "2001:db8:122:344::/64": "2001:db8:122:344:c0:2:2100::",
    "2001:db8:122:344::/96": "2001:db8:122:344::192.0.2.33",
}


@pytest.mark.parametrize(("prefix", "expected"), EMBEDDED.items(), ids=EMBEDDED.keys())
def test_addresses_are_embedded(prefix: str, expected: str) -> None:
    made = dns64.embed(IPv6Network(prefix), bytes((192, 0, 2, 33)))
    assert IPv6Address(made) == IPv6Address(expected)


TRANSLATED = {
    "translated": ("dns64", "X.four.test. AAAA", "fd00::1", "NOERROR; x.four.test. 30 AAAA 64:ff9b::c000:204; ns four.test. 60 NS ns.four.test."),
    "without SOA": ("dns64", "x.nosoa.test. AAAA", "fd00::1", "NOERROR; x.nosoa.test. 600 AAAA 64:ff9b::c000:205"),
    "over IPv4": ("dns64", "x.four.test. AAAA", "10.0.0.1", "NOERROR; ns four.test. 30 SOA ns.four.test."),
    "over mapped IPv4": ("dns64", "x.four.test. AAAA", "::ffff:10.0.0.1", "NOERROR; ns four.test. 30 SOA ns.four.test."),
    "allow_ipv4": ("dns64 {\nallow_ipv4\nprefix fd00:1::/96\n}", "x.four.test. AAAA", "10.0.0.1", "NOERROR; x.four.test. 30 AAAA fd00:1::c000:204; ns four.test. 60 NS ns.four.test."),
    "has AAAA": ("dns64", "x.both.test. AAAA", "fd00::1", "NOERROR; x.both.test. 60 AAAA 2001:db8::1"),
    "translate_all": ("dns64 {\ntranslate_all\n}", "x.both.test. AAAA", "fd00::1", "NOERROR; x.both.test. 60 AAAA 64:ff9b::c000:201; ns both.test. 60 NS ns.both.test.; + x.test. 60 A 192.0.2.9"),
    "translate_all without A": ("dns64 {\ntranslate_all\n}", "x.six.test. AAAA", "fd00::1", "NOERROR; x.six.test. 60 AAAA 2001:db8::6; ns six.test. 60 NS ns.six.test."),
    "translate_all, A fails": ("dns64 {\ntranslate_all\n}", "x.six-fails.test. AAAA", "fd00::1", "NOERROR; x.six-fails.test. 60 AAAA 2001:db8::7"),
    "translate_all without any": ("dns64 {\ntranslate_all\n}", "x.none.test. AAAA", "fd00::1", "NOERROR"),
    "mapped": ("dns64", "x.mapped.test. AAAA", "fd00::1", "NOERROR; x.mapped.test. 600 AAAA 64:ff9b::c000:206"),
    "mapped, translate_all": ("dns64 {\ntranslate_all\n}", "x.mapped.test. AAAA", "fd00::1", "NOERROR; x.mapped.test. 600 AAAA 64:ff9b::c000:206"),
    "mapped, without A": ("dns64", "x.mapped-only.test. AAAA", "fd00::1", "NOERROR"),
    "mapped, over IPv4": ("dns64", "x.mapped-only.test. AAAA", "10.0.0.1", "NOERROR; x.mapped-only.test. 60 AAAA ::ffff:c000:207"),
    "mapped and others": ("dns64", "x.mixed.test. AAAA", "fd00::1", "NOERROR; x.mixed.test. 60 AAAA 2001:db8::8"),
    "alias": ("dns64", "alias.test. AAAA", "fd00::1", "NOERROR; alias.test. 60 CNAME x.four.test.; x.four.test. 30 AAAA 64:ff9b::c000:204"),
    "no such name": ("dns64", "x.gone.test. AAAA", "fd00::1", "NXDOMAIN; ns gone.test. 60 SOA ns.gone.test."),
    "A stays": ("dns64", "x.four.test. A", "fd00::1", "NOERROR; x.four.test. 900 A 192.0.2.4; ns four.test. 60 NS ns.four.test."),
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "asked", "client", "expected"), TRANSLATED.values(), ids=TRANSLATED.keys()
)
def test_dns64(text: str, asked: str, client: str, expected: str) -> None:
    assert told(chain(text).ask(asked, client=client)) == expected


# ---- CoreDNS beside them

COREFILES: Final[dict[str, tuple[str, tuple[str, ...], dict[str, str]]]] = {
    "any, local, nsid, bufsize, minimal": (
        "any\nlocal\nnsid the server\nbufsize 700\nminimal\n",
        ("a.both.test A", "a.both.test A +edns=4096", "a.both.test A +edns=600", "a.both.test A +nsid", "a.gone.test A", "a.four.test AAAA", "a.ref.test A", "a.nosoa.test AAAA", "a.both.test ANY", "A.b.test ANY +tcp",
         *(f"{name} {rtype}" for name in ("localhost", "a.localhost", "localhost.both.test", "127.in-addr.arpa", "0.in-addr.arpa", "255.in-addr.arpa", "1.0.0.127.in-addr.arpa", "2.0.0.127.in-addr.arpa", "LOCALHOST") for rtype in ("A", "AAAA", "SOA", "NS", "PTR", "TXT"))),
        {},
    ),
    "header": (
        "header {\nquery clear rd\nresponse set ra\nresponse clear aa\n}\n",
        ("a.both.test A", "a.both.test A +norec", "a.gone.test A +edns=1232", "a.nosoa.test AAAA"),
        {},
    ),
    "header rd": ("header {\nquery set rd\n}\n", ("a.both.test A", "a.both.test A +norec"), {}),
    "acl": (
        "acl both.test {\nallow type AAAA net 127.0.0.0/8\nblock type A net 127.0.0.1\nfilter type TXT\ndrop type MX\n}\nacl four.test {\nblock net 10.0.0.0/8\n}\n",
        ("a.both.test A +edns=1232", "a.both.test AAAA", "a.both.test TXT +edns=1232", "a.four.test A", "a.gone.test A", "a.both.test A", "a.both.test TXT"),
        {"a.both.test A": "no OPT to who sent none", "a.both.test TXT": "no OPT to who sent none"},
    ),
    "dns64": (
        "dns64 {\nallow_ipv4\n}\n",
        ("X.four.test AAAA", "x.nosoa.test AAAA", "x.both.test AAAA", "x.gone.test AAAA", "alias.test AAAA", "x.four.test A"),
        {},
    ),
    "dns64 for all": ("dns64 2001:db8::/64 \n", ("x.four.test AAAA", "x.both.test AAAA"), {}),
}  # fmt: skip


@pytest.fixture(params=COREFILES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Peers, str]]:
    running = Peers(f". {{\nbind 127.0.0.1\n{COREFILES[request.param][0]}{BEHIND}\n}}\n", tmp_path)
    yield running, request.param
    running.stop()


def test_same_as_coredns(case: tuple[Peers, str]) -> None:
    peers, name = case
    _, questions, intended = COREFILES[name]
    check(peers, questions, intended)
    if name == "acl":
        with ThreadPoolExecutor() as at_once:  # so that silence costs its seconds once
            said = at_once.map(peers.ask, peers.ports, repeat("a.both.test MX"))
        assert [*said] == [SILENCE, SILENCE]


@pytest.mark.parametrize(
    ("text", "clears"),
    [
        ("response clear ra", True),
        ("response set ra", False),
        ("query clear ra", False),
        ("response set ra\nresponse clear ra", True),
    ],
)
def test_header_can_keep_recursion_from_being_offered(text: str, clears: bool) -> None:
    """Otherwise a block with ``forward .`` sets RA on all its replies."""
    assert header.clears_ra([settings(f"header {{\n{text}\n}}")]) is clears
