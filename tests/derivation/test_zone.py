"""Questions about questions, by real ``dig`` to a real server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from kdns.plugins.explain import EVERYONE, Settings
from tests.cluster.processes import Process, free_dns_port
from tests.fakes.nameserver import NameServer
from tests.plugins.chains import refusal, settings

MANIFESTS: Final = """\
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: hidden}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.96.1.1, selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: secret, namespace: hidden}
spec: {clusterIP: 10.96.1.2, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: shop, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints:
- {addresses: [10.244.0.5], targetRef: {kind: Pod, name: web-0}}
- {addresses: [127.0.0.1], conditions: {ready: false}, targetRef: {kind: Pod, name: web-1}}
---
apiVersion: v1
kind: Service
metadata: {name: open, namespace: shop}
spec:
  type: LoadBalancer
  clusterIP: 10.96.1.9
  externalIPs: [192.0.2.7]
  ports: [{name: http, port: 80, nodePort: 30080}]
status: {loadBalancer: {ingress: [{hostname: lb.test}]}}
"""
COREFILE: Final = """\
.:{port} {{
    bind 127.0.0.1
    cache 30
    rewrite name old.test web.shop.svc.cluster.local
    k8s_external outside.test
    kubernetes cluster.local in-addr.arpa {{
        manifests {folder}/manifests
        namespaces shop
    }}
    forward test 127.0.0.1:{upstream}
}}
closed.test:{port} {{
    bind 127.0.0.1
    explain off
    whoami
}}
others.test:{port} {{
    bind 127.0.0.1
    explain 127.0.0.2
    whoami
}}
"""
TELLS: Final = {
    "web.shop.svc.cluster.local": [
        "question: web.shop.svc.cluster.local. A",
        "server block: . of dns://127.0.0.1:PORT (Corefile:1)",
        "directives: bind rewrite cache k8s_external kubernetes forward",
        "cache: nothing is kept; the next directive is asked",
        (
            "kubernetes: looks up web.shop.svc.cluster.local. in zone cluster.local.; "
            "svc namespace shop service web; found"
        ),
        "object: Namespace shop: exposed",
        "object: Service shop/web: ClusterIP 10.96.1.1; ports http:80/tcp",
        (
            "object: EndpointSlice shop/web-1: 10.244.0.5 ready (Pod web-0); "
            "127.0.0.1 not ready (Pod web-1)"
        ),
        "answer: NOERROR by kubernetes, after TIME",
        "record: web.shop.svc.cluster.local. 5 IN A 10.96.1.1",
        "reply cache: kept until this changes: Namespace shop, Service shop/web",
    ],
    "_http._tcp.web.shop.svc.cluster.local._SRV": [
        "question: _http._tcp.web.shop.svc.cluster.local. SRV",
        (
            "record: _http._tcp.web.shop.svc.cluster.local. 5 IN SRV 0 100 80 "
            "web.shop.svc.cluster.local."
        ),
    ],
    "webs.shop.svc.cluster.local": [
        "object: Service shop/webs: not there",
        "answer: NXDOMAIN by kubernetes, after TIME",
        "reason: no Service webs in namespace shop; did you mean web?",
    ],
    "web.shop.svc.cluster.local._AAAA": [
        "answer: NOERROR without such a record (NODATA) by kubernetes, after TIME"
    ],
    "old.test": [
        "rewrite: a rule for name; asks for web.shop.svc.cluster.local. A",
        "answer: NOERROR by kubernetes, after TIME",
    ],
    "www.test": [
        "forward: asks one of 127.0.0.1:PORT",
        "answer: NOERROR by forward, after TIME",
        "record: www.test. 30 IN A 192.0.2.1",
        "reply cache: not kept: it depends on the client, came from elsewhere, or is of this moment",
    ],
    "5.0.244.10.in-addr.arpa._PTR": [
        (
            "object: EndpointSlice shop/web-1: 10.244.0.5 ready (Pod web-0); "
            "127.0.0.1 not ready (Pod web-1)"
        ),
        "record: 5.0.244.10.in-addr.arpa. 5 IN PTR 10-244-0-5.web.shop.svc.cluster.local.",
    ],
    "open.shop.outside.test": [
        "k8s_external: looks up open.shop.outside.test. in zone outside.test.; found",
        (
            "object: Service shop/open: ClusterIP 10.96.1.9; ports http:80:30080/tcp; "
            "outside 192.0.2.7 lb.test"
        ),
        "record: open.shop.outside.test. 5 IN A 192.0.2.7",
    ],
    "opn.shop.outside.test": [
        "k8s_external: looks up opn.shop.outside.test. in zone outside.test.; no such name",
        "reason: no Service opn in namespace shop; did you mean open?",
    ],
    "www.test._AXFR": ["question: www.test. AXFR"],
    "mx.explain.kdns": ["it is about questions itself"],
}


class Site:
    """The server and who asks it."""

    def __init__(self, port: int, log: Path) -> None:
        self.port, self.log = port, log

    def dig(self, *words: str) -> str:
        line = ["dig", "@127.0.0.1", "-p", str(self.port), "+tries=1", "+time=30", *words]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout

    def steps(self, name: str, *words: str) -> list[str]:
        """The texts without their numbers, which must be in order."""
        lines = self.dig(*words, "+short", "TXT", f"{name}.explain.kdns").splitlines()
        texts = [line.replace('" "', "").strip('"') for line in lines]
        numbers = [int(text.partition(" ")[0]) for text in texts]
        assert numbers == list(range(1, len(texts) + 1))
        return [
            re.sub(r"[0-9.]+ ms$|(?<=127\.0\.0\.1:)\d+|[^ (]*/(?=Corefile:)", _replaced, text)
            for text in (text.partition(" ")[2] for text in texts)
        ]


def _replaced(found: re.Match[str]) -> str:
    return "TIME" if found[0].endswith("ms") else "PORT" if found[0].isdigit() else ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("derivation"), free_dns_port()
    (folder / "manifests").mkdir()
    (folder / "manifests" / "all.yaml").write_text(MANIFESTS)
    records = [f"{name}.test. 300 IN A 192.0.2.1" for name in ("www", "kept")]
    with NameServer(*records) as upstream:
        text = COREFILE.format(port=port, folder=folder, upstream=upstream.port)
        (folder / "Corefile").write_text(text)
        command = [sys.executable, "-m", "kdns", "-conf", str(folder / "Corefile")]
        server = Process(command, folder / "log")
        server.wait_ready(lambda: "listening on" in (folder / "log").read_text(), 60)
        yield Site(port, folder / "log")
        assert server.stop() == 0


@pytest.mark.parametrize("name", TELLS)
def test_steps(site: Site, name: str) -> None:
    steps = site.steps(name)
    missing = [line for line in TELLS[name] if line not in steps]
    assert missing == [], "\n".join(steps)


def test_it_does_not_keep_what_it_asks_for_itself_as_the_askers(site: Site) -> None:
    """An answer of an upstream is kept by ``cache``, as for any question, and that is told."""
    site.steps("kept.test")
    (told,) = [step for step in site.steps("kept.test") if step.startswith("cache: ")]
    assert re.fullmatch(r"cache: success kept \d+ s ago, good for \d+ s more", told)


def test_kept_replies_are_counted(site: Site) -> None:
    for _ in range(3):
        site.dig("+nocookie", "WEB.shop.svc.cluster.local", "SRV")
    (told,) = [
        s for s in site.steps("web.shop.svc.cluster.local._srv") if s.startswith("cached now")
    ]
    assert told == "cached now: 1 form(s) of the query, 2 answered from the cache"


@pytest.mark.parametrize(
    "name",
    [
        "secret.hidden.svc.cluster.local",
        "secret.shop.svc.cluster.local",
        "2.1.96.10.in-addr.arpa._PTR",
        "hidden.svc.cluster.local",
    ],
)
def test_hidden_namespaces_stay_hidden(site: Site, name: str) -> None:
    """The same is told of a namespace that is hidden and of one that is not there."""
    other = name.replace("secret", "secreu").replace("hidden", "hiddeo").replace("2.1.96", "3.1.96")
    assert _alike(site.steps(name)) == _alike(site.steps(other))


def _alike(steps: list[str]) -> str:
    text = re.sub(r"\d+ s ago", "AGO", "\n".join(steps)).replace("secreu", "secret")
    text = text.replace("hiddeo", "hidden").replace("3.1.96", "2.1.96")
    return text.replace("10.96.1.3", "10.96.1.2")


@pytest.mark.parametrize(
    ("name", "source", "status"),
    [
        ("a.closed.test", "127.0.0.1", "REFUSED"),
        ("a.others.test", "127.0.0.1", "REFUSED"),
        ("a.others.test", "127.0.0.2", "NOERROR"),
        ("web.shop.svc.cluster.local", "127.0.0.2", "NOERROR"),
    ],
)
def test_who_may_ask(site: Site, name: str, source: str, status: str) -> None:
    said = site.dig("-b", source, "TXT", f"{name}.explain.kdns")
    assert f"status: {status}" in said
    if status == "REFUSED":
        assert "; EDE: 18 (Prohibited): (explanations are for loopback addresses" in said


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["TXT", "explain.kdns"], "NOERROR"),
        (["TXT", "kdns"], "NOERROR"),
        (["TXT", "nosuch.kdns"], "NXDOMAIN"),
        (["A", "web.shop.svc.cluster.local.explain.kdns"], "NOERROR"),
        (["CH", "TXT", "a.explain.kdns"], "REFUSED"),
    ],
)
def test_other_questions_below_kdns(site: Site, words: list[str], status: str) -> None:
    said = site.dig(*words)
    assert f"status: {status}" in said
    assert "ANSWER: 0" in said


def test_whoami(site: Site) -> None:
    lines = site.dig("+short", "+tcp", "+bufsize=1400", "TXT", "whoami.kdns").splitlines()
    assert re.fullmatch(r'"1 address 127\.0\.0\.1 port \d+ over tcp"', lines[0])
    assert lines[1:] == [
        '"2 Pod shop/web-1"',
        '"3 EDNS: replies over UDP have at most 1400 octets"',
    ]
    assert "no EDNS" in site.dig("+short", "+noedns", "TXT", "whoami.kdns")


def test_control_characters_do_not_reach_a_terminal(site: Site) -> None:
    said = site.dig("+short", "TXT", "a\\027[31mb.explain.kdns")
    assert "\x1b" not in said
    assert "\\027" in said


def test_nobody_notices_when_starting(site: Site) -> None:
    assert "kdns." not in site.log.read_text()


@pytest.mark.parametrize(
    ("client", "allowed"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("", False),
    ],
)
def test_default_policy(client: str, allowed: bool) -> None:
    assert Settings().allows(client) is allowed


def test_directive() -> None:
    assert settings("explain off") == Settings(())
    assert settings("explain any") == Settings(EVERYONE)
    networks = settings("explain 10.0.0.1/8 fd00::/8")
    assert isinstance(networks, Settings)
    assert networks.allows("10.2.3.4")
    assert not networks.allows("127.0.0.1")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("explain", "2: explain: expected networks such as 10.0.0.0/8, any, or off"),
        ("explain everybody", "2: explain: 'everybody' is not a network, expected one like"),
        ("explain any {\n  off\n}", "3: off: explain has no options"),
    ],
)
def test_refused(text: str, reason: str) -> None:
    assert refusal(text).startswith(reason)
