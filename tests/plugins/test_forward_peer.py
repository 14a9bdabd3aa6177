"""CoreDNS and kdns before the same name server: forwarding and caching alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.query
import pytest

from kdns.wire.constants import Rcode
from tests.fakes.nameserver import NameServer
from tests.plugins.peers import Peers, check

RECORDS = (
    "a.test. 300 IN A 192.0.2.1",
    "a.test. 300 IN A 192.0.2.2",
    "a.test. 300 IN AAAA 2001:db8::1",
    "short.test. 2 IN A 192.0.2.3",
    "alias.test. 300 IN CNAME a.test.",
    "lost.test. 300 IN CNAME gone.test.",
    "mail.test. 60 IN MX 10 a.test.",
    "_x._tcp.test. 60 IN SRV 1 2 3 a.test.",
    'text.test. 60 IN TXT "one" "two"',
    "1.2.0.192.in-addr.arpa. 60 IN PTR a.test.",
    "big.test. 60 IN TXT " + " ".join(f'"{"x" * 200}"' for _ in range(10)),
    "mixed.test. 10 IN CNAME a.test.",
    "a.except.test. 60 IN A 192.0.2.4",
)
QUESTIONS = (
    *(
        "a.test A",
        "A.TEST A",
        "a.test AAAA",
        "a.test MX",
        "short.test A",
        "alias.test A",
        "alias.test MX",
    ),
    *(
        "alias.test CNAME",
        "lost.test A",
        "lost.test CNAME",
        "no.test A",
        "no.test ANY",
        "mail.test MX",
        "_x._tcp.test SRV",
    ),
    *(
        "text.test TXT",
        "1.2.0.192.in-addr.arpa PTR",
        "a.test A +tcp",
        "big.test TXT +tcp",
        "a.test A +norec",
    ),
    *("a.test A +edns=1232", "no.test A +edns=1232", "a.except.test A", "big.test TXT +edns=1200"),
    "big.test TXT +edns=4096",
)

INTENDED = {
    "a.except.test A": "RA: every other name can be asked for",
    "big.test TXT +edns=4096": "no datagram is larger than 1,232 octets",
}
ALSO_CACHED = {
    "mixed.test A": "each record its own TTL",
    "lost.test A": "an alias to what does not exist is kept as well (RFC 2308)",
}

COREFILE = """\
. {
    bind 127.0.0.1
    errors
    CACHE
    forward . 127.0.0.1:UPSTREAM {
        except except.test
        max_concurrent 1000
        max_fails 0
    }
}
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[NameServer]:
    with NameServer(*RECORDS) as server:
        yield server


@pytest.fixture(autouse=True)
def well(upstream: NameServer) -> None:
    upstream.fault, upstream.rcode = "", None
    upstream.flags, upstream.minimum, upstream.soa_ttl = dns.flags.RA, 60, 300


@pytest.fixture(scope="module", params=["", "cache 30"], ids=["forward", "forward and cache"])
def peers(
    request: pytest.FixtureRequest,
    upstream: NameServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Peers]:
    folder: Path = tmp_path_factory.mktemp("forward")
    corefile = COREFILE.replace("CACHE", request.param).replace("UPSTREAM", str(upstream.port))
    running = Peers(corefile, folder)
    yield running
    running.stop()


def is_cached(request: pytest.FixtureRequest) -> bool:
    return bool(request.node.callspec.params["peers"])


def test_fetched(peers: Peers, request: pytest.FixtureRequest) -> None:
    intended = INTENDED | (ALSO_CACHED if is_cached(request) else {})
    check(peers, (*QUESTIONS, *ALSO_CACHED), intended)


def test_kept(peers: Peers) -> None:
    """Asked again."""
    for question in QUESTIONS:
        if question in INTENDED or question in ALSO_CACHED:
            continue
        ours, theirs = peers.both(question)
        assert peers.agree(ours, theirs), f"{question}\n{ours}\n{theirs}"


@pytest.mark.parametrize("rcode", [Rcode.SERVFAIL, Rcode.REFUSED, Rcode.NOTIMP, Rcode.FORMERR])
def test_rcodes(peers: Peers, upstream: NameServer, rcode: Rcode) -> None:
    upstream.rcode = rcode
    for _ in range(2):
        ours, theirs = peers.both(f"{rcode.name}.test A")
        assert ours == theirs


def test_nobody_there(peers: Peers, upstream: NameServer) -> None:
    upstream.stop()
    try:
        ours, theirs = peers.both("dead.test A")
    finally:
        upstream.start()
    assert (ours, theirs) == ("SERVFAIL RD RA", "SERVFAIL RD")


def test_truncated(peers: Peers, upstream: NameServer) -> None:
    """CoreDNS hands it on; kdns asks over TCP and has the answer."""
    upstream.fault = "truncate"
    ours, theirs = peers.both("text.test TXT +edns=1200")
    assert theirs.startswith("NOERROR TC RD RA") or "text.test" in theirs  # kept from before
    assert ours.startswith("NOERROR RD RA")
    assert "text.test" in ours


def test_denials(peers: Peers, upstream: NameServer, request: pytest.FixtureRequest) -> None:
    """How long they are kept, and for which types: with CoreDNS for the one that was asked for."""
    upstream.minimum = 20
    ttls = [int(*re.findall(r" (\d+) in soa ", reply)) for reply in peers.both("denied.test A")]
    upstream.rcode = Rcode.REFUSED
    rcodes = [reply.split()[0] for reply in peers.both("denied.test AAAA")]
    if is_cached(request):
        assert [-(ttl // -10) for ttl in ttls] == [2, 3]  # 20 and 30, but for seconds that went by
        assert rcodes == ["NXDOMAIN", "REFUSED"]
    else:
        assert (ttls, rcodes) == ([300, 300], ["REFUSED", "REFUSED"])


def test_without_rd(peers: Peers, upstream: NameServer, request: pytest.FixtureRequest) -> None:
    """CoreDNS tells what others asked for."""
    peers.both("mail.test MX")
    upstream.rcode = Rcode.REFUSED
    rcodes = [reply.split()[0] for reply in peers.both("mail.test MX +norec")]
    assert rcodes == ["REFUSED", "NOERROR" if is_cached(request) else "REFUSED"]


@pytest.mark.parametrize(
    ("wanted", "ours"),
    [(0, 0), (dns.flags.AD, dns.flags.AD), (dns.flags.CD, dns.flags.CD)],
    ids=["nothing", "AD", "CD"],
)
def test_authentic_data(
    peers: Peers, upstream: NameServer, request: pytest.FixtureRequest, wanted: int, ours: int
) -> None:
    """CoreDNS has AD as the upstream says, behind ``cache`` for who asks for it, and CD never."""
    upstream.flags = dns.flags.RA | dns.flags.AD
    query = dns.message.make_query(f"authentic{wanted}.test", "A")
    query.flags = dns.flags.Flag(dns.flags.RD | wanted)
    told = {
        name: dns.query.udp(query, "127.0.0.1", 5, port).flags & (dns.flags.AD | dns.flags.CD)
        for name, port in peers.ports.items()
    }
    theirs = wanted & dns.flags.AD if is_cached(request) else dns.flags.AD
    assert told == {"kdns": ours, "coredns": theirs}
