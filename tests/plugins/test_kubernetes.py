"""``kubernetes``: its options, and the stage around the look-up: sync, staleness, aliases, classes."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from kdns.config.access import ApiAccess, ManifestAccess
from kdns.config.tree import ConfigError
from kdns.plugins import chain
from kdns.plugins.kubernetes import Settings
from kdns.plugins.zones import Fallthrough
from kdns.records.objects import Endpoint, Kind, Namespace, Object, Port, Put, Service, Slice
from kdns.records.outcome import PodMode
from kdns.wire.constants import Class, Rcode
from kdns.wire.message import FOREVER, Answer, Edns
from tests.plugins.chains import Chain, block, refusal, settings, told

# ---- options


def parsed(options: str, zones: str = "cluster.local") -> Settings:
    found = settings(f"kubernetes {zones} {{\n{options}\n}}")
    assert isinstance(found, Settings)
    return found


def test_defaults() -> None:
    found = settings("kubernetes")
    assert isinstance(found, Settings)
    assert found.access() == ApiAccess()
    view = parsed("").view(block("kubernetes"))
    assert view.zones == (("cluster", "local"),)
    assert (view.ttl, view.pods, view.endpoints) == (5, PodMode.DISABLED, True)
    assert not view.namespaces
    assert (view.labelled, view.zonal, view.ignore_empty) == (False, False, False)
    assert found.startup_timeout == 5


GOOD: dict[str, dict[str, object]] = {
    "endpoint https://10.0.0.1:6443": {"endpoint": "https://10.0.0.1:6443"},
    "endpoint http://a http://b": {"endpoint": "http://a"},
    "tls cert key ca": {"tls": ("cert", "key", "ca")},
    "kubeconfig /etc/kube": {"kubeconfig": "/etc/kube", "context": ""},
    "kubeconfig /etc/kube dev": {"kubeconfig": "/etc/kube", "context": "dev"},
    "manifests examples": {"manifests": "examples"},
    "namespaces shop store": {"namespaces": frozenset({"shop", "store"})},
    "namespaces shop\nnamespaces store": {"namespaces": frozenset({"shop", "store"})},
    "namespace_labels tier in (a, b)": {"namespace_labels": "tier in (a, b)"},
    "labels app=web": {"labels": "app=web"},
    "pods disabled": {"pods": PodMode.DISABLED},
    "pods insecure": {"pods": PodMode.INSECURE},
    "pods verified": {"pods": PodMode.VERIFIED},
    "endpoint_pod_names": {"endpoint_pod_names": True},
    "noendpoints": {"endpoints": False},
    "zonal": {"zonal": True},
    "ttl 0": {"ttl": 0},
    "ttl 3600": {"ttl": 3600},
    "ttl 30\nttl 7": {"ttl": 7},
    "ignore empty_service": {"ignore_empty": True},
    "ignore": {"ignore_empty": False},
    "fallthrough": {"fallthrough": Fallthrough(((),))},
    "fallthrough in-addr.arpa 10.0.0.0/8": {
        "fallthrough": Fallthrough((("in-addr", "arpa"), ("10", "in-addr", "arpa")))
    },
    "startup_timeout 500ms": {"startup_timeout": 0.5},
    "max_answers 30": {"max_answers": 30},
    "snapshot /var/cache/dev": {"snapshot": "/var/cache/dev"},
}


@pytest.mark.parametrize("options", GOOD)
def test_good_options(options: str) -> None:
    found = parsed(options)
    assert {name: getattr(found, name) for name in GOOD[options]} == GOOD[options]
    assert not found.warnings


KNOWN = (
    "endpoint, endpoint_pod_names, fallthrough, fallthrough_unsynced, ignore, kubeconfig, labels,"
    " manifests, max_answers, multicluster, namespace_labels, namespaces, noendpoints, pods, snapshot,"
    " startup_timeout, tls, ttl, zonal"
)
BAD = {
    "endpoint": "endpoint: takes the URL of an API server",
    "tls cert": "tls: takes three paths: certificate, key and CA",
    "tls a b c d": "tls: takes three paths: certificate, key and CA",
    "kubeconfig": "kubeconfig: takes a path and, if wanted, a context",
    "kubeconfig a b c": "kubeconfig: takes a path and, if wanted, a context",
    "manifests": "manifests: takes exactly one argument, got 0",
    "max_answers 0": "max_answers: expected records from 1 to 99999, got '0'",
    "max_answers many": "max_answers: expected records from 1 to 99999, got 'many'",
    "snapshot": "snapshot: takes exactly one argument, got 0",
    "namespaces": "namespaces: takes at least one namespace",
    "labels": "labels: takes a label selector, such as environment in (production, staging)",
    "namespace_labels": (
        "namespace_labels: takes a label selector, such as environment in (production, staging)"
    ),
    "pods": "pods: takes exactly one argument, got 0",
    "pods some": "pods: must be disabled, insecure or verified, not 'some'",
    "pods insecure verified": "pods: takes exactly one argument, got 2",
    "endpoint_pod_names yes": "endpoint_pod_names: takes no argument, got 'yes'",
    "noendpoints x": "noendpoints: takes no argument, got 'x'",
    "zonal x": "zonal: takes no argument, got 'x'",
    "ttl": "ttl: takes exactly one argument, got 0",
    "ttl 3601": "ttl: expected seconds from 0 to 3600, got '3601'",
    "ttl -1": "ttl: expected seconds from 0 to 3600, got '-1'",
    "ttl 5s": "ttl: expected seconds from 0 to 3600, got '5s'",
    "ignore empty": "ignore: knows only empty_service, not 'empty'",
    "startup_timeout soon": (
        "startup_timeout: 'soon' is not a duration; write it as in 5s, 250ms, 1h30m"
    ),
    "startup_timeout": "startup_timeout: takes exactly one argument, got 0",
    "multicluster": "multicluster: takes the zones of ServiceImports, such as clusterset.local",
    "nonsense": f"kubernetes: unknown option 'nonsense'; known are {KNOWN}",
}


@pytest.mark.parametrize("option", BAD)
def test_bad_options_name_their_line(option: str) -> None:
    assert refusal(f"kubernetes {{\n{option}\n}}") == f"3: {BAD[option]}"


@pytest.mark.parametrize(
    "option", ["labels a in", "namespace_labels !!", "fallthrough a..b", "ttl " + "9" * 5000]
)
def test_other_bad_options(option: str) -> None:
    assert refusal(f"kubernetes {{\n{option}\n}}").startswith("3: ")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("namespaces a\nnamespace_labels b", "namespaces and namespace_labels cannot both be set"),
        ("zonal\nnoendpoints", "zonal needs the endpoints; remove noendpoints"),
        ("manifests a\nkubeconfig b", "kubeconfig and manifests cannot be used together"),
        ("manifests a\nendpoint b", "endpoint and manifests cannot be used together"),
    ],
)
def test_options_that_exclude_each_other(options: str, text: str) -> None:
    assert refusal(f"kubernetes {{\n{options}\n}}") == f"2: kubernetes: {text}"


def test_no_zone_to_point_to() -> None:
    with pytest.raises(
        ConfigError, match="Corefile:2: kubernetes: needs a zone that is not a reverse"
    ):
        parsed("", "in-addr.arpa 10.0.0.0/8").view(block(""))


RETIRED = ["upstream", "upstream 1.1.1.1", "resyncperiod 5m", "transfer to *", "federation a b.c"]


@pytest.mark.parametrize(
    "option", [*RETIRED, "apiserver_qps 5", "apiserver_burst 5", "apiserver_max_inflight 5"]
)
def test_retired_options_are_accepted_with_a_warning(option: str) -> None:
    (warning,) = parsed(f"{option}\nttl 7").warnings
    assert warning.startswith(f"Corefile:3: kubernetes: {option.split(maxsplit=1)[0]} ")
    assert parsed(f"{option}\nttl 7").ttl == 7


def test_access() -> None:
    assert parsed("kubeconfig f c\nlabels a=b\npods verified").access() == ApiAccess(
        kubeconfig="f", context="c", labels="a=b", pods=True
    )
    assert parsed("manifests m\nnoendpoints").access() == ManifestAccess("m", endpoints=False)
    assert parsed("manifests m").access(pods=True) == ManifestAccess("m", pods=True)


def test_zones_of_the_block_are_the_default() -> None:
    assert parsed("", "").view(block("kubernetes")).zones == ((),)
    zones = parsed("", "Cluster.Local 10.96.0.0/15").view(block("")).zones
    assert zones == (
        ("cluster", "local"),
        ("96", "10", "in-addr", "arpa"),
        ("97", "10", "in-addr", "arpa"),
    )


# ---- the stage

HTTP = (Port("http", "tcp", 80),)
SHOP = Namespace("shop")
WEB = Service("shop", "web", cluster_ips=("10.0.0.1",), ports=HTTP)
DB = Service("shop", "db", headless=True)
SOA = "ns cluster.local. 5 SOA"
WEB_A = "web.shop.svc.cluster.local. 5 A 10.0.0.1"


class Kubernetes(Chain):
    """A block with the directive."""

    def __init__(
        self,
        options: str = "",
        objects: Iterable[Object] = (SHOP, WEB, DB),
        after: str = "",
        missing: Iterable[Kind] = (),
    ) -> None:
        zones = "cluster.local in-addr.arpa ip6.arpa"
        super().__init__(f". {{\nkubernetes {zones} {{\n{options}\n}}\n{after}\n}}", objects)
        for kind in missing:
            self.index.synced.discard(kind)
            self.status.resources[kind.value].synced = False

    def local_addresses(self) -> tuple[str, ...]:
        return ("192.0.2.9",)


def why(answer: Answer) -> list[tuple[int, str]]:
    return [(error.code, error.text) for error in answer.errors]


def short(answer: Answer) -> str:
    """As ``told``, without the fields of the SOA."""
    return told(answer).partition(" SOA")[0] + (" SOA" if " SOA" in told(answer) else "")


STAGE = {
    "web.shop.svc.cluster.local. A": f"NOERROR; {WEB_A}",
    "web.shop.svc.cluster.local. AAAA": f"NOERROR; {SOA}",
    "nope.shop.svc.cluster.local. A": f"NXDOMAIN; {SOA}",
    "nope.shop.svc.cluster.local. SOA": f"NXDOMAIN; {SOA}",
    "cluster.local. SOA": "NOERROR; cluster.local. 5 SOA",
    "cluster.local. NS": (
        "NOERROR; cluster.local. 5 NS ns.dns.cluster.local.; + ns.dns.cluster.local. 5 A 192.0.2.9"
    ),
    "CLUSTER.local. NS": (
        "NOERROR; CLUSTER.local. 5 NS ns.dns.CLUSTER.local.; + ns.dns.CLUSTER.local. 5 A 192.0.2.9"
    ),
    "ns.dns.cluster.local. A": "NOERROR; ns.dns.cluster.local. 5 A 192.0.2.9",
    "NS.dns.cluster.local. A": "NOERROR; NS.dns.cluster.local. 5 A 192.0.2.9",
    "ns.dns.cluster.local. AAAA": f"NOERROR; {SOA}",
    "ns.dns.cluster.local. TXT": f"NOERROR; {SOA}",
    "10.in-addr.arpa. PTR": "NOERROR; ns in-addr.arpa. 5 SOA",
    "1.0.0.10.in-addr.arpa. PTR": "NOERROR; 1.0.0.10.in-addr.arpa. 5 PTR web.shop.svc.cluster.local.",
    "9.0.0.10.in-addr.arpa. PTR": "NXDOMAIN; ns in-addr.arpa. 5 SOA",
    "web.shop.svc.cluster.local. AXFR": "REFUSED",
    "cluster.local. AXFR": "REFUSED",
}


@pytest.mark.parametrize("question", STAGE)
def test_replies(question: str, clock: float) -> None:
    answer = Kubernetes().ask(question)
    assert short(answer) == STAGE[question]
    assert answer.authoritative == (answer.rcode != Rcode.REFUSED)
    assert answer.plugin == "kubernetes"
    assert answer.keep_until == (clock + 5 if answer.authority else FOREVER)


@pytest.mark.parametrize(
    "name",
    [
        "cluster.local.",
        "svc.cluster.local.",
        "dns.cluster.local.",
        "ns.dns.cluster.local.",
        "dns-version.cluster.local.",
        "shop.svc.cluster.local.",
        "web.shop.svc.cluster.local.",
        "1.0.0.10.in-addr.arpa.",
        "10.in-addr.arpa.",
    ],
)
def test_any_is_answered_by_hinfo(name: str) -> None:
    """RFC 8482 section 4.2, wherever the name exists."""
    (record,) = Kubernetes().ask(f"{name} ANY").answer
    assert record.rtype == 13
    assert record.rdata == b"\7RFC8482\0"


def test_any_at_a_name_that_does_not_exist() -> None:
    assert Kubernetes().ask("nope.shop.svc.cluster.local. ANY").rcode == Rcode.NXDOMAIN


@pytest.mark.parametrize("qclass", [Class.CH, Class.HS, Class.NONE, Class.ANY])
def test_other_classes_are_refused(qclass: Class) -> None:
    answer = Kubernetes().ask("web.shop.svc.cluster.local. A", qclass=qclass)
    assert (answer.rcode, answer.answer, answer.authoritative) == (Rcode.REFUSED, (), False)


def test_names_elsewhere_go_to_the_next_directive() -> None:
    answer = Kubernetes(after="whoami").ask("example.org. A")
    assert answer.plugin == "whoami"
    assert not Kubernetes().ask("example.org. A").handled


def test_reasons_only_for_who_can_read_them() -> None:
    asked = "nope.shop.svc.cluster.local. A"
    assert why(Kubernetes().ask(asked)) == [(0, "no Service nope in namespace shop")]
    assert why(Kubernetes().ask(asked, edns=None)) == []


def test_what_is_kept_depends_on_what_was_looked_at() -> None:
    keys = Kubernetes().ask("web.shop.svc.cluster.local. A").keys
    assert keys == {("ns", "shop"), ("svc", "shop", "web")}
    assert ("serial",) in Kubernetes().ask("cluster.local. SOA").keys
    negative = Kubernetes().ask("nope.shop.svc.cluster.local. A")
    assert {("svc", "shop", "nope"), ("names", "shop"), ("named", "nope")} <= negative.keys


# ---- not synced


@pytest.mark.parametrize(
    ("missing", "question", "expected"),
    [
        (Kind, "nope.shop.svc.cluster.local. A", "SERVFAIL"),
        (Kind, "web.shop.svc.cluster.local. A", "NOERROR"),
        (Kind, "nope.svc.cluster.local. A", "SERVFAIL"),
        (Kind, "9.0.0.10.in-addr.arpa. PTR", "SERVFAIL"),
        (Kind, "svc.cluster.local. A", "NOERROR"),
        (Kind, "cluster.local. SOA", "NOERROR"),
        (Kind, "dns-version.cluster.local. TXT", "NOERROR"),
        (Kind, "nope.cluster.local. A", "NXDOMAIN"),
        ([Kind.SLICE], "db.shop.svc.cluster.local. A", "SERVFAIL"),
        ([Kind.SLICE], "web.shop.svc.cluster.local. A", "NOERROR"),
        ([Kind.SLICE], "nope.shop.svc.cluster.local. A", "NXDOMAIN"),
        ([Kind.SLICE], "9.0.0.10.in-addr.arpa. PTR", "SERVFAIL"),
        ([Kind.POD], "db.shop.svc.cluster.local. A", "NXDOMAIN"),
        ([Kind.NAMESPACE], "nope.nope.svc.cluster.local. A", "SERVFAIL"),
        ([Kind.NAMESPACE], "nope.shop.svc.cluster.local. A", "NXDOMAIN"),
    ],
)
def test_what_may_still_come_is_not_denied(
    missing: Iterable[Kind], question: str, expected: str
) -> None:
    answer = Kubernetes(missing=missing).ask(question)
    assert Rcode(answer.rcode).name == expected
    assert answer.keep_until == 0, "it would not be dropped when the list comes"


def test_not_synced_says_what_is_in_the_way() -> None:
    server = Kubernetes(missing=[Kind.SLICE])
    server.status.resources["endpointslices"].problem = "forbidden: cannot list endpointslices"
    answer = server.ask("db.shop.svc.cluster.local. A")
    text = "not synced yet: endpointslices: forbidden: cannot list endpointslices"
    assert why(answer) == [(14, text)]
    assert short(answer) == f"SERVFAIL; {SOA}"


def test_not_synced_never_falls_through() -> None:
    """The peer leaks the cluster's own reverse names upstream there."""
    options = "fallthrough in-addr.arpa"
    asked = "9.0.0.10.in-addr.arpa. PTR"
    assert Kubernetes(options, after="whoami").ask(asked).plugin == "whoami"
    unsynced = Kubernetes(options, after="whoami", missing=Kind)
    assert unsynced.ask(asked).rcode == Rcode.SERVFAIL


