"""``shortnames``: what a Pod's search list would find, for clients without one."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from kdns.plugins.shortnames import Settings
from kdns.records.objects import Kind, Namespace, Object, Pod, Port, Service
from kdns.wire.constants import Class, Rcode
from kdns.wire.message import Answer, Edns
from tests.plugins.chains import Chain, refusal, settings, told

HTTP = (Port("http", "tcp", 80),)
OBJECTS: tuple[Object, ...] = (
    *(Namespace(name) for name in ("default", "my-ns", "shop")),
    Service("default", "web", cluster_ips=("10.0.0.1",), ports=HTTP),
    Service("my-ns", "redis-master", cluster_ips=("172.17.0.6",), ports=HTTP),
    Service("my-ns", "web", cluster_ips=("10.0.0.2",), ports=HTTP),
    Service("default", "example", cluster_ips=("10.0.0.3",)),
    Service("default", "gone", external_name="nope.default.svc.cluster.local"),
    Pod("my-ns", "asker", ("10.244.0.1", "fd00::1")),
    Pod("my-ns", "on-node", ("192.0.2.1",), host_network=True),
    Pod("shop", "twin", ("10.244.0.9",)),
    Pod("my-ns", "twin", ("10.244.0.9",)),
)
ZONE = """\
$ORIGIN .
@ 60 SOA ns hostmaster 1 2 3 4 5
@ 60 NS ns
web 60 A 192.0.2.53
outside 60 A 192.0.2.54
www.example 60 A 192.0.2.55
"""


class Short(Chain):
    def __init__(
        self,
        text: str = "shortnames",
        after: str = "",
        objects: Iterable[Object] = OBJECTS,
        missing: Iterable[Kind] = (),
    ) -> None:
        kubernetes = "kubernetes cluster.local in-addr.arpa {\nttl 7\n}"
        super().__init__(f". {{\n{text}\n{kubernetes}\n{after}\n}}", objects)
        for kind in missing:
            self.index.synced.discard(kind)
            self.status.resources[kind.value].synced = False


@pytest.fixture
def outside(tmp_path: object) -> str:
    """A directive that answers for the whole tree of names, as ``forward`` would."""
    path = f"{tmp_path}/db.root"
    with open(path, "w") as file:
        file.write(ZONE)
    return f"file {path} ."


def short(answer: Answer) -> str:
    return told(answer).partition("; ns ")[0].partition("; + ")[0]


WEB = "web. 7 CNAME web.default.svc.cluster.local.; web.default.svc.cluster.local. 7 A 10.0.0.1"
REDIS = "redis-master.my-ns.svc.cluster.local."
REDIS_A = f"{REDIS} 7 A 172.17.0.6"

FORMS = {
    "web. A": f"NOERROR; {WEB}",
    "redis-master.my-ns. A": f"NOERROR; redis-master.my-ns. 7 CNAME {REDIS}; {REDIS_A}",
    "redis-master.my-ns.svc. A": f"NOERROR; redis-master.my-ns.svc. 7 CNAME {REDIS}; {REDIS_A}",
    "_http._tcp.web. SRV": (
        "NOERROR; _http._tcp.web. 7 CNAME _http._tcp.web.default.svc.cluster.local.;"
        " _http._tcp.web.default.svc.cluster.local. 7 SRV 0 100 80 web.default.svc.cluster.local."
    ),
    "_http._tcp.redis-master.my-ns. SRV": (
        f"NOERROR; _http._tcp.redis-master.my-ns. 7 CNAME _http._tcp.{REDIS};"
        f" _http._tcp.{REDIS} 7 SRV 0 100 80 {REDIS}"
    ),
    "WEB. A": (
        "NOERROR; WEB. 7 CNAME WEB.default.svc.cluster.local.;"
        " WEB.default.svc.cluster.local. 7 A 10.0.0.1"
    ),
    "web. AAAA": "NOERROR; web. 7 CNAME web.default.svc.cluster.local.",
    "web. CNAME": "NOERROR; web. 7 CNAME web.default.svc.cluster.local.",
    "gone. A": (
        "NXDOMAIN; gone. 7 CNAME gone.default.svc.cluster.local.;"
        " gone.default.svc.cluster.local. 7 CNAME nope.default.svc.cluster.local."
    ),
    "redis-master. A": "NXDOMAIN",
    "nope. A": "NXDOMAIN",
    "nope.my-ns. A": "NXDOMAIN",
    "www.example.com. A": "NXDOMAIN",
}


@pytest.mark.parametrize("question", FORMS)
def test_forms(question: str) -> None:
    assert short(Short().ask(question)) == FORMS[question]


def test_names_that_are_nowhere_come_with_the_clusters_reasons(outside: str) -> None:
    answer = Short(after=outside).ask("redis-master. A")
    assert answer.rcode == Rcode.NXDOMAIN
    assert answer.plugin == "file"
    reason = "no Service redis-master in namespace default; there is one in my-ns"
    assert reason in [error.text for error in answer.errors]
    answer = Short(after=outside).ask("redis-master.shop2. A")
    assert "no namespace shop2; did you mean shop?" in [error.text for error in answer.errors]
    answer = Short(after=outside).ask("redis-master.shop2.svc. A")
    assert "no namespace shop2; did you mean shop?" in [error.text for error in answer.errors]
    answer = Short(after=outside).ask("www.nope.test. A")
    assert not any("namespace" in error.text for error in answer.errors), "never meant for it"


def test_what_is_reached_from_outside() -> None:
    """``k8s_external`` for the names of Services themselves: completed names have its answers."""
    web = Service("default", "web", cluster_ips=("10.0.0.1",), ingress=("192.0.2.9",))
    more = "k8s_external svc.cluster.local"
    answer = Short(after=more, objects=(Namespace("default"), web)).ask("web. A")
    full = "web.default.svc.cluster.local."
    assert short(answer) == f"NOERROR; web. 7 CNAME {full}; {full} 5 A 192.0.2.9"
    assert Short(after=more).ask("web. A").rcode == Rcode.NXDOMAIN


def test_another_namespace_is_the_default() -> None:
    answer = Short("shortnames My-NS").ask("redis-master. A")
    assert short(answer) == f"NOERROR; redis-master. 7 CNAME {REDIS}; {REDIS_A}"


@pytest.mark.parametrize(
    "question",
    [
        "web.default.svc.cluster.local. A",
        "web.cluster.local. A",
        "1.0.0.10.in-addr.arpa. PTR",
        "a.b.c.d.e.f. A",
        ". NS",
    ],
)
def test_names_that_are_not_short_are_passed_on(question: str) -> None:
    assert told(Short().ask(question)) == told(Short("debug").ask(question))


def test_questions_of_the_server_itself_and_other_classes_are_passed_on() -> None:
    assert not Short().ask("web. A", transport="internal").handled
    assert not Short().ask("web. A", qclass=Class.CH).handled


def test_a_name_of_255_octets_is_not_completed() -> None:
    name = ".".join(["x" * 62] * 4)
    assert Short().ask(f"{name}. A").rcode == Rcode.NXDOMAIN


# ---- what exists outside as well


def test_the_cluster_wins(outside: str) -> None:
    server = Short(after=outside)
    assert short(server.ask("web. A")) == f"NOERROR; {WEB}"
    assert short(server.ask("outside. A")) == "NOERROR; outside. 60 A 192.0.2.54"
    assert short(server.ask("www.example. A")) == "NOERROR; www.example. 60 A 192.0.2.55"
    assert server.ask("nope. A").rcode == Rcode.NXDOMAIN


def test_the_outside_wins_where_that_is_preferred(outside: str) -> None:
    server = Short("shortnames {\nprefer outside\n}", after=outside)
    assert short(server.ask("web. A")) == "NOERROR; web. 60 A 192.0.2.53"
    assert short(server.ask("web.my-ns. A")).startswith("NOERROR; web.my-ns. 7 CNAME")
    assert server.ask("nope. A").rcode == Rcode.NXDOMAIN


def test_without_an_outside_the_cluster_answers_all_the_same() -> None:
    server = Short("shortnames {\nprefer outside\n}")
    assert short(server.ask("web. A")) == f"NOERROR; {WEB}"


# ---- what is kept


def test_keys_of_every_completion_that_was_tried(clock: float) -> None:
    answer = Short().ask("redis-master.my-ns. A")
    assert {
        ("svc", "my-ns", "redis-master"),
        ("svc", "default", "my-ns"),
        ("ns", "my-ns"),
    } <= answer.keys
    assert answer.keep_until == clock + 7, "as long as the completions that were denied"


def test_a_negative_answer_goes_when_any_completion_comes(outside: str) -> None:
    for server in (Short(), Short(after=outside)):
        keys = server.ask("nope.my-ns. A").keys
        assert {("svc", "my-ns", "nope"), ("svc", "default", "my-ns")} <= keys


def test_what_outside_would_win_drops_the_clusters_answer(outside: str) -> None:
    """Kept is the cluster's name; the zone file then gains one of its own."""
    server = Short("shortnames {\nprefer outside\n}", after=outside)
    assert ("zone", ".") in server.ask("redis-master.my-ns. A").keys


