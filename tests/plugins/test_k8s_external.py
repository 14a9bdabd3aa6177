# ruff: noqa: E501  (a table row per case reads best on one line)
"""``k8s_external`` and ``autopath @kubernetes``: options, and answers from a cluster's objects."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import pytest
from msgspec.structs import replace

from kdns.plugins import autopath, k8s_external
from kdns.plugins.zones import Fallthrough
from kdns.records.index import Index
from kdns.records.objects import (
    Endpoint,
    Gone,
    Kind,
    Namespace,
    Node,
    Object,
    Pod,
    Port,
    Put,
    Service,
    Slice,
)
from kdns.records.reachable import MAX_NODES
from kdns.wire.constants import Class, ErrorCode, Rcode
from kdns.wire.message import FOREVER
from tests.plugins.chains import Chain, refusal, settings, told

HTTP, DNS_TCP, DNS_UDP = Port("http", "tcp", 80), Port("dns-tcp", "tcp", 53), Port("dns", "udp", 53)


def service(name: str, **fields: object) -> Service:
    return Service("shop", name, **{"cluster_ips": ("10.96.0.1",), "ports": (HTTP,), **fields})  # type: ignore[arg-type]


OBJECTS: tuple[Object, ...] = (
    Namespace("shop"),
    service("web", external_ips=("192.0.2.1", "2001:db8::1"), ingress=("192.0.2.2",)),
    service("elb", ports=(HTTP, DNS_TCP), ingress=("lb.outside.test",)),
    service("both", ingress=("lb.outside.test", "192.0.2.2")),
    service("inside"),
    service("twice", ports=(DNS_TCP, DNS_UDP), external_ips=("192.0.2.5",)),
    service("portless", ports=(), external_ips=("192.0.2.6",)),
    service("db", headless=True, cluster_ips=()),
    Service("hidden", "web", external_ips=("192.0.2.1",)),
    Slice("shop", "db-1", "db", (Endpoint(("10.0.0.1",), hostname="Db-0"), Endpoint(("10.0.0.2",)), Endpoint(("10.0.0.3",), ready=False)), (Port("pg", "tcp", 5432),)),
    Slice("shop", "inside-1", "inside", (Endpoint(("10.0.0.9",), hostname="in-0"),), (HTTP,)),
)  # fmt: skip
OUTSIDE = 'template IN A outside.test {\nanswer "{{ .Name }} 30 A 198.51.100.7"\n}\ntemplate IN AAAA outside.test {\nrcode NXDOMAIN\n}\n'


def chain(
    options: str = "",
    zones: str = "example.org 192.0.2.0/24",
    local: tuple[str, ...] = (),
    more: str = "",
) -> Chain:
    text = f". {{\nk8s_external {zones} {{\n{options}\n}}\nkubernetes cluster.local {{\nnamespaces shop\n}}\n{OUTSIDE}{more}\n}}\n"
    return Chain(text, OBJECTS, local)


S = k8s_external.Settings
SETTINGS = {
    "alone": ("k8s_external", S()),
    "zones": ("k8s_external example.org", S((("example", "org"),))),
    "all": ("k8s_external a.org {\nttl 0\napex ns.here\nheadless\nfallthrough\n}", S((("a", "org"),), 0, ("ns", "here"), True, Fallthrough(((),)))),
    "more than the peer": ("k8s_external {\nnodeports\nexternal_names\n}", S(node_ports=True, external_names=True)),
}  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SETTINGS.values(), ids=SETTINGS.keys())
def test_settings(text: str, expected: k8s_external.Settings) -> None:
    found = settings(text)
    assert isinstance(found, S)
    assert replace(found, directive=expected.directive) == expected


REFUSED = {
    "ttl": ("k8s_external {\nttl 3601\n}", "3: ttl: expected seconds from 0 to 3600, got '3601'"),
    "ttl text": ("k8s_external {\nttl 5s\n}", "3: ttl: expected seconds from 0 to 3600, got '5s'"),
    "apex": ("k8s_external {\napex\n}", "3: apex: takes exactly one argument, got 0"),
    "apex name": ("k8s_external {\napex a..b\n}", "3: apex: 'a..b' has an empty label"),
    "apex root": ("k8s_external {\napex .\n}", "3: apex: takes a label such as dns"),
    "option": ("k8s_external {\nheadles\n}", "3: headles: not an option of k8s_external; these are apex, ttl, headless, nodeports, external_names, fallthrough"),
    "autopath": ("autopath", "2: autopath: takes a file such as /etc/resolv.conf, or @kubernetes"),
    "autopath source": ("autopath @erratic", "2: autopath: only @kubernetes knows who asks, not @erratic"),
    "autopath block": ("autopath @kubernetes {\nx\n}", "3: x: autopath has no options"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(text: str, message: str) -> None:
    assert refusal(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "k8s_external a",
            "Corefile:2: k8s_external: needs a kubernetes directive in the same server block",
        ),
        (
            "autopath @kubernetes",
            "Corefile:2: autopath: @kubernetes needs that directive in the same server block",
        ),
    ],
)
def test_without_kubernetes(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="needs") as error:
        Chain(f". {{\n{text}\n}}\n")
    assert str(error.value) == message


SOA = "ns example.org. 5 SOA ns1.dns.example.org."
ANSWERS = {
    "a": ("web.Shop.example.org. A", "NOERROR; web.Shop.example.org. 5 A 192.0.2.1; web.Shop.example.org. 5 A 192.0.2.2"),
    "aaaa": ("web.shop.example.org. AAAA", "NOERROR; web.shop.example.org. 5 AAAA 2001:db8::1"),
    "other type": ("web.shop.example.org. TXT", f"NOERROR; {SOA}"),
    "port": ("_http._tcp.web.shop.example.org. A", "NOERROR; _http._tcp.web.shop.example.org. 5 A 192.0.2.1; _http._tcp.web.shop.example.org. 5 A 192.0.2.2"),
    "srv": ("_http._tcp.both.shop.example.org. SRV", "NOERROR; _http._tcp.both.shop.example.org. 5 SRV 0 100 80 both.shop.example.org.; + both.shop.example.org. 5 A 192.0.2.2"),
    "srv, weights": ("web.shop.example.org. SRV", "NOERROR; web.shop.example.org. 5 SRV 0 33 80 web.shop.example.org.; + web.shop.example.org. 5 A 192.0.2.1; + web.shop.example.org. 5 AAAA 2001:db8::1; + web.shop.example.org. 5 A 192.0.2.2"),
    "srv, one number": ("twice.shop.example.org. SRV", "NOERROR; twice.shop.example.org. 5 SRV 0 50 53 twice.shop.example.org.; + twice.shop.example.org. 5 A 192.0.2.5"),
    "wrong port": ("_https._tcp.web.shop.example.org. SRV", f"NXDOMAIN; {SOA}"),
    "empty non-terminal": ("_tcp.web.shop.example.org. SRV", f"NOERROR; {SOA}"),
    "label before": ("x.web.shop.example.org. A", f"NXDOMAIN; {SOA}"),
    "too long": ("a.b.c.web.shop.example.org. A", f"NXDOMAIN; {SOA}"),
    "portless": ("portless.shop.example.org. A", "NOERROR; portless.shop.example.org. 5 A 192.0.2.6"),
    "portless srv": ("portless.shop.example.org. SRV", f"NOERROR; {SOA}"),
    "load balancer's name": ("elb.shop.example.org. A", "NOERROR; elb.shop.example.org. 5 CNAME lb.outside.test.; lb.outside.test. 30 A 198.51.100.7"),
    "load balancer's name, nothing there": ("elb.shop.example.org. AAAA", "NXDOMAIN; elb.shop.example.org. 5 CNAME lb.outside.test."),
    "its alias": ("elb.shop.example.org. CNAME", "NOERROR; elb.shop.example.org. 5 CNAME lb.outside.test."),
    "its srv": ("_http._tcp.elb.shop.example.org. SRV", "NOERROR; _http._tcp.elb.shop.example.org. 5 SRV 0 100 80 lb.outside.test.; + lb.outside.test. 30 A 198.51.100.7"),
    "addresses before names": ("both.shop.example.org. A", "NOERROR; both.shop.example.org. 5 A 192.0.2.2"),
    "no external address": ("inside.shop.example.org. A", f"NXDOMAIN; {SOA}"),
    "headless": ("db.shop.example.org. A", f"NXDOMAIN; {SOA}"),
    "no Service": ("no.shop.example.org. A", f"NXDOMAIN; {SOA}"),
    "namespace": ("shop.example.org. A", f"NOERROR; {SOA}"),
    "no namespace": ("web.no.example.org. A", f"NXDOMAIN; {SOA}"),
    "unexposed namespace": ("web.hidden.example.org. A", f"NXDOMAIN; {SOA}"),
    "apex": ("example.org. A", f"NOERROR; {SOA}"),
    "soa": ("Example.org. SOA", "NOERROR; Example.org. 5 SOA ns1.dns.Example.org."),
    "ns": ("example.org. NS", "NOERROR; example.org. 5 NS ns1.dns.example.org.; + ns1.dns.example.org. 5 A 172.16.0.1"),
    "dns": ("dns.example.org. A", f"NOERROR; {SOA}"),
    "server": ("ns1.dns.example.org. A", "NOERROR; ns1.dns.example.org. 5 A 172.16.0.1"),
    "server aaaa": ("ns1.dns.example.org. AAAA", f"NOERROR; {SOA}"),
    "server, other": ("ns2.dns.example.org. A", f"NXDOMAIN; {SOA}"),
    "ptr": ("1.2.0.192.in-addr.arpa. PTR", "NOERROR; 1.2.0.192.in-addr.arpa. 5 PTR web.shop.example.org."),
    "ptr of two": ("2.2.0.192.in-addr.arpa. PTR", "NOERROR; 2.2.0.192.in-addr.arpa. 5 PTR both.shop.example.org.; 2.2.0.192.in-addr.arpa. 5 PTR web.shop.example.org."),
    "ptr of none": ("9.2.0.192.in-addr.arpa. PTR", "NXDOMAIN; ns 2.0.192.in-addr.arpa. 5 SOA ns1.dns.2.0.192.in-addr.arpa."),
    "ptr, other type": ("1.2.0.192.in-addr.arpa. A", "NOERROR; ns 2.0.192.in-addr.arpa. 5 SOA ns1.dns.2.0.192.in-addr.arpa."),
    "inside the cluster": ("web.shop.svc.cluster.local. A", "NOERROR; web.shop.svc.cluster.local. 5 A 10.96.0.1"),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
def test_answers(asked: str, expected: str, clock: float) -> None:
    answer = chain(local=("172.16.0.1",)).ask(asked)
    assert told(answer) == expected
    assert answer.keep_until == (FOREVER if answer.answer else clock + 5)
    if not answer.answer:
        assert answer.errors, "a negative answer says why"


HEADLESS = {
    "service": ("db.shop.example.org. A", "NOERROR; db.shop.example.org. 7 A 10.0.0.1; db.shop.example.org. 7 A 10.0.0.2"),
    "endpoint": ("db-0.db.shop.example.org. A", "NOERROR; db-0.db.shop.example.org. 7 A 10.0.0.1"),
    "endpoint by address": ("10-0-0-2.db.shop.example.org. A", "NOERROR; 10-0-0-2.db.shop.example.org. 7 A 10.0.0.2"),
    "unready": ("10-0-0-3.db.shop.example.org. A", "NXDOMAIN; ns example.org. 7 SOA ns1.at.example.org."),
    "srv": ("_pg._tcp.db.shop.example.org. SRV", "NOERROR; _pg._tcp.db.shop.example.org. 7 SRV 0 50 5432 db-0.db.shop.example.org.; _pg._tcp.db.shop.example.org. 7 SRV 0 50 5432 10-0-0-2.db.shop.example.org.; + db-0.db.shop.example.org. 7 A 10.0.0.1; + 10-0-0-2.db.shop.example.org. 7 A 10.0.0.2"),
    "endpoint of another": ("in-0.inside.shop.example.org. A", "NOERROR; in-0.inside.shop.example.org. 7 A 10.0.0.9"),
    "but not that one's name": ("inside.shop.example.org. A", "NXDOMAIN; ns example.org. 7 SOA ns1.at.example.org."),
    "external addresses first": ("web.shop.example.org. AAAA", "NOERROR; web.shop.example.org. 7 AAAA 2001:db8::1"),
    "apex": ("ns1.at.example.org. A", "NOERROR; ns1.at.example.org. 7 A 10.0.0.1; ns1.at.example.org. 7 A 10.0.0.2"),
}  # fmt: skip


@pytest.mark.parametrize(("asked", "expected"), HEADLESS.values(), ids=HEADLESS.keys())
def test_headless(asked: str, expected: str) -> None:
    assert told(chain("headless\nttl 7\napex at", local=("10.0.0.1",)).ask(asked)) == expected


WEB_NODES = (Port("http", "tcp", 80, 30080), Port("inside", "tcp", 81))
REACHABLE: tuple[Object, ...] = (
    Namespace("shop"),
    service("web", ports=WEB_NODES),
    service("lb", ports=WEB_NODES, ingress=("192.0.2.2",)),
    service("inside"),
    service("away", cluster_ips=(), external_name="a.outside.test"),
    service("odd", cluster_ips=(), external_name="a..b"),
)
NODES = (Node("a", ("198.51.100.1", "2001:db8::1")), Node("b", ("198.51.100.2",)), Node("down"))
OWN = {
    "nodes": ("web.shop.example.org. A", "NOERROR; web.shop.example.org. 5 A 198.51.100.1; web.shop.example.org. 5 A 198.51.100.2", "node ports 30080 (http)"),
    "nodes, IPv6": ("web.shop.example.org. AAAA", "NOERROR; web.shop.example.org. 5 AAAA 2001:db8::1", "node ports 30080 (http)"),
    "node port": ("_http._tcp.web.shop.example.org. SRV", "NOERROR; _http._tcp.web.shop.example.org. 5 SRV 0 33 30080 web.shop.example.org.; + web.shop.example.org. 5 A 198.51.100.1; + web.shop.example.org. 5 AAAA 2001:db8::1; + web.shop.example.org. 5 A 198.51.100.2", ""),
    "port without node port": ("_inside._tcp.web.shop.example.org. SRV", f"NXDOMAIN; {SOA}", "Service shop/web has no such port or endpoint; it has _http._tcp"),
    "load balancer first": ("lb.shop.example.org. A", "NOERROR; lb.shop.example.org. 5 A 192.0.2.2", ""),
    "its port": ("_http._tcp.lb.shop.example.org. SRV", "NOERROR; _http._tcp.lb.shop.example.org. 5 SRV 0 100 80 lb.shop.example.org.; + lb.shop.example.org. 5 A 192.0.2.2", ""),
    "nothing": ("inside.shop.example.org. A", f"NXDOMAIN; {SOA}", "Service shop/inside has no external address and no node port"),
    "alias": ("away.shop.example.org. A", "NOERROR; away.shop.example.org. 5 CNAME a.outside.test.; a.outside.test. 30 A 198.51.100.7", ""),
    "no such type": ("lb.shop.example.org. TXT", f"NOERROR; {SOA}", "the name exists but has no record of this type, only A, SRV"),
    "no name": ("odd.shop.example.org. A", f"NOERROR; {SOA}", "the name exists but has no record of this type"),
}  # fmt: skip


def reachable(*more: Object) -> Chain:
    text = f". {{\nk8s_external example.org {{\nnodeports\nexternal_names\n}}\nkubernetes cluster.local\n{OUTSIDE}\n}}\n"
    return Chain(text, (*REACHABLE, *more))


@pytest.mark.parametrize(("asked", "expected", "reason"), OWN.values(), ids=OWN.keys())
def test_what_else_is_reached_from_outside(asked: str, expected: str, reason: str) -> None:
    answer = reachable(*NODES).ask(asked)
    assert told(answer) == expected
    assert "; ".join(error.text for error in answer.errors) == reason


def test_nodes_come_and_go() -> None:
    server = reachable()
    answer = server.ask("web.shop.example.org. A")
    assert told(answer) == f"NXDOMAIN; {SOA}"
    assert answer.errors[0].text == "Service shop/web has no external address and no node is ready"
    assert server.index.apply(Put(NODES[1]), 8) & answer.keys
    answer = server.ask("web.shop.example.org. A")
    assert told(answer) == "NOERROR; web.shop.example.org. 5 A 198.51.100.2"
    assert not server.index.apply(Put(NODES[1]), 8), "nothing is different"
    assert server.index.apply(Gone(Kind.NODE, "", "b"), 8) & answer.keys
    assert server.ask("web.shop.example.org. A").rcode == Rcode.NXDOMAIN


def test_a_large_cluster_shows_some_of_its_nodes() -> None:
    nodes = [Node(f"n{at}", (f"198.51.100.{at}",)) for at in range(200)]
    assert len(reachable(*nodes).ask("web.shop.example.org. A").answer) == MAX_NODES


def test_before_the_nodes_are_known_nothing_is_denied() -> None:
    server = reachable()
    server.index.synced.discard(Kind.NODE)
    assert told(server.ask("web.shop.example.org. A")) == "SERVFAIL"


@pytest.mark.parametrize("name", ["web", "elb", "none"])
def test_stale_answers_say_since_when(name: str) -> None:
    server = chain()
    server.status.resources["services"].lost_at = server.now() - 100
    answer = server.ask(f"{name}.shop.example.org. A")
    last = answer.errors[-1]
    assert last.code == ErrorCode.STALE_ANSWER
    assert last.text == "API server test not reachable since 1970-01-12T13:45:00Z"
    assert 0 < answer.keep_until - monotonic() <= 1
    assert server.ask(f"{name}.shop.example.org. A", edns=None).errors == ()


@pytest.mark.parametrize(
    ("target", "reasons"),
    [
        ("nobody.test", ["the alias leads to nobody.test.: nothing here answers for it"]),
        ("gone.test", ["the alias leads to gone.test.: NXDOMAIN"]),
        (
            "failed.test",
            ["the alias leads to failed.test.: the configuration says so (template)"],
        ),
        (
            "none.shop.svc.cluster.local",
            ["the alias leads to none.shop.svc.cluster.local.: no Service none in namespace shop"],
        ),
        ("a.outside.test", []),
    ],
)
def test_where_an_alias_leads(target: str, reasons: list[str]) -> None:
    fails = "template IN A {} {{\nrcode {}\n}}\n"
    server = chain(
        more=fails.format("gone.test", "NXDOMAIN") + fails.format("failed.test", "SERVFAIL")
    )
    server.index.apply(Put(service("elb", ingress=(target,))), 8)
    errors = server.ask("elb.shop.example.org. A").errors
    assert [error.text for error in errors] == reasons


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("wbe.shop", "no Service wbe in namespace shop; did you mean web?"),
        ("elb.store", "no Service elb in namespace store; there is one in shop"),
        ("web.shpo", "there is no namespace shpo; did you mean shop?"),
        ("web.hiden", "there is no namespace hiden"),
        ("web.hidden", "there is no namespace hidden"),
        ("shpo", "there is no namespace shpo; did you mean shop?"),
        (f"{'x' * 63}.{'y' * 63}", f"there is no namespace {'y' * 63}"),
    ],
)
def test_what_was_meant(name: str, reason: str) -> None:
    text = (
        ". {\nk8s_external example.org\nkubernetes cluster.local {\nnamespaces shop store\n}\n}\n"
    )
    server = Chain(text, (*OBJECTS, Namespace("store"), Namespace("hidden")))
    answer = server.ask(f"{name}.example.org. A")
    assert told(answer) == f"NXDOMAIN; {SOA}"
    assert [error.text for error in answer.errors] == [reason]
    if "there is one" in reason:
        assert server.index.apply(Gone(Kind.SERVICE, "shop", "elb"), 8) & answer.keys


def test_server_behind_a_service_has_that_ones_addresses() -> None:
    server = chain(local=("10.0.0.9",))
    assert (
        told(server.ask("ns1.dns.example.org. A"))
        == "NOERROR; ns example.org. 5 SOA ns1.dns.example.org."
    )
    server.index.apply(Put(service("inside", external_ips=("192.0.2.53",), ingress=("a.test",))), 8)
    assert (
        told(server.ask("ns1.dns.example.org. A")) == "NOERROR; ns1.dns.example.org. 5 A 192.0.2.53"
    )


def test_fallthrough_is_for_names_that_do_not_exist() -> None:
    server = chain("fallthrough", more="whoami")
    assert server.ask("no.shop.example.org. A").plugin == "whoami"
    assert ("svc", "shop", "no") in server.ask("no.shop.example.org. A").keys
    assert server.ask("web.shop.example.org. TXT").plugin == "k8s_external"


def test_other_classes_and_transfers_are_refused() -> None:
    assert chain().ask("example.org. AXFR").rcode == Rcode.REFUSED
    assert chain().ask("example.org. A", qclass=Class.CH).rcode == Rcode.REFUSED


def test_before_the_first_list_nothing_is_denied() -> None:
    server = chain()
    server.index.synced.discard(Kind.SERVICE)
    assert told(server.ask("no.shop.example.org. A")) == "SERVFAIL"
    assert server.ask("no.shop.example.org. A").keep_until == 0.0


CHANGES = {
    "new address": (Put(service("web", external_ips=("192.0.2.9",))), {"192.0.2.1", "192.0.2.2", "192.0.2.9", "2001:db8::1"}),
    "gone": (Gone(Kind.SERVICE, "shop", "web"), {"192.0.2.1", "192.0.2.2", "2001:db8::1"}),
}  # fmt: skip


@pytest.mark.parametrize(("change", "addresses"), CHANGES.values(), ids=CHANGES.keys())
def test_changes_concern_the_addresses(change: Put | Gone, addresses: set[str]) -> None:
    server = chain()
    keys = server.index.apply(change, 8)
    assert {key[1] for key in keys if key[0] == "ip"} >= addresses
    assert server.ask("1.2.0.192.in-addr.arpa. PTR").rcode == Rcode.NXDOMAIN
    assert ("ip", "192.0.2.1") in server.ask("1.2.0.192.in-addr.arpa. PTR").keys


def test_an_index_that_loses_all_has_nothing_left() -> None:
    index = Index()
    for each in OBJECTS:
        index.apply(Put(each), 1)
    for each in OBJECTS:
        if isinstance(each, Service):
            index.apply(Gone(Kind.SERVICE, each.namespace, each.name), 2)
    assert not index._external_ips


# ---- autopath

PODS: tuple[Object, ...] = (
    *(Namespace("shop"), Namespace("store")),
    Pod("shop", "a", ("10.0.0.9",)),
    Pod("store", "b", ("10.0.0.8",), host_network=True),
    *(Pod("shop", "c", ("10.0.0.7",)), Pod("store", "d", ("10.0.0.7",))),
    Service("shop", "web", cluster_ips=("10.96.0.1",)),
    Service("store", "web", cluster_ips=("10.96.0.2",)),
    Service("shop", "alias", external_name="a.outside.test"),
)
PATHS = {
    "letter case": ("Web.Shop.SVC.cluster.local. A", "10.0.0.9", "NOERROR; Web.Shop.SVC.cluster.local. 5 A 10.96.0.1"),
    "an alias": ("alias.shop.svc.cluster.local. A", "10.0.0.9", "NOERROR; alias.shop.svc.cluster.local. 5 CNAME a.outside.test.; a.outside.test. 30 A 198.51.100.7"),
    "own namespace": ("web.shop.svc.cluster.local. A", "10.0.0.9", "NOERROR; web.shop.svc.cluster.local. 5 A 10.96.0.1"),
    "second suffix": ("web.store.shop.svc.cluster.local. A", "10.0.0.9", "NOERROR; web.store.shop.svc.cluster.local. 5 CNAME web.store.svc.cluster.local.; web.store.svc.cluster.local. 5 A 10.96.0.2"),
    "outside": ("A.outside.test.shop.svc.cluster.local. A", "10.0.0.9", "NOERROR; A.outside.test.shop.svc.cluster.local. 30 CNAME a.outside.test.; a.outside.test. 30 A 198.51.100.7"),
    "the node's suffix": ("a.shop.svc.cluster.local. A", "10.0.0.9", "NOERROR; a.shop.svc.cluster.local. 30 CNAME a.outside.test.; a.outside.test. 30 A 198.51.100.7"),
    "nowhere": ("x.no.test.shop.svc.cluster.local. A", "10.0.0.9", "NXDOMAIN; ns cluster.local. 5 SOA ns.dns.cluster.local."),
    "first suffix of another": ("web.store.store.svc.cluster.local. A", "10.0.0.9", "NXDOMAIN; ns cluster.local. 5 SOA ns.dns.cluster.local."),
    "the suffix itself": ("shop.svc.cluster.local. A", "10.0.0.9", "NOERROR; ns cluster.local. 5 SOA ns.dns.cluster.local."),
    "host network": ("web.store.shop.svc.cluster.local. A", "10.0.0.8", "NXDOMAIN; ns cluster.local. 5 SOA ns.dns.cluster.local."),
    "two Pods": ("web.store.shop.svc.cluster.local. A", "10.0.0.7", "NXDOMAIN; ns cluster.local. 5 SOA ns.dns.cluster.local."),
    "no Pod": ("web.store.shop.svc.cluster.local. A", "10.0.0.1", "NXDOMAIN; ns cluster.local. 5 SOA ns.dns.cluster.local."),
    "mapped": ("web.store.shop.svc.cluster.local. A", "::ffff:10.0.0.9", "NOERROR; web.store.shop.svc.cluster.local. 5 CNAME web.store.svc.cluster.local.; web.store.svc.cluster.local. 5 A 10.96.0.2"),
    "nobody": ("web.store.shop.svc.cluster.local. A", "", "NXDOMAIN; ns cluster.local. 5 SOA ns.dns.cluster.local."),
}  # fmt: skip


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("nameserver 192.0.2.1\nsearch first.test\nsearch outside.test a..b\n")
    monkeypatch.setattr(autopath, "NODE_FILE", str(path))


def walker(pods: str = "verified") -> Chain:
    rest = "template ANY ANY {\nmatch ^[^.]*[.]$\nmatch [.]no[.]test[.]$\nmatch [.]test[.]outside[.]test[.]$\nrcode NXDOMAIN\nfallthrough\n}"
    text = f". {{\nautopath @kubernetes\nkubernetes cluster.local {{\npods {pods}\n}}\n{rest}\n{OUTSIDE}}}\n"
    return Chain(text, PODS)


@pytest.mark.parametrize(("asked", "client", "expected"), PATHS.values(), ids=PATHS.keys())
def test_autopath(node: None, asked: str, client: str, expected: str) -> None:
    answer = walker().ask(asked, client=client)
    assert told(answer) == expected
    assert answer.keep_until == 0.0, "another asker has another path"


def test_autopath_needs_pods(node: None, caplog: pytest.LogCaptureFixture) -> None:
    answer = walker("insecure").ask("web.store.shop.svc.cluster.local. A")
    assert answer.rcode == Rcode.NXDOMAIN
    assert caplog.messages == [
        "Corefile:2: autopath @kubernetes has no effect without pods verified"
    ]


def test_autopath_keys_hold_all_that_was_tried(node: None) -> None:
    answer = walker().ask("web.store.shop.svc.cluster.local. A")
    assert {("svc", "store", "web")} <= answer.keys
    assert ("ns", "shop") in answer.keys


def test_autopath_leaves_the_servers_own_questions(node: None) -> None:
    answer = walker().ask("web.store.shop.svc.cluster.local. A", transport="internal")
    assert answer.rcode == Rcode.NXDOMAIN


def test_autopath_by_a_file(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("search a.test b.test\n")
    text = f'. {{\nautopath {path}\ntemplate IN A b.test {{\nanswer "{{{{ .Name }}}} 9 A 192.0.2.1"\n}}\ntemplate ANY ANY {{\nrcode NXDOMAIN\n}}\n}}\n'
    answer = Chain(text).ask("x.a.test. A")
    assert told(answer) == "NOERROR; x.a.test. 9 CNAME x.b.test.; x.b.test. 9 A 192.0.2.1"
    assert answer.keep_until == FOREVER
    assert Chain(text).ask("x.c.test. A").rcode == Rcode.NXDOMAIN