def test_not_synced_falls_through_where_that_is_wanted() -> None:
    options = "fallthrough in-addr.arpa\nfallthrough_unsynced"
    answer = Kubernetes(options, after="whoami", missing=Kind).ask("9.0.0.10.in-addr.arpa. PTR")
    assert (answer.plugin, answer.keep_until) == ("whoami", 0.0)
    server = Kubernetes(options, missing=Kind)
    assert server.ask("9.0.0.10.in-addr.arpa. PTR").rcode == Rcode.SERVFAIL, "nobody else knows"
    assert server.ask("nope.shop.svc.cluster.local. A").rcode == Rcode.SERVFAIL, "not covered"


# ---- stale


def test_stale_answers_say_since_when() -> None:
    server = Kubernetes()
    server.status.resources["services"].lost_at = server.now() - 100
    answer = server.ask("web.shop.svc.cluster.local. A")
    assert (3, "API server test not reachable since 1970-01-12T13:45:00Z") in why(answer)
    assert short(answer) == f"NOERROR; {WEB_A}"
    negative = why(server.ask("nope.shop.svc.cluster.local. A"))
    assert [code for code, _ in negative] == [0, 3]
    assert why(server.ask("web.shop.svc.cluster.local. A", edns=None)) == []


def test_a_watch_that_is_taken_up_again_at_once_is_no_news() -> None:
    server = Kubernetes()
    server.status.resources["services"].lost_at = server.now() - 4
    assert 3 not in dict(why(server.ask("web.shop.svc.cluster.local. A")))