def test_nothing_is_kept_before_the_first_sync() -> None:
    for question in ("web. A", "nope. A", "www.example.com. A"):
        assert Short(missing=[Kind.POD]).ask(question).keep_until == 0
    assert Short(missing=Kind).ask("nope. A").rcode == Rcode.SERVFAIL


# ---- by source address


def asked_from(client: str, text: str = "shortnames {\npods\n}") -> Answer:
    return Short(text).ask("web. A", client=client)


MINE = (
    "NOERROR; web. 7 CNAME web.my-ns.svc.cluster.local.; web.my-ns.svc.cluster.local. 7 A 10.0.0.2"
)


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        ("10.244.0.1", MINE),
        ("fd00::1", MINE),
        ("10.244.7.7", f"NOERROR; {WEB}"),
        ("192.0.2.1", f"NOERROR; {WEB}"),
        ("10.244.0.9", f"NOERROR; {WEB}"),
    ],
    ids=["pod", "pod v6", "nobody", "host network", "two pods"],
)
def test_the_namespace_of_the_asking_pod(client: str, expected: str) -> None:
    answer = asked_from(client)
    assert short(answer) == expected
    assert answer.keep_until == 0, "another asker gets another answer to the same bytes"


def test_the_address_counts_only_where_that_is_wished() -> None:
    assert short(asked_from("10.244.0.1", "shortnames")) == f"NOERROR; {WEB}"


