"""The words for each negative outcome: exact, short, and silent about what is not exposed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kdns.records.explain import explain, remark
from kdns.records.index import Index
from kdns.records.lookup import lookup
from kdns.records.objects import Endpoint, Import, Namespace, Node, Object, Port, Service, Slice
from kdns.records.outcome import Outcome, PodMode, Reason, View
from kdns.wire.constants import Type
from kdns.wire.names import from_wire, wire_from_text
from kdns.wire.reasons import MAX_TEXT
from tests.records import probes
from tests.records.probes import ZONES

HTTP = Port("http", "tcp", 80)
DOWN = Endpoint(("172.0.0.1",), ready=False, pod="db-0")

OBJECTS: tuple[Object, ...] = (
    *(Namespace(name) for name in ("shop", "store", "a", "b", "c", "d", "prod")),
    Service("shop", "web", cluster_ips=("10.0.0.1",), ports=(HTTP, Port("dns", "udp", 53))),
    Service("shop", "both", cluster_ips=("10.0.0.11", "fd00::11"), ports=(HTTP,)),
    Service("shop", "portless", cluster_ips=("fd00::12",)),
    Service("shop", "unnamed", cluster_ips=("10.0.0.2",), ports=(Port("", "tcp", 80),)),
    Service("shop", "db", headless=True),
    Slice("shop", "db-1", "db", (DOWN, replace(DOWN, pod="db-1"), replace(DOWN, pod="")), (HTTP,)),
    Service("shop", "families", headless=True),
    Slice("shop", "families-4", "families", (DOWN, replace(DOWN, pod="db-1"))),
    Slice("shop", "families-6", "families", (replace(DOWN, addresses=("fd00::1",)),)),
    Service("shop", "many", headless=True),
    Service("shop", "leaving", headless=True),
    Slice(
        "shop", "leaving-1", "leaving", (replace(DOWN, terminating=True), replace(DOWN, pod="b"))
    ),
    Slice("shop", "many-1", "many", tuple(replace(DOWN, pod=f"p{at}") for at in range(9))),
    Service("shop", "nobody", headless=True),
    Service("shop", "manual", headless=True, selects=False),
    Service("shop", "up", headless=True),
    Slice("shop", "up-1", "up", (Endpoint(("172.0.0.9",), zone="a"),), (HTTP,)),
    Service("shop", "some", headless=True),
    Slice(
        "shop",
        "some-1",
        "some",
        (
            replace(DOWN, hostname="Some-0"),
            replace(DOWN, hostname="some-1", terminating=True),
            Endpoint(("172.0.0.3",), hostname="some-2"),
        ),
    ),
    Service("shop", "out", external_name="example.org"),
    Service("shop", "address", external_name="192.0.2.1"),
    Service("prod", "redis", cluster_ips=("10.0.0.3",)),
    Service("store", "web2", cluster_ips=("10.0.0.4",)),
    *(Service(name, "everywhere", cluster_ips=("10.0.0.5",)) for name in "abcd"),
    Service("hidden", "secret", cluster_ips=("10.0.0.6",)),
    Service("hidden", "web2", cluster_ips=("10.0.0.7",)),
    Service("hidden", "redis", cluster_ips=("10.0.0.8",)),
)
INDEX = probes.synced(OBJECTS)
VIEW = View(ZONES)
INSECURE = replace(VIEW, pods=PodMode.INSECURE)
VERIFIED = replace(VIEW, pods=PodMode.VERIFIED)
SOME = replace(VIEW, namespaces=frozenset({"shop"}))
LABELLED = replace(VIEW, labelled=True)

NDOTS = "; a search list has appended to redis.prod, which exists (ndots)"
BELOW = "has no such name below it; there are ENDPOINT, _PORT._PROTOCOL"
OTHER_TYPES = "the name exists but has no record of this type, only"
MAYBE = "; if a search list appended shop.svc.cluster.local, {} is what was meant (ndots)"
SURE = "; a search list has appended shop.svc.cluster.local to {} (ndots)"
SURELY = SURE.format("web.shop.svc.cluster.local")
FORM = "not of the form SERVICE.NAMESPACE.svc or ADDRESS.NAMESPACE.pod"
NOT_HERE = "no Service and no ready endpoint of one has this address"
NO_POD_NAME = "the Pod's label must be its address with dashes, such as 10-0-0-1, not a Pod name"
NO_ADDRESS = (
    "Service shop/address: externalName must be a domain name, it is an IP address or not valid;"
    " use a Service without selector and an EndpointSlice instead"
)

TEXTS: list[tuple[View, str, str]] = [
    (VIEW, "web.shop.svc TXT", f"{OTHER_TYPES} A, SRV"),
    (VIEW, "web.shop.svc AAAA", f"{OTHER_TYPES} A, SRV"),
    (VIEW, "both.shop.svc TXT", f"{OTHER_TYPES} A, AAAA, SRV"),
    (VIEW, "portless.shop.svc SRV", f"{OTHER_TYPES} AAAA"),
    (VIEW, "_http._tcp.up.shop.svc TXT", f"{OTHER_TYPES} A, SRV"),
    (VIEW, "172-0-0-9.up.shop.svc AAAA", f"{OTHER_TYPES} A, SRV"),
    (VIEW, "dns-version A", f"{OTHER_TYPES} TXT"),
    (VIEW, "cluster.local. A", f"{OTHER_TYPES} SOA, NS"),
    (INSECURE, "10-0-0-1.shop.pod AAAA", f"{OTHER_TYPES} A"),
    (INSECURE, "fd00--1.shop.pod SRV", f"{OTHER_TYPES} AAAA"),
    (VIEW, "9.0.0.172.in-addr.arpa. A", f"{OTHER_TYPES} PTR"),
    (VIEW, "in-addr.arpa. PTR", f"{OTHER_TYPES} SOA, NS"),
    (VIEW, "shop.svc A", "only names below this one have records"),
    (VIEW, "_tcp.web.shop.svc A", "only names below this one have records"),
    (VIEW, "nope A", FORM),
    (VIEW, "nope.svc A", "no namespace nope"),
    (VIEW, "redis.svc A", "no namespace redis; Service redis is in namespace prod: redis.prod.svc"),
    (
        VIEW,
        "everywhere.svc A",
        "no namespace everywhere; Service everywhere is in namespace a, b, c …: everywhere.a.svc",
    ),
    (VIEW, "secret.svc A", "no namespace secret"),
    (SOME, "redis.svc A", "namespace redis does not exist or is not exposed here"),
    (VIEW, "web.nope.svc A", "no namespace nope"),
    (VIEW, "web.hidden.svc A", "no namespace hidden"),
    (SOME, "web.store.svc A", "namespace store does not exist or is not exposed here"),
    (SOME, "web.nope.svc A", "namespace nope does not exist or is not exposed here"),
    (LABELLED, "web.hidden.svc A", "namespace hidden does not exist or is not exposed here"),
    (VIEW, "qqq.shop.svc A", "no Service qqq in namespace shop"),
    (VIEW, "webb.shop.svc A", "no Service webb in namespace shop; did you mean web?"),
    (
        VIEW,
        "web-frontend.shop.svc A",
        "no Service web-frontend in namespace shop; did you mean web?",
    ),
    (
        VIEW,
        "redis-master.prod.svc A",
        "no Service redis-master in namespace prod; did you mean redis?",
    ),
    (VIEW, "webs-up-b.shop.svc A", "no Service webs-up-b in namespace shop; did you mean up?"),
    (VIEW, "weby.up-b.shop.svc A", f"no Service up-b in namespace shop{MAYBE.format('weby.up-b')}"),
    (VIEW, "web2.shop.svc A", "no Service web2 in namespace shop; there is one in store"),
    (SOME, "web2.shop.svc A", "no Service web2 in namespace shop; did you mean web?"),
    (VIEW, "secret.shop.svc A", "no Service secret in namespace shop"),
    (
        VIEW,
        "everywhere.shop.svc A",
        "no Service everywhere in namespace shop; there is one in a, b, c …",
    ),
    (VIEW, "redis.prod.shop.svc A", f"no Service prod in namespace shop{NDOTS}"),
    # What is hidden, and what is not there, is told of alike.
    (
        SOME,
        "redis.prod.shop.svc A",
        f"no Service prod in namespace shop{MAYBE.format('redis.prod')}",
    ),
    (
        VIEW,
        "redis.hidden.shop.svc A",
        f"no Service hidden in namespace shop{MAYBE.format('redis.hidden')}",
    ),
    (VIEW, "a.b.c.shop.svc A", f"no Service c in namespace shop{MAYBE.format('a.b.c')}"),
    (VIEW, "_x._tcp.nope.shop.svc SRV", "no Service nope in namespace shop"),
    (VIEW, "web.shop.svc.cluster.local.shop.svc A", f"no Service local in namespace shop{SURELY}"),
    (
        VIEW,
        "web.shop.svc.shop.svc A",
        f"no Service svc in namespace shop{SURE.format('web.shop.svc')}",
    ),
    (
        VIEW,
        "web.shop.svc.svc A",
        "no namespace svc; a search list has appended svc.cluster.local to web.shop.svc (ndots)",
    ),
    (
        VIEW,
        "www.example.org.svc A",
        (
            "no namespace org; if a search list appended svc.cluster.local, www.example.org is what was "
            "meant (ndots)"
        ),
    ),
    (
        VIEW,
        "www.example.org A",
        f"{FORM}; if a search list appended cluster.local, www.example.org is what was meant (ndots)",
    ),
    (
        VIEW,
        "web.shop.svc.cluster.local A",
        f"{FORM}; a search list has appended cluster.local to web.shop.svc.cluster.local (ndots)",
    ),
    (VIEW, "web.shop A", f"{FORM}; did you mean web.shop.svc?"),
    (VIEW, "shop.web.svc A", "no namespace web; Service web is in namespace shop: web.shop.svc"),
    (VIEW, "web.shpo.svc A", "no namespace shpo; did you mean shop?"),
    (SOME, "web.stroe.svc A", "namespace stroe does not exist or is not exposed here"),
    (VIEW, "wbe.shop.svc A", "no Service wbe in namespace shop; did you mean web?"),
    (VIEW, "*.shop.svc A", "no Service * in namespace shop; wildcards ended with CoreDNS 1.9"),
    (VIEW, "any.shop.svc A", "no Service any in namespace shop; wildcards ended with CoreDNS 1.9"),
    (
        VIEW,
        "db.shop.svc A",
        "Service shop/db exists, headless, 0 of 3 endpoints ready: db-0, db-1, 172.0.0.1",
    ),
    (
        VIEW,
        "families.shop.svc A",
        "Service shop/families exists, headless, 0 of 2 endpoints ready: db-0, db-1",
    ),
    (
        VIEW,
        "many.shop.svc A",
        "Service shop/many exists, headless, 0 of 9 endpoints ready: p0, p1, p2 …",
    ),
    (
        VIEW,
        "leaving.shop.svc A",
        "Service shop/leaving exists, headless, 0 of 2 endpoints ready: db-0 (terminating), b",
    ),
    (
        VIEW,
        "nobody.shop.svc A",
        "Service shop/nobody exists, headless, 0 of 0 endpoints ready; its selector matches no running Pod",
    ),
    (
        VIEW,
        "manual.shop.svc A",
        "Service shop/manual exists, headless, 0 of 0 endpoints ready; it has no selector",
    ),
    (
        replace(VIEW, ignore_empty=True),
        "web.shop.svc A",
        "Service shop/web exists, 0 of 0 endpoints ready; its selector matches no running Pod",
    ),
    (VIEW, "ep.web.shop.svc A", "Service shop/web has no ready endpoint called ep"),
    (
        VIEW,
        "some-0.some.shop.svc A",
        "Service shop/some has no ready endpoint called some-0; it is not ready",
    ),
    (
        VIEW,
        "some-1.some.shop.svc A",
        "Service shop/some has no ready endpoint called some-1; it is terminating",
    ),
    (
        VIEW,
        "some-3.some.shop.svc A",
        "Service shop/some has no ready endpoint called some-3; ready: some-2",
    ),
    (VIEW, "_http._tcp.some-2.some.shop.svc SRV", f"Service shop/some {BELOW}"),
    (VIEW, "x.some-2.some.shop.svc A", f"Service shop/some {BELOW}"),
    (VIEW, "x.ep.web.shop.svc A", f"Service shop/web {BELOW}"),
    (
        replace(VIEW, zonal=True),
        "a.pim._zone.up.shop.svc A",
        f"Service shop/up {BELOW}, ZONE.pin._zone, ZONE.prefer._zone",
    ),
    (
        VIEW,
        "x.tcp.web.shop.svc SRV",
        "Service shop/web has no port _x._tcp; it has _http._tcp, _dns._udp",
    ),
    (
        VIEW,
        "_x._tcp.web.shop.svc SRV",
        "Service shop/web has no port _x._tcp; it has _http._tcp, _dns._udp",
    ),
    (
        VIEW,
        "_http.web.shop.svc SRV",
        "Service shop/web has no port _http; it has _http._tcp, _dns._udp",
    ),
    (VIEW, "_x._tcp.up.shop.svc SRV", "Service shop/up has no port _x._tcp; it has _http._tcp"),
    (
        VIEW,
        "_x._tcp.unnamed.shop.svc SRV",
        "Service shop/unnamed has no port _x._tcp; none of its ports has a name",
    ),
    (VIEW, "x.out.shop.svc A", "Service shop/out is an ExternalName: it has no names below it"),
    (VIEW, "address.shop.svc A", NO_ADDRESS),
    (VIEW, "10-0-0-1.shop.pod A", "names of Pods are off here (option pods disabled)"),
    (INSECURE, "web.shop.pod A", NO_POD_NAME),
    (VERIFIED, "10-0-0-1.shop.pod A", "no Pod in namespace shop has the address 10-0-0-1"),
    (
        replace(VIEW, zonal=True),
        "b.pin._zone.up.shop.svc A",
        "Service shop/up has no ready endpoint in this topology zone",
    ),
    (
        replace(VIEW, endpoints=False),
        "up.shop.svc A",
        "endpoints are not watched here (option noendpoints)",
    ),
    (VIEW, "9.9.9.9.in-addr.arpa. PTR", NOT_HERE),
    (VIEW, "9.in-addr.arpa. PTR", NOT_HERE),
]


def asked(text: str, view: View, index: Index = INDEX) -> Outcome:
    name, kind = text.rsplit(" ", 1)
    qname = wire_from_text(name, wire_from_text("cluster.local."))
    labels = from_wire(qname)
    zone = max((z for z in view.zones if labels[-len(z) :] == z), key=len)
    return lookup(index, view, zone, qname, labels, Type[kind])


@pytest.mark.parametrize(("view", "question", "text"), TEXTS, ids=[each[1] for each in TEXTS])
def test_texts(view: View, question: str, text: str) -> None:
    outcome = asked(question, view)
    assert not outcome.answer
    assert explain(INDEX, view, outcome)[0] == text


def test_every_reason_is_among_them() -> None:
    covered = {asked(question, view).reason for view, question, _ in TEXTS}
    assert covered == set(Reason)


def test_a_positive_outcome_needs_no_words() -> None:
    assert explain(INDEX, VIEW, asked("web.shop.svc A", VIEW)) == ("", ())


@pytest.mark.parametrize(
    ("question", "text"),
    [
        (
            "idle.shop.svc A",
            "Service shop/idle exists, 0 of 1 endpoints ready: db-0; nobody answers at its ClusterIP",
        ),
        (
            "web.shop.svc SRV",
            (
                "Service shop/web exists, 0 of 0 endpoints ready; its selector matches no running Pod; "
                "nobody answers at its ClusterIP"
            ),
        ),
        # kube-proxy goes on with those that still serve, where there are no others.
        (
            "closing.shop.svc A",
            "Service shop/closing exists, 0 of 2 endpoints ready: db-0, db-1 (terminating)",
        ),
        ("busy.shop.svc A", ""),
        ("up.shop.svc A", ""),
        ("out.shop.svc A", ""),
        ("10-0-0-1.shop.pod A", ""),
    ],
)
def test_what_is_surprising_about_a_positive_outcome(question: str, text: str) -> None:
    index = probes.synced(
        (
            *OBJECTS,
            Service("shop", "idle", cluster_ips=("10.0.0.20",)),
            Slice("shop", "idle-1", "idle", (DOWN,)),
            Service("shop", "closing", cluster_ips=("10.0.0.22",)),
            Slice(
                "shop", "closing-1", "closing", (DOWN, replace(DOWN, pod="db-1", terminating=True))
            ),
            Service("shop", "busy", cluster_ips=("10.0.0.21",)),
            Slice("shop", "busy-1", "busy", (DOWN, replace(DOWN, ready=True))),
        )
    )
    outcome = asked(question, INSECURE, index)
    assert outcome.answer
    assert remark(index, INSECURE, outcome) == text
    assert remark(index, replace(INSECURE, endpoints=False), outcome) == ""
    unsynced = Index()
    assert remark(unsynced, INSECURE, outcome) == "", "nobody knows"


def test_control_characters_reach_nobodys_terminal() -> None:
    text, _ = explain(INDEX, VIEW, asked(r"a\010b\155\027.shop.svc A", VIEW))
    assert text == r"no Service a\010b\155\027 in namespace shop"


label = st.one_of(
    st.sampled_from(["web", "hidden", "secret", "redis", "shop", "_tcp", "x" * 63]),
    st.binary(min_size=1, max_size=63).map(lambda found: found.lower().decode("latin-1")),
)


@settings(deadline=None)
@given(
    st.lists(label, max_size=4),
    st.sampled_from(["svc", "pod"]),
    st.sampled_from(sorted(probes.VIEWS)),
)
def test_short_printable_text_for_any_name(left: list[str], kind: str, view: str) -> None:
    name = (*left, "shop", kind, "cluster", "local")
    wire = b"".join(bytes((len(x),)) + x.encode("latin-1") for x in name) + b"\0"
    if len(wire) > 255:
        return
    outcome = lookup(INDEX, probes.VIEWS[view], probes.CLUSTER, wire, name, Type.A)
    text, _ = explain(INDEX, probes.VIEWS[view], outcome)
    assert len(text.encode()) <= MAX_TEXT == 200
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text)
    assert bool(text) == bool(outcome.reason)


@settings(max_examples=40, deadline=None)
@given(probes.worlds, st.sampled_from(["namespaces", "labelled", "plain"]))
def test_no_word_of_a_namespace_that_is_not_exposed(world: probes.World, view: str) -> None:
    """Namespaces get names that no question has, so that only the server can have said them."""
    hidden = {"store": "zz-store", "db": "zz-db"}
    renamed = tuple(
        replace(item, namespace=hidden.get(item.namespace, item.namespace))
        for item in world.state
        if not isinstance(item, Namespace | Node | Import)
    )
    index = probes.synced((Namespace("shop"), *renamed))
    for probe in probes.PROBES:
        seen, _ = probes.ask(index, probes.VIEWS[view], probe)
        assert "zz-" not in seen.text, (probe, seen.text)