# ---- fallthrough


def test_fallthrough_is_for_names_that_are_missing_and_covered() -> None:
    server = Kubernetes("fallthrough svc.cluster.local", after="whoami")
    assert server.ask("nope.shop.svc.cluster.local. A").plugin == "whoami"
    assert server.ask("web.shop.svc.cluster.local. AAAA").plugin == "kubernetes", "never on NODATA"
    assert server.ask("nope.cluster.local. A").plugin == "kubernetes", "not covered"
    everything = Kubernetes("fallthrough", after="whoami")
    assert everything.ask("nope.cluster.local. A").plugin == "whoami"


def test_what_fell_through_goes_once_the_name_exists() -> None:
    answer = Kubernetes("fallthrough", after="whoami").ask("nope.shop.svc.cluster.local. A")
    assert ("svc", "shop", "nope") in answer.keys


def test_nothing_to_fall_to() -> None:
    """What nobody answers does not exist; the peer's SERVFAIL would be asked again and again."""
    answer = Kubernetes("fallthrough").ask("nope.shop.svc.cluster.local. A")
    assert short(answer) == f"NXDOMAIN; {SOA}"
    assert why(answer) == [(0, "no Service nope in namespace shop")]
    assert {("svc", "shop", "nope"), ("named", "nope")} <= answer.keys


