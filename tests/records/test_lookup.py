"""What each name answers: one cluster, tables of questions."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kdns.records.index import Index
from kdns.records.lookup import lookup
from kdns.records.objects import (
    Endpoint,
    Gone,
    Kind,
    Namespace,
    Object,
    Pod,
    Port,
    Put,
    Service,
    Slice,
)
from kdns.records.outcome import Outcome, PodMode, Reason, View
from kdns.wire.constants import Type, type_name
from kdns.wire.message import Record
from kdns.wire.names import from_wire, wire_from_text, wire_to_text
from tests.records import probes
from tests.records.probes import ZONES

HTTP, DNS, DNS_TCP = Port("http", "tcp", 80), Port("dns", "udp", 53), Port("dns-tcp", "tcp", 53)
UNNAMED = Port("", "tcp", 7)


def slice_of(
    service: str, *endpoints: Endpoint, ports: tuple[Port, ...] = (HTTP,), at: int = 1
) -> Slice:
    return Slice("shop", f"{service}-{at}", service, endpoints, ports)


OBJECTS: tuple[Object, ...] = (
    Namespace("shop"),
    Namespace("empty"),
    Service("hidden", "web", cluster_ips=("10.0.9.1",), ports=(HTTP,)),
    # ClusterIPs
    Service("shop", "web", cluster_ips=("10.0.0.1",), ports=(HTTP, DNS, DNS_TCP, UNNAMED)),
    slice_of("web", Endpoint(("172.0.0.1",), hostname="ep"), Endpoint(("172.0.0.2",), ready=False)),
    Service("shop", "dual", cluster_ips=("10.0.0.2", "fd00::2"), ports=(HTTP,)),
    Service("shop", "six", cluster_ips=("fd00::3",), ports=(HTTP,)),
    Service("shop", "portless", cluster_ips=("10.0.0.4",)),
    Service("shop", "pending", ports=(HTTP,)),
    # headless
    Service("shop", "db", headless=True, ports=(HTTP,)),
    slice_of(
        "db",
        Endpoint(("172.0.1.1",), hostname="db-0", pod="db-0", zone="a"),
        Endpoint(("172.0.1.2",), hostname="db-1", pod="db-1", zone="b"),
        Endpoint(("172.0.1.3",), pod="db-x"),
        Endpoint(("172.0.1.4",), ready=False, hostname="db-4"),
    ),
    slice_of("db", Endpoint(("fd00:1::",)), Endpoint(("fd00:1::1",), hostname="db-0"), at=2),
    Service("shop", "twice", headless=True, ports=(HTTP,)),
    slice_of(
        "twice",
        Endpoint(("172.0.2.1",), hostname="same"),
        Endpoint(("172.0.2.2",), hostname="same"),
    ),
    slice_of("twice", Endpoint(("172.0.2.1",), hostname="same"), at=2),
    Service("shop", "none", headless=True, ports=(HTTP,)),
    slice_of("none", Endpoint(("172.0.3.1",), ready=False)),
    Service("shop", "bare", headless=True),
    slice_of("bare", Endpoint(("172.0.4.1",)), ports=()),
    Service("shop", "long", headless=True, ports=(HTTP,)),
    slice_of(
        "long",
        Endpoint(("172.0.5.1",), hostname="日本"),
        Endpoint(("172.0.5.2",), hostname="x" * 64),
    ),
    # aliases
    Service("shop", "out", external_name="Raw.Example.org"),
    Service("shop", "dotted", external_name="example.org."),
    Service("shop", "in", external_name="web.shop.svc.cluster.local"),
    Service("shop", "address", external_name="192.0.2.1"),
    Service("shop", "nonsense", external_name="a..b"),
    # what no Service stands behind
    Slice("shop", "lost-1", "", (Endpoint(("172.0.6.1",)),), (HTTP,)),
    Slice("shop", "gone-1", "gone", (Endpoint(("172.0.6.2",), hostname="g"),), (HTTP,)),
    Slice("hidden", "db-1", "db", (Endpoint(("172.0.1.1",), hostname="h"),), (HTTP,)),
    Pod("shop", "p", ("10.244.0.1", "fd00:70:3::")),
    Pod("hidden", "q", ("10.244.0.2",)),
)
INDEX = probes.synced(OBJECTS)
VIEW = View(ZONES, ttl=5)


def asked(text: str, index: Index = INDEX, view: View = VIEW) -> Outcome:
    """The outcome for ``NAME TYPE``; the name is below cluster.local without a final dot."""
    name, kind = text.split()
    qname = wire_from_text(name, wire_from_text("cluster.local."))
    labels = from_wire(qname)
    zone = max((z for z in view.zones if labels[-len(z) :] == z), key=len)
    return lookup(index, view, zone, qname, labels, Type[kind])


def said(outcome: Outcome) -> list[str]:
    """Sorted lines ``TYPE DATA`` and ``+NAME TYPE DATA`` for additional records; or NODATA, NXDOMAIN."""
    if not outcome.answer:
        return ["NODATA" if outcome.exists else "NXDOMAIN"]
    assert outcome.exists
    return sorted(map(line, outcome.answer)) + sorted(
        f"+{short(record.owner)} {line(record)}" for record in outcome.additional
    )


def short(wire: bytes) -> str:
    return wire_to_text(wire).removesuffix(".cluster.local.")


def line(record: Record) -> str:
    data = record.rdata
    match record.rtype:
        case Type.A | Type.AAAA:
            text = str(ip_address(data))
        case Type.SRV:
            numbers = [str(int.from_bytes(data[at : at + 2], "big")) for at in (0, 2, 4)]
            text = " ".join([*numbers, short(data[6:])])
        case Type.TXT:
            text = repr(data[1:].decode())
        case _:
            text = short(data)
    return f"{type_name(record.rtype)} {text}"


def check(view: View, question: str, expected: str) -> None:
    assert said(asked(question, view=view)) == [part.strip() for part in expected.split(";")]


WEB = "+web.shop.svc A 10.0.0.1"
DUAL = "+dual.shop.svc A 10.0.0.2; +dual.shop.svc AAAA fd00::2"

TREE = {
    "cluster.local. A": "NODATA",
    "cluster.local. TXT": "NODATA",
    "cluster.local. MX": "NODATA",
    "dns-version TXT": "TXT '1.1.0'",
    "dns-version A": "NODATA",
    "x.dns-version TXT": "NXDOMAIN",
    "dns A": "NODATA",
    "dns TXT": "NODATA",
    "x.dns A": "NXDOMAIN",
    "svc A": "NODATA",
    "svc TXT": "NODATA",
    "svc SOA": "NODATA",
    "pod A": "NODATA",
    "pod TXT": "NODATA",
    "nope A": "NXDOMAIN",
    "nope SOA": "NXDOMAIN",
    "*.shop.svc A": "NXDOMAIN",
    "any.any.svc A": "NXDOMAIN",
    "shop.svc A": "NODATA",
    "shop.svc TXT": "NODATA",
    "empty.svc A": "NODATA",
    "hidden.svc A": "NXDOMAIN",
    "nope.svc A": "NXDOMAIN",
    "web.hidden.svc A": "NXDOMAIN",
    "web.empty.svc A": "NXDOMAIN",
    "nope.shop.svc A": "NXDOMAIN",
    "nope.shop.svc SOA": "NXDOMAIN",
    "nope.shop.svc TXT": "NXDOMAIN",
}

CLUSTER_IP = {
    "web.shop.svc A": "A 10.0.0.1",
    "WEB.Shop.SVC A": "A 10.0.0.1",
    "web.shop.svc AAAA": "NODATA",
    "dual.shop.svc A": "A 10.0.0.2",
    "dual.shop.svc AAAA": "AAAA fd00::2",
    "six.shop.svc A": "NODATA",
    "six.shop.svc AAAA": "AAAA fd00::3",
    # one SRV for each port, named or not; TCP 53 and UDP 53 are one, but their shares count
    "web.shop.svc SRV": (
        "SRV 0 25 53 web.shop.svc; SRV 0 25 7 web.shop.svc; SRV 0 25 80 web.shop.svc;" + WEB
    ),
    "_http._tcp.web.shop.svc SRV": "SRV 0 100 80 web.shop.svc;" + WEB,
    "_HTTP._Tcp.web.shop.svc SRV": "SRV 0 100 80 web.shop.svc;" + WEB,
    "http.tcp.web.shop.svc SRV": "SRV 0 100 80 web.shop.svc;" + WEB,
    "_._udp.web.shop.svc SRV": "SRV 0 100 53 web.shop.svc;" + WEB,
    "_http._.web.shop.svc SRV": "SRV 0 100 80 web.shop.svc;" + WEB,
    "_dns._udp.web.shop.svc A": "A 10.0.0.1",
    "_dns._udp.web.shop.svc TXT": "NODATA",
    "_dns._tcp.web.shop.svc SRV": "NXDOMAIN",
    "_http._udp.web.shop.svc SRV": "NXDOMAIN",
    "_nope._tcp.web.shop.svc SRV": "NXDOMAIN",
    "_tcp.web.shop.svc SRV": "NODATA",
    "_udp.web.shop.svc A": "NODATA",
    "_sctp.web.shop.svc A": "NXDOMAIN",
    "_icmp.web.shop.svc A": "NXDOMAIN",
    "dual.shop.svc SRV": "SRV 0 50 80 dual.shop.svc;" + DUAL,
    "_http._tcp.dual.shop.svc SRV": "SRV 0 50 80 dual.shop.svc;" + DUAL,
    "portless.shop.svc A": "A 10.0.0.4",
    "portless.shop.svc SRV": "NODATA",
    "_x._tcp.portless.shop.svc SRV": "NXDOMAIN",
    "_tcp.portless.shop.svc SRV": "NXDOMAIN",
    "pending.shop.svc A": "NODATA",
    "ep.web.shop.svc A": "A 172.0.0.1",
    "ep.web.shop.svc SRV": "SRV 0 100 80 ep.web.shop.svc; +ep.web.shop.svc A 172.0.0.1",
    "172-0-0-1.web.shop.svc A": "NXDOMAIN",
    "172-0-0-2.web.shop.svc A": "NXDOMAIN",
    "x.ep.web.shop.svc A": "NXDOMAIN",
    "a.b.c.web.shop.svc A": "NXDOMAIN",
    "a.pin._zone.web.shop.svc A": "NXDOMAIN",
    "web.shop.svc CNAME": "NODATA",
    "web.shop.svc MX": "NODATA",
    "web.shop.svc PTR": "NODATA",
    "web.shop.svc HTTPS": "NODATA",
    "web.shop.svc SOA": "NODATA",
    "web.shop.svc NS": "NODATA",
}

EP = "+172-0-1-3.db.shop.svc A 172.0.1.3; +db-0.db.shop.svc A 172.0.1.1; +db-0.db.shop.svc AAAA fd00:1::1"
EP_SRV = (
    "SRV 0 20 80 172-0-1-3.db.shop.svc; SRV 0 20 80 db-0.db.shop.svc; SRV 0 20 80 db-1.db.shop.svc"
)
ALL_SRV = (
    f"{EP_SRV}; SRV 0 20 80 fd00-1--0.db.shop.svc; {EP}; +db-1.db.shop.svc A 172.0.1.2;"
    "+fd00-1--0.db.shop.svc AAAA fd00:1::"
)

HEADLESS = {
    "db.shop.svc A": "A 172.0.1.1; A 172.0.1.2; A 172.0.1.3",
    "db.shop.svc AAAA": "AAAA fd00:1::; AAAA fd00:1::1",
    "db.shop.svc SRV": ALL_SRV,
    "_http._tcp.db.shop.svc SRV": ALL_SRV,
    "_http._tcp.db.shop.svc A": "A 172.0.1.1; A 172.0.1.2; A 172.0.1.3",
    "_nope._tcp.db.shop.svc SRV": "NXDOMAIN",
    "_tcp.db.shop.svc SRV": "NODATA",
    "_udp.db.shop.svc SRV": "NXDOMAIN",
    "db-0.db.shop.svc A": "A 172.0.1.1",
    "DB-0.db.shop.svc AAAA": "AAAA fd00:1::1",
    "db-1.db.shop.svc AAAA": "NODATA",
    "172-0-1-3.db.shop.svc A": "A 172.0.1.3",
    "fd00-1--0.db.shop.svc AAAA": "AAAA fd00:1::",
    "db-x.db.shop.svc A": "NXDOMAIN",
    "db-4.db.shop.svc A": "NXDOMAIN",
    "172-0-1-1.db.shop.svc A": "NXDOMAIN",
    "db.shop.svc TXT": "NODATA",
    "twice.shop.svc A": "A 172.0.2.1; A 172.0.2.2",
    "same.twice.shop.svc A": "A 172.0.2.1; A 172.0.2.2",
    "twice.shop.svc SRV": (
        "SRV 0 33 80 same.twice.shop.svc;"
        "+same.twice.shop.svc A 172.0.2.1; +same.twice.shop.svc A 172.0.2.2"
    ),
    "none.shop.svc A": "NXDOMAIN",
    "none.shop.svc SRV": "NXDOMAIN",
    "none.shop.svc TXT": "NXDOMAIN",
    "_http._tcp.none.shop.svc SRV": "NXDOMAIN",
    "_tcp.none.shop.svc SRV": "NXDOMAIN",
    "bare.shop.svc A": "A 172.0.4.1",
    "bare.shop.svc SRV": "NODATA",
    "172-0-4-1.bare.shop.svc SRV": "NODATA",
    "long.shop.svc A": "A 172.0.5.1; A 172.0.5.2",
    "long.shop.svc SRV": "NODATA",
    "gone.shop.svc A": "NXDOMAIN",
}

EXTERNAL = {
    "out.shop.svc A": "CNAME Raw.Example.org.",
    "out.shop.svc TXT": "CNAME Raw.Example.org.",
    "out.shop.svc SRV": "CNAME Raw.Example.org.",
    "out.shop.svc CNAME": "CNAME Raw.Example.org.",
    "dotted.shop.svc A": "CNAME example.org.",
    "in.shop.svc A": "CNAME web.shop.svc",
    "ep.out.shop.svc A": "NXDOMAIN",
    "_http._tcp.out.shop.svc SRV": "NXDOMAIN",
    "address.shop.svc A": "NXDOMAIN",
    "nonsense.shop.svc A": "NXDOMAIN",
}

REVERSE = {
    "1.0.0.10.in-addr.arpa. PTR": "PTR web.shop.svc",
    "1.0.0.10.IN-ADDR.arpa. PTR": "PTR web.shop.svc",
    "1.0.0.10.in-addr.arpa. A": "NODATA",
    "1.0.0.10.in-addr.arpa. TXT": "NODATA",
    "x.1.0.0.10.in-addr.arpa. PTR": "NXDOMAIN",
    "1.0.0.172.in-addr.arpa. PTR": "PTR ep.web.shop.svc",
    "2.0.0.172.in-addr.arpa. PTR": "NXDOMAIN",
    "1.2.0.172.in-addr.arpa. PTR": "PTR same.twice.shop.svc",
    "3.1.0.172.in-addr.arpa. PTR": "PTR 172-0-1-3.db.shop.svc",
    "1.1.0.172.in-addr.arpa. PTR": "PTR db-0.db.shop.svc",
    "1.6.0.172.in-addr.arpa. PTR": "NXDOMAIN",
    "2.6.0.172.in-addr.arpa. PTR": "PTR g.gone.shop.svc",
    "1.5.0.172.in-addr.arpa. PTR": "NXDOMAIN",
    "2.5.0.172.in-addr.arpa. PTR": "NXDOMAIN",
    "1.9.0.10.in-addr.arpa. PTR": "NXDOMAIN",
    "1.0.244.10.in-addr.arpa. PTR": "NXDOMAIN",
    "9.0.0.10.in-addr.arpa. PTR": "NXDOMAIN",
    "0.0.10.in-addr.arpa. PTR": "NODATA",
    "10.in-addr.arpa. TXT": "NODATA",
    "11.in-addr.arpa. PTR": "NXDOMAIN",
    "010.in-addr.arpa. PTR": "NXDOMAIN",
    "1.0.010.in-addr.arpa. PTR": "NXDOMAIN",
    "in-addr.arpa. A": "NODATA",
    "dns.in-addr.arpa. A": "NODATA",
    "x.in-addr.arpa. A": "NXDOMAIN",
    "ip6.arpa. PTR": "NODATA",
    "d.f.ip6.arpa. PTR": "NODATA",
    "df.ip6.arpa. PTR": "NXDOMAIN",
    "2.ip6.arpa. PTR": "NXDOMAIN",
    f"2{'.0' * 27}.0.0.d.f.ip6.arpa. PTR": "PTR dual.shop.svc",
    f"0{'.0' * 23}.1.0.0.0.0.0.d.f.ip6.arpa. PTR": "PTR fd00-1--0.db.shop.svc",
}


@pytest.mark.parametrize(
    ("question", "expected"),
    [each for table in (TREE, CLUSTER_IP, HEADLESS, EXTERNAL, REVERSE) for each in table.items()],
)
def test_answers(question: str, expected: str) -> None:
    check(VIEW, question, expected)


PODS = {
    PodMode.DISABLED: {
        "shop.pod A": "NXDOMAIN",
        "10-244-0-1.shop.pod A": "NXDOMAIN",
        "nope.pod A": "NXDOMAIN",
    },
    PodMode.INSECURE: {
        "pod A": "NODATA",
        "shop.pod A": "NODATA",
        "nope.pod A": "NXDOMAIN",
        "10-9-8-7.shop.pod A": "A 10.9.8.7",
        "10-9-8-7.shop.pod AAAA": "NODATA",
        "10-9-8-7.shop.pod SRV": "NODATA",
        "10-9-8-7.hidden.pod A": "NXDOMAIN",
        "10-9-8-7.nope.pod A": "NXDOMAIN",
        "x.10-9-8-7.shop.pod A": "A 10.9.8.7",
        "fd00-70-3--.shop.pod AAAA": "AAAA fd00:70:3::",
        "--1.shop.pod AAAA": "AAAA ::1",
        "1-2-3-4-5-6-7-8.shop.pod AAAA": "AAAA 1:2:3:4:5:6:7:8",
        "1-2-3-4-5-6-7-8.shop.pod A": "NODATA",
        "--ffff-a00-1.shop.pod A": "A 10.0.0.1",
        "--ffff-a00-1.shop.pod AAAA": "NODATA",
        "10-0-0-256.shop.pod A": "NXDOMAIN",
        "10-0-0-01.shop.pod A": "NXDOMAIN",
        "10-0-0.shop.pod A": "NXDOMAIN",
        "10-0--0-1.shop.pod AAAA": "AAAA 10::1",
        "web.shop.pod A": "NXDOMAIN",
        "fe80--1%eth0.shop.pod AAAA": "NXDOMAIN",
    },
    PodMode.VERIFIED: {
        "shop.pod A": "NODATA",
        "10-244-0-1.shop.pod A": "A 10.244.0.1",
        "fd00-70-3--.shop.pod AAAA": "AAAA fd00:70:3::",
        "fd00-70-3--0.shop.pod AAAA": "AAAA fd00:70:3::",
        "10-244-0-2.shop.pod A": "NXDOMAIN",
        "10-244-0-2.hidden.pod A": "NXDOMAIN",
        "10-244-0-9.shop.pod A": "NXDOMAIN",
    },
}


@pytest.mark.parametrize("mode", PodMode)
def test_pods(mode: PodMode) -> None:
    for question, expected in PODS[mode].items():
        check(replace(VIEW, pods=mode), question, expected)


OPTIONS: list[tuple[View, dict[str, str]]] = [
    (
        replace(VIEW, endpoint_pod_names=True),
        {
            "db-x.db.shop.svc A": "A 172.0.1.3",
            "172-0-1-3.db.shop.svc A": "NXDOMAIN",
            "3.1.0.172.in-addr.arpa. PTR": "PTR db-x.db.shop.svc",
        },
    ),
    (
        replace(VIEW, zonal=True),
        {
            "_zone.db.shop.svc A": "NODATA",
            "pin._zone.db.shop.svc A": "NODATA",
            "x._zone.db.shop.svc A": "NXDOMAIN",
            "a.x._zone.db.shop.svc A": "NXDOMAIN",
            "a.pin._zone.db.shop.svc A": "A 172.0.1.1",
            "A.pin._zone.db.shop.svc SRV": "SRV 0 100 80 db-0.db.shop.svc; +db-0.db.shop.svc A 172.0.1.1",
            "a.pin._zone.db.shop.svc AAAA": "NODATA",
            "c.pin._zone.db.shop.svc A": "NODATA",
            "b.prefer._zone.db.shop.svc A": "A 172.0.1.2",
            "c.prefer._zone.db.shop.svc A": "A 172.0.1.1; A 172.0.1.2; A 172.0.1.3",
            "a.pin._zone.none.shop.svc A": "NXDOMAIN",
            "a.pin._zone.web.shop.svc A": "NXDOMAIN",
            "a.pin._zone.out.shop.svc A": "NXDOMAIN",
            "_http._tcp.db.shop.svc A": "A 172.0.1.1; A 172.0.1.2; A 172.0.1.3",
        },
    ),
    (
        replace(VIEW, ignore_empty=True),
        {
            "web.shop.svc A": "A 10.0.0.1",
            "dual.shop.svc A": "NXDOMAIN",
            "dual.shop.svc TXT": "NXDOMAIN",
            "_http._tcp.dual.shop.svc SRV": "NXDOMAIN",
            "out.shop.svc CNAME": "CNAME Raw.Example.org.",
            "db.shop.svc A": "A 172.0.1.1; A 172.0.1.2; A 172.0.1.3",
            "2.0.0.10.in-addr.arpa. PTR": "PTR dual.shop.svc",
        },
    ),
    (
        replace(VIEW, endpoints=False),
        {
            "web.shop.svc A": "A 10.0.0.1",
            "_http._tcp.web.shop.svc SRV": "SRV 0 100 80 web.shop.svc;" + WEB,
            "_tcp.web.shop.svc SRV": "NODATA",
            "ep.web.shop.svc A": "NXDOMAIN",
            "db.shop.svc A": "NXDOMAIN",
            "_tcp.db.shop.svc A": "NXDOMAIN",
        },
    ),
    (replace(VIEW, endpoints=False, ignore_empty=True), {"dual.shop.svc A": "NXDOMAIN"}),
    (
        replace(VIEW, namespaces=frozenset({"empty", "unknown"})),
        {
            "shop.svc A": "NXDOMAIN",
            "web.shop.svc A": "NXDOMAIN",
            "empty.svc A": "NODATA",
            "unknown.svc A": "NXDOMAIN",
            "1.0.0.10.in-addr.arpa. PTR": "NXDOMAIN",
            "1.1.0.172.in-addr.arpa. PTR": "NXDOMAIN",
        },
    ),
    (
        replace(VIEW, zones=(("in-addr", "arpa"), ("a", "b"), *ZONES)),
        {"1.0.0.10.in-addr.arpa. PTR": "PTR web.shop.svc.a.b."},
    ),
    (replace(VIEW, zones=(("10", "in-addr", "arpa"), *ZONES)), {"10.in-addr.arpa. TXT": "NODATA"}),
]


@pytest.mark.parametrize(
    ("view", "question", "expected"),
    [(view, *each) for view, table in OPTIONS for each in table.items()],
)
def test_options(view: View, question: str, expected: str) -> None:
    check(view, question, expected)


def test_ttl() -> None:
    view = replace(VIEW, ttl=30)
    for question in (
        "web.shop.svc A",
        "db.shop.svc SRV",
        "out.shop.svc A",
        "1.0.0.10.in-addr.arpa. PTR",
    ):
        outcome = asked(question, view=view)
        assert {r.ttl for r in (*outcome.answer, *outcome.additional)} == {30}
    assert asked("dns-version TXT", view=view).answer[0].ttl == 28800


def test_letter_case() -> None:
    """Owners echo the question; a target has the object's labels and the question's zone."""
    outcome = asked("_Http._TCP.Web.SHOP.Svc.Cluster.LOCAL. SRV")
    (record,) = outcome.answer
    assert wire_to_text(record.owner) == "_Http._TCP.Web.SHOP.Svc.Cluster.LOCAL."
    assert wire_to_text(record.rdata[6:]) == "web.shop.svc.Cluster.LOCAL."
    assert wire_to_text(outcome.additional[0].owner) == "web.shop.svc.Cluster.LOCAL."
    (pointer,) = asked("1.0.0.10.In-Addr.ARPA. PTR").answer
    assert wire_to_text(pointer.owner) == "1.0.0.10.In-Addr.ARPA."
    assert wire_to_text(pointer.rdata) == "web.shop.svc.cluster.local."


def test_srv_weight_is_never_zero() -> None:
    many = tuple(Endpoint((f"172.1.{at // 250}.{at % 250}",)) for at in range(300))
    index = probes.synced((*OBJECTS, slice_of("none", *many, at=9)))
    weights = {record.rdata[2:4] for record in asked("none.shop.svc SRV", index).answer}
    assert weights == {b"\0\1"}


REASONS = {
    "web.shop.svc TXT": Reason.NO_SUCH_TYPE,
    "dns A": Reason.EMPTY_NON_TERMINAL,
    "10.in-addr.arpa. A": Reason.EMPTY_NON_TERMINAL,
    "_tcp.web.shop.svc A": Reason.EMPTY_NON_TERMINAL,
    "nope A": Reason.NOT_A_KUBERNETES_NAME,
    "web.hidden.svc A": Reason.NO_NAMESPACE,
    "nope.shop.svc A": Reason.NO_SERVICE,
    "none.shop.svc A": Reason.NO_READY_ENDPOINT,
    "x.web.shop.svc A": Reason.NO_SUCH_ENDPOINT,
    "_x._tcp.web.shop.svc A": Reason.NO_SUCH_PORT,
    "x.out.shop.svc A": Reason.BELOW_EXTERNAL_NAME,
    "address.shop.svc A": Reason.EXTERNAL_NAME_IS_ADDRESS,
    "10-0-0-1.shop.pod A": Reason.PODS_DISABLED,
    "9.9.9.9.in-addr.arpa. PTR": Reason.NO_NAME_AT_ADDRESS,
}


@pytest.mark.parametrize(("question", "reason"), REASONS.items())
def test_reasons(question: str, reason: Reason) -> None:
    outcome = asked(question)
    assert outcome.reason is reason
    assert outcome.asked is not None


NEEDS = {
    "web.hidden.svc A": {Kind.NAMESPACE},
    "nope.svc A": {Kind.NAMESPACE},
    "nope.shop.svc A": {Kind.SERVICE},
    "none.shop.svc A": {Kind.SLICE},
    "x.web.shop.svc A": {Kind.SLICE},
    "9.9.9.9.in-addr.arpa. PTR": {Kind.SERVICE, Kind.SLICE},
    "9.in-addr.arpa. PTR": {Kind.SERVICE, Kind.SLICE},
    "1.9.0.10.in-addr.arpa. PTR": {Kind.SERVICE, Kind.SLICE, Kind.NAMESPACE},
    "nope A": set(),
    "_x._tcp.web.shop.svc A": set(),
}


@pytest.mark.parametrize(("question", "kinds"), NEEDS.items())
def test_what_must_be_known_before_a_name_is_denied(question: str, kinds: set[Kind]) -> None:
    assert set(asked(question).needs) == kinds


def test_a_service_proves_its_namespace_until_namespaces_are_listed() -> None:
    index = Index()
    index.apply(Put(Service("shop", "web", cluster_ips=("10.0.0.1",))), now=1)
    assert said(asked("web.shop.svc A", index)) == ["A 10.0.0.1"]
    assert said(asked("web.shop.svc A", index, replace(VIEW, labelled=True))) == ["NXDOMAIN"]
    index.synced.add(Kind.NAMESPACE)
    assert said(asked("web.shop.svc A", index)) == ["NXDOMAIN"]


def test_an_address_of_two_services_has_one_name_whoever_came_first() -> None:
    pair = [Service("shop", name, cluster_ips=("10.0.0.1",)) for name in ("b", "a")]
    for order in (pair, pair[::-1]):
        index = probes.synced((Namespace("shop"), *order))
        assert said(asked("1.0.0.10.in-addr.arpa. PTR", index)) == ["PTR a.shop.svc"]
    index.apply(Gone(Kind.SERVICE, "shop", "a"), now=2)
    assert said(asked("1.0.0.10.in-addr.arpa. PTR", index)) == ["PTR b.shop.svc"]


labels = st.lists(
    st.one_of(
        st.sampled_from(
            ["svc", "pod", "shop", "web", "db", "_tcp", "_http", "_zone", "pin", "out"]
        ),
        st.binary(min_size=1, max_size=12).map(lambda found: found.lower().decode("latin-1")),
    ),
    max_size=6,
)


@given(
    labels,
    st.sampled_from(ZONES),
    st.sampled_from([Type.A, Type.AAAA, Type.SRV, Type.PTR, Type.ANY]),
    st.sampled_from(sorted(probes.VIEWS)),
)
def test_any_name_has_an_outcome(
    left: list[str], zone: tuple[str, ...], qtype: int, view: str
) -> None:
    name = (*left, *zone)
    wire = b"".join(bytes((len(x),)) + x.encode("latin-1") for x in name) + b"\0"
    outcome = lookup(INDEX, probes.VIEWS[view], zone, wire, name, qtype)
    assert not (outcome.answer and not outcome.exists)
    assert bool(outcome.answer) != bool(outcome.reason)
    assert all(record.owner == wire for record in outcome.answer)