# ---- words, options


def test_why_nothing_was_found() -> None:
    answer = Short().ask("nope. A")
    first, error = answer.errors
    assert first.text == "no Service nope in namespace default"
    assert error.text == (
        "nothing here answers for nope., nor is it in the cluster with default.svc.cluster.local.,"
        " svc.cluster.local., cluster.local. appended"
    )
    first, _ = Short().ask("redis-master. A").errors
    assert first.text == "no Service redis-master in namespace default; there is one in my-ns"
    first, _ = Short().ask("redis-master.nowhere. A").errors
    assert first.text == "no namespace nowhere"
    first, _ = Short().ask("redis-mster.my-ns.svc. A").errors
    assert first.text == "no Service redis-mster in namespace my-ns; did you mean redis-master?"
    first, _ = Short().ask("redis-master.my-ns.svc.cluster.lcoal. A").errors
    assert first.text == "names of the cluster's Services end in svc.cluster.local."
    first, _ = Short().ask("db-7.web. A").errors
    assert first.text == "Service default/web has no ready endpoint called db-7"
    first, _ = Short().ask("_htp._tcp.web. SRV").errors
    assert first.text == "Service default/web has no port _htp._tcp; it has _http._tcp"
    first, _ = Short().ask("_http._tcp.redis-mster.my-ns. SRV").errors
    assert first.text == "no Service redis-mster in namespace my-ns; did you mean redis-master?"
    assert len(Short().ask("www.example.com. A").errors) == 1, "never meant for the cluster"
    assert Short().ask("nope. A", edns=None).errors == ()
    assert Short().ask("nope. A", edns=Edns()).plugin == "shortnames"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shortnames", Settings()),
        ("shortnames Prod", Settings("prod")),
        ("shortnames {\npods\n}", Settings(pods=True)),
        ("shortnames a {\nprefer outside\npods\n}", Settings("a", True, True)),
        ("shortnames {\nprefer cluster\n}", Settings()),
    ],
)
def test_options(text: str, expected: Settings) -> None:
    found = settings(text)
    assert isinstance(found, Settings)
    assert (found.namespace, found.pods, found.outside_first) == (
        expected.namespace,
        expected.pods,
        expected.outside_first,
    )


NOT_AN_OPTION = "not an option of shortnames; these are pods, prefer cluster|outside"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shortnames a b", "2: shortnames: takes one namespace, got 2 arguments"),
        ("shortnames {\nprefer nobody\n}", f"3: prefer: {NOT_AN_OPTION}"),
        ("shortnames {\nprefer\n}", "3: prefer: takes exactly one argument, got 0"),
        ("shortnames {\npods yes\n}", "3: pods: takes no argument, got 'yes'"),
        ("shortnames {\nwhatever\n}", f"3: whatever: {NOT_AN_OPTION}"),
        ("shortnames a.b", "2: shortnames: expected a namespace, not 'a.b'"),
        ("shortnames 日本", "2: shortnames: expected a namespace, not '日本'"),
        (f"shortnames {'x' * 64}", f"2: shortnames: expected a namespace, not '{'x' * 40}'"),
    ],
)
def test_bad_options(text: str, message: str) -> None:
    assert refusal(text) == message


def test_there_must_be_a_cluster() -> None:
    from kdns.config.tree import ConfigError

    with pytest.raises(
        ConfigError, match="shortnames: needs a kubernetes directive in the same server block"
    ):
        Chain(". {\nshortnames\n}")