# ---- ExternalName


def alias(name: str, target: str) -> Service:
    return Service("shop", name, external_name=target)


def cname(name: str, target: str) -> str:
    return f"{name}.shop.svc.cluster.local. 5 CNAME {target}"


IN_WEB = cname("in", "web.shop.svc.cluster.local.")


def test_inside_it_is_followed() -> None:
    server = Kubernetes(objects=(SHOP, WEB, alias("in", "web.shop.svc.cluster.local")))
    answer = server.ask("in.shop.svc.cluster.local. A")
    assert short(answer) == f"NOERROR; {IN_WEB}; {WEB_A}"
    assert answer.keys == {("ns", "shop"), ("svc", "shop", "web"), ("svc", "shop", "in")}
    for kind in ("CNAME", "ANY"):
        assert short(server.ask(f"in.shop.svc.cluster.local. {kind}")) == f"NOERROR; {IN_WEB}"
    srv = server.ask("in.shop.svc.cluster.local. SRV")
    assert [record.rtype for record in (*srv.answer, *srv.additional)] == [5, 33, 1]
    assert short(server.ask("in.shop.svc.cluster.local. TXT")) == f"NOERROR; {IN_WEB}; {SOA}"


def test_a_missing_target_is_nxdomain_behind_the_cname() -> None:
    """RFC 6604 section 2."""
    server = Kubernetes(objects=(SHOP, alias("in", "nope.shop.svc.cluster.local")))
    answer = server.ask("in.shop.svc.cluster.local. A")
    line = cname("in", "nope.shop.svc.cluster.local.")
    assert short(answer) == f"NXDOMAIN; {line}; {SOA}"
    target = "externalName leads to nope.shop.svc.cluster.local."
    assert why(answer) == [(0, f"{target}: no Service nope in namespace shop")]
    assert ("svc", "shop", "nope") in answer.keys


