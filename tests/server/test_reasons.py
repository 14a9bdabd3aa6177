"""Every reason as somebody sees it who has nothing but ``dig``."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from kdns.wire.reasons import MAX_TEXT
from tests.cluster.processes import Process, free_dns_port, wait_until
from tests.fakes.nameserver import NameServer


def service(name: str, spec: str, namespace: str = "shop") -> str:
    head = f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {namespace}}}\n"
    return f"{head}spec: {{{spec}}}\n"


def piece(name: str, *endpoints: str) -> str:
    labels = f"{{kubernetes.io/service-name: {name}}}"
    return (
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
        f"metadata: {{name: {name}-1, namespace: shop, labels: {labels}}}\naddressType: IPv4\n"
        f"ports: [{{name: http, port: 80, protocol: TCP}}]\nendpoints: [{', '.join(endpoints)}]\n"
    )


def endpoint(last: int, pod: str, conditions: str) -> str:
    target = f"targetRef: {{kind: Pod, name: {pod}}}"
    return f"{{addresses: [10.244.0.{last}], {target}, conditions: {{{conditions}}}}}"


PORT: Final = "ports: [{name: http, port: 80}]"
SELECTOR: Final = "selector: {app: nothing}"
DOWN: Final = endpoint(2, "db-0", "ready: false")
OBJECTS: Final = (
    *(
        f"apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n"
        for name in ("shop", "prod", "hidden")
    ),
    service("web", f"clusterIP: 10.96.0.1, {SELECTOR}, {PORT}"),
    piece("web", endpoint(1, "web-0", "ready: true")),
    service("idle", f"clusterIP: 10.96.0.2, {SELECTOR}, {PORT}"),
    piece("idle", DOWN),
    service("db", f"clusterIP: None, {SELECTOR}, {PORT}"),
    piece("db", DOWN, endpoint(3, "db-1", "ready: false, terminating: true")),
    service("nobody", f"clusterIP: None, {SELECTOR}, {PORT}"),
    service("byhand", f"clusterIP: None, {PORT}"),
    service("address", "type: ExternalName, externalName: 192.0.2.1"),
    service("lost", "type: ExternalName, externalName: gone.shop.svc.cluster.local"),
    service("away", "type: ExternalName, externalName: gone.test"),
    service("abroad", "type: ExternalName, externalName: example.org"),
    service("loop", "type: ExternalName, externalName: loop.shop.svc.cluster.local"),
    service("redis", f"clusterIP: 10.96.0.3, {SELECTOR}, {PORT}", "prod"),
    service("secret", f"clusterIP: 10.96.0.4, {SELECTOR}, {PORT}", "hidden"),
    service("twin", f"clusterIP: 10.96.0.5, {SELECTOR}, {PORT}", "prod"),
    service("twin", f"clusterIP: 10.96.0.6, {SELECTOR}, {PORT}", "hidden"),
)
COREFILE: Final = """\
cluster.local:{port} in-addr.arpa:{port} {{
    bind 127.0.0.1
    kubernetes {{
        manifests {folder}/all.yaml
        namespaces shop prod
        pods verified
    }}
}}
insecure.local:{port} {{
    bind 127.0.0.1
    kubernetes {{
        manifests {folder}/all.yaml
        noendpoints
    }}
}}
unsynced.local:{port} {{
    bind 127.0.0.1
    kubernetes {{
        endpoint http://127.0.0.1:{nobody}
    }}
}}
test:{port} {{
    bind 127.0.0.1
    cache {{
        serve_stale 1h verify 100ms
        success 100 1 0
    }}
    forward . 127.0.0.1:{upstream}
}}
down.test:{port} {{
    bind 127.0.0.1
    forward . 127.0.0.1:{nobody}
}}
nothing.test:{port} {{
    bind 127.0.0.1
    errors
}}
acl.test:{port} {{
    bind 127.0.0.1
    acl {{
        block type A
        filter
    }}
    whoami
}}
"""
D: Final = "cluster.local"
SURE: Final = f"; a search list has appended shop.svc.{D} to"
OTHER: Final = "0 (Other)"
REASONS: Final = {
    f"webs.shop.svc.{D}": "no Service webs in namespace shop; did you mean web?",
    f"wbe.shop.svc.{D}": "no Service wbe in namespace shop; did you mean web?",
    f"redis.shop.svc.{D}": "no Service redis in namespace shop; there is one in prod",
    f"twin.shop.svc.{D}": "no Service twin in namespace shop; there is one in prod",
    f"secret.shop.svc.{D}": "no Service secret in namespace shop",
    f"*.shop.svc.{D}": "no Service * in namespace shop; wildcards ended with CoreDNS 1.9",
    f"web-frontend.shop.svc.{D}": "no Service web-frontend in namespace shop; did you mean web?",
    f"twin.svc.{D}": (
        "namespace twin does not exist or is not exposed here; "
        "Service twin is in namespace prod: twin.prod.svc"
    ),
    f"secret.svc.{D}": "namespace secret does not exist or is not exposed here",
    f"web.nope.svc.{D}": "namespace nope does not exist or is not exposed here",
    f"web.shpo.svc.{D}": "namespace shpo does not exist or is not exposed here; did you mean shop?",
    f"secret.hidden.svc.{D}": "namespace hidden does not exist or is not exposed here",
    f"shop.web.svc.{D}": (
        "namespace web does not exist or is not exposed here; "
        "Service web is in namespace shop: web.shop.svc"
    ),
    f"db.shop.svc.{D}": (
        "Service shop/db exists, headless, 0 of 2 endpoints ready: db-0, db-1 (terminating)"
    ),
    f"nobody.shop.svc.{D}": (
        "Service shop/nobody exists, headless, 0 of 0 endpoints ready; its selector matches no running Pod"
    ),
    f"byhand.shop.svc.{D}": (
        "Service shop/byhand exists, headless, 0 of 0 endpoints ready; it has no selector"
    ),
    f"idle.shop.svc.{D}": (
        "Service shop/idle exists, 0 of 1 endpoints ready: db-0; nobody answers at its ClusterIP"
    ),
    f"db-7.web.shop.svc.{D}": "Service shop/web has no ready endpoint called db-7; ready: 10-244-0-1",
    f"_https._tcp.web.shop.svc.{D}": (
        "Service shop/web has no port _https._tcp; it has _http._tcp"
    ),
    f"_http._udp.web.shop.svc.{D} SRV": (
        "Service shop/web has no port _http._udp; it has _http._tcp"
    ),
    f"_http.web.shop.svc.{D} SRV": "Service shop/web has no port _http; it has _http._tcp",
    f"10-244-0-2.idle.shop.svc.{D}": (
        "Service shop/idle has no ready endpoint called 10-244-0-2; it is not ready"
    ),
    f"web.shop.svc.{D} TXT": ("the name exists but has no record of this type, only A, SRV"),
    f"shop.svc.{D}": "only names below this one have records",
    f"address.shop.svc.{D}": (
        "Service shop/address: externalName must be a domain name, it is an IP address or not "
        "valid; use a Service without selector and an EndpointSlice instead"
    ),
    f"lost.shop.svc.{D}": (
        f"externalName leads to gone.shop.svc.{D}.: no Service gone in namespace shop"
    ),
    f"away.shop.svc.{D}": "externalName leads to gone.test.: NXDOMAIN",
    f"abroad.shop.svc.{D}": "externalName leads to example.org.: nothing here answers for it",
    f"loop.shop.svc.{D}": f"the aliases form a loop of 1: loop.shop.svc.{D}. -> loop.shop.svc.{D}.",
    f"x.lost.shop.svc.{D}": "Service shop/lost is an ExternalName: it has no names below it",
    f"redis.prod.shop.svc.{D}": (
        "no Service prod in namespace shop; a search list has appended to redis.prod, "
        "which exists (ndots)"
    ),
    f"redis.prod.svc.{D}.shop.svc.{D}": (
        f"no Service local in namespace shop{SURE} redis.prod.svc.{D} (ndots)"
    ),
    f"redis.prod.svc.shop.svc.{D}": f"no Service svc in namespace shop{SURE} redis.prod.svc (ndots)",
    f"www.example.org.shop.svc.{D}": (
        f"no Service org in namespace shop; if a search list appended shop.svc.{D}, "
        "www.example.org is what was meant (ndots)"
    ),
    f"www.example.org.{D}": (
        "not of the form SERVICE.NAMESPACE.svc or ADDRESS.NAMESPACE.pod; if a search list "
        f"appended {D}, www.example.org is what was meant (ndots)"
    ),
    f"web.shop.{D}": (
        "not of the form SERVICE.NAMESPACE.svc or ADDRESS.NAMESPACE.pod; did you mean web.shop.svc?"
    ),
    f"web-0.shop.pod.{D}": (
        "the Pod's label must be its address with dashes, such as 10-0-0-1, not a Pod name"
    ),
    f"10-9-9-9.shop.pod.{D}": "no Pod in namespace shop has the address 10-9-9-9",
    "10-9-9-9.shop.pod.insecure.local": "names of Pods are off here (option pods disabled)",
    "db.shop.svc.insecure.local": "endpoints are not watched here (option noendpoints)",
    "9.9.9.9.in-addr.arpa PTR": "no Service and no ready endpoint of one has this address",
    "4.0.96.10.in-addr.arpa PTR": "no Service and no ready endpoint of one has this address",
    "servfail.test": "127.0.0.1:PORT replied SERVFAIL",
}
OTHER_CODES: Final = {
    "web.shop.svc.unsynced.local": r"14 \(Not Ready\): \(not synced yet: services: cannot connect",
    "www.down.test": r"22 \(No Reachable Authority\): \(read udp 127\.0\.0\.1:\d+: connection refused\)",
    "www.nothing.test": (
        r"20 \(Not Authoritative\): \(no directive of this server block answers for the name\)"
    ),
    "example.com": r"20 \(Not Authoritative\): \(no server block here is for this name\)",
    "www.acl.test A": r"15 \(Blocked\)",
    "www.acl.test TXT": r"17 \(Filtered\)",
}


class Site:
    def __init__(self, port: int, upstream: NameServer) -> None:
        self.port, self.upstream = port, upstream

    def dig(self, question: str) -> str:
        line = [
            "dig",
            "@127.0.0.1",
            "-p",
            str(self.port),
            "+tries=1",
            "+time=30",
            *question.split(),
        ]
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout

    def reasons(self, question: str) -> list[str]:
        return re.findall(r"^; EDE: (.*)$", self.dig(question), re.MULTILINE)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, port = tmp_path_factory.mktemp("reasons"), free_dns_port()
    with NameServer("www.test. 1 IN A 192.0.2.1") as upstream:
        yield from _serve(folder, port, upstream)


def _serve(folder: Path, port: int, upstream: NameServer) -> Iterator[Site]:
    (folder / "all.yaml").write_text("---\n".join(OBJECTS))
    nobody = free_dns_port()
    text = COREFILE.format(port=port, folder=folder, upstream=upstream.port, nobody=nobody)
    (folder / "Corefile").write_text(text)
    command = [sys.executable, "-m", "kdns", "-conf", str(folder / "Corefile")]
    server = Process(command, folder / "log")
    server.wait_ready(lambda: "listening on" in (folder / "log").read_text(), 60)
    found = Site(port, upstream)
    unsynced = "web.shop.svc.unsynced.local"
    wait_until(lambda: "cannot connect" in found.dig(unsynced), 60, "the first attempt")
    yield found
    assert server.stop() == 0


@pytest.mark.parametrize("question", REASONS)
def test_reasons(site: Site, question: str) -> None:
    site.upstream.rcode = 2 if question == "servfail.test" else None
    (said,) = site.reasons(question)
    text = REASONS[question]
    assert re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", said) == f"{OTHER}: ({text})"
    assert len(text.encode()) <= MAX_TEXT


@pytest.mark.parametrize("question", OTHER_CODES)
def test_other_codes(site: Site, question: str) -> None:
    (said,) = site.reasons(question)
    assert re.match(OTHER_CODES[question], said)


def test_stale(site: Site) -> None:
    """What was kept of an upstream that has gone away since, longer than it is good for."""
    site.upstream.rcode = None
    assert site.reasons("www.test") == []
    site.upstream.fault = "drop"
    try:
        wait_until(lambda: bool(site.reasons("www.test")), 60, "its end")
        (said,) = site.reasons("www.test")
        assert re.fullmatch(
            r"3 \(Stale Answer\): \(ended \d+s ago; a newer answer is not to be had\)", said
        )
    finally:
        site.upstream.fault = ""


def test_good_answers_need_no_reason(site: Site) -> None:
    for question in (f"web.shop.svc.{D}", f"web.shop.svc.{D} SRV", f"{D} SOA"):
        assert site.reasons(question) == []