def test_a_missing_target_does_not_fall_through() -> None:
    objects = (SHOP, alias("in", "nope.shop.svc.cluster.local"))
    answer = Kubernetes("fallthrough", objects, "whoami").ask("in.shop.svc.cluster.local. A")
    assert answer.plugin == "kubernetes"


OUT = cname("out", "Example.org.")


def test_outside_the_whole_server_is_asked(tmp_path: object) -> None:
    zone = f"{tmp_path}/db.example.org"
    with open(zone, "w") as file:
        file.write("$ORIGIN example.org.\n@ 60 SOA ns hostmaster 1 2 3 4 5\n@ 60 NS ns\n")
        file.write("@ 60 A 192.0.2.7\nback 60 CNAME web.shop.svc.cluster.local.\n")
    objects = (
        SHOP,
        WEB,
        alias("out", "Example.org"),
        alias("nope", "nope.example.org"),
        alias("back", "back.example.org"),
    )
    server = Kubernetes(objects=objects, after=f"file {zone} example.org")
    answer = server.ask("out.shop.svc.cluster.local. A")
    assert short(answer) == f"NOERROR; {OUT}; Example.org. 60 A 192.0.2.7"
    assert ("zone", "example.org.") in answer.keys
    missing = server.ask("nope.shop.svc.cluster.local. A")
    assert missing.rcode == Rcode.NXDOMAIN
    assert [record.rtype for record in missing.authority] == [6]
    back = server.ask("back.shop.svc.cluster.local. A")
    assert [record.rtype for record in back.answer] == [5, 5, 1]


def test_outside_with_nobody_to_ask() -> None:
    server = Kubernetes(objects=(SHOP, alias("out", "Example.org")))
    answer = server.ask("out.shop.svc.cluster.local. A")
    assert short(answer) == f"NOERROR; {OUT}"
    text = "externalName leads to Example.org.: nothing here answers for it"
    assert why(answer) == [(0, text)]


# ---- names that objects should not have


@pytest.mark.parametrize(
    "objects",
    [
        (Service("shop", "日本", cluster_ips=("10.0.0.2",)),),
        (Service("shop", "x" * 300, cluster_ips=("10.0.0.1",)),),
        (Slice("shop", "s", "web", (Endpoint(("192.0.2.9",), hostname="日本"),), HTTP),),
        (
            alias("out", "日本.example"),
            alias("out2", "\\日"),
            alias("o3", "x" * 300),
            alias("o4", "."),
        ),
    ],
    ids=["service", "long service", "endpoint", "external name"],
)
def test_odd_objects_cost_nobody_an_answer(objects: tuple[Object, ...]) -> None:
    server = Kubernetes(objects=(SHOP, WEB, *objects))
    for name in ("web", "nope", "out", "out2", "o3", "o4", "x.web"):
        for kind in ("A", "SRV", "ANY"):
            server.ask(f"{name}.shop.svc.cluster.local. {kind}")
    for address in ("1.0.0.10", "2.0.0.10", "9.2.0.192"):
        server.ask(f"{address}.in-addr.arpa. PTR")
    assert server.ask("cluster.local. NS").rcode == Rcode.NOERROR


def test_a_change_shows_at_once() -> None:
    server = Kubernetes()
    assert server.ask("new.shop.svc.cluster.local. A").rcode == Rcode.NXDOMAIN
    server.index.apply(Put(Service("shop", "new", cluster_ips=("10.0.0.7",))), 9)
    assert server.ask("new.shop.svc.cluster.local. A").rcode == Rcode.NOERROR
    assert server.ask("new.shop.svc.cluster.local. A", edns=Edns(512)).rcode == Rcode.NOERROR


def test_the_directive_stands_once_in_a_block() -> None:
    text = "2: kubernetes: is there already"
    assert refusal("kubernetes a\nkubernetes b").startswith("3: kubernetes: is there already"), text
    assert "kubernetes" in chain.plan(block("kubernetes a")).order
