# ruff: noqa: E501  (a table row per case reads best on one line)
"""``k8s_external`` and ``autopath @kubernetes`` beside CoreDNS, both on one real API server."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest

from tests.cluster import programs
from tests.cluster.conftest import provide
from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import wait_until
from tests.plugins.peers import Peers, check

NAMESPACE: Final = "outside"
HTTP: Final = {"name": "http", "port": 80, "protocol": "TCP"}
DNS: Final = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]  # fmt: skip


def service(
    name: str,
    ports: list[dict[str, Any]] | None = None,
    ingress: list[dict[str, str]] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    kind = "LoadBalancer" if ingress else "ClusterIP"
    found: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"type": kind, "ports": [HTTP] if ports is None else ports, **spec},
    }
    if ingress:
        found["status"] = {"loadBalancer": {"ingress": ingress}}
    return found


MANIFESTS: Final = [
    service("web", externalIPs=["192.0.2.1"]),
    service("lb", ingress=[{"ip": "192.0.2.2"}], externalIPs=["192.0.2.9"]),
    service("elb", ingress=[{"hostname": "lb.outside.test"}]),
    service("elb2", ports=DNS, ingress=[{"hostname": "lb.outside.test"}]),
    service("twice", ports=DNS, externalIPs=["192.0.2.5"]),
    service("inside"),
    service("db", clusterIP="None", selector={"app": "db"}),
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "db-0", "namespace": NAMESPACE, "labels": {"app": "db"}},
        "spec": {"hostname": "db-0", "subdomain": "db"},
        "status": {"phase": "Running", "podIP": "10.1.0.1", "podIPs": [{"ip": "10.1.0.1"}], "conditions": [{"type": "Ready", "status": "True"}]},
    },
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "asker", "namespace": NAMESPACE},
        "status": {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]},
    },
]  # fmt: skip
COREFILE: Final = """
. {
    bind 127.0.0.1
    autopath cluster.local @kubernetes
    kubernetes cluster.local {
        kubeconfig KUBECONFIG
        pods verified
    }
    k8s_external example.org 192.0.2.0/24 {
        OPTIONS
    }
    template IN A outside.test {
        match ^lb[.]outside[.]test[.]$
        answer "{{ .Name }} 30 A 198.51.100.7"
        fallthrough
    }
    template ANY ANY test {
        rcode NXDOMAIN
    }
    template ANY ANY {
        match ^[^.]*[.][^.]*[.]$
        match ^[^.]*[.]$
        rcode NXDOMAIN
        fallthrough
    }
}
"""
TYPES: Final = ("A", "AAAA", "SRV")
QUESTIONS: Final = (
    *(f"{name}.outside.example.org {t}" for name in ("web", "lb", "elb", "elb2", "inside", "db", "no", "twice", "_http._tcp.web", "_dns._udp.twice", "_http._tcp.elb", "_x._tcp.web", "db-0.db", "10-1-0-1.db", "a.b.c.web") for t in TYPES),
    *(f"{name} {t}" for name in ("example.org", "outside.example.org", "no.example.org", "dns.example.org", "x.dns.example.org") for t in ("A", "TXT", "SRV")),
    *(f"{n}.2.0.192.in-addr.arpa PTR" for n in (1, 2, 5, 9, 77)),
    *("web.outside.example.org TXT", "elb.outside.example.org TXT", "elb.outside.example.org CNAME", "x.web.outside.example.org A"),
    *(f"{name}.outside.svc.cluster.local A" for name in ("web", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "lb.outside.test", "no.outside.test", "nothing")),
    *("kubernetes.default.svc.cluster.local A", "x.default.svc.cluster.local A", "lb.outside.test.outside.svc.cluster.local AAAA"),
)  # fmt: skip
INTENDED: Final = {
    "elb2.outside.example.org A": "an alias once, not once per port",
    "elb2.outside.example.org AAAA": "RFC 6604: the rcode is that of the last name",
    "elb.outside.example.org AAAA": "RFC 6604: the rcode is that of the last name",
    "elb.outside.example.org CNAME": "the alias is there, so it is told",
    "elb.outside.example.org TXT": "an alias is for all types",
    "_http._tcp.elb.outside.example.org AAAA": "RFC 6604: the rcode is that of the last name",
    "x.web.outside.example.org A": "names below a Service that has none do not exist",
}


SYNCED: Final = {
    "web.outside.example.org A": "192.0.2.1",
    "db-0.db.outside.svc.cluster.local A": "10.1.0.1",
    "127-0-0-1.outside.pod.cluster.local A": "127.0.0.1",
    "web.nowhere.svc.cluster.local A": "NXDOMAIN",
}
"""An answer out of each list: Services, EndpointSlices, Pods, Namespaces."""


def _synced(peers: Peers, name: str) -> bool:
    return all(said in peers.ask(name, question) for question, said in SYNCED.items())


@pytest.fixture(params=["plain", "headless"])
def peers(
    request: pytest.FixtureRequest, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Peers]:  # fmt: skip
    provide(request, programs.COREDNS)
    for manifest in MANIFESTS:
        metadata = manifest["metadata"]
        if control_plane.api.get(manifest["kind"], NAMESPACE, metadata["name"]) is None:
            control_plane.api.apply([manifest])
    selector = "kubernetes.io/service-name=db"
    wait_until(
        lambda: any(
            piece["endpoints"]
            for piece in control_plane.api.list("EndpointSlice", NAMESPACE, selector)
        ),
        60,
        "slice",
    )
    text = COREFILE.replace("KUBECONFIG", str(control_plane.kubeconfig.reader))
    text = text.replace("OPTIONS", "headless" if request.param == "headless" else "")
    running = Peers(text, tmp_path_factory.mktemp("peers"))
    for name in running.ports:
        wait_until(partial(_synced, running, name), 60, name)
    yield running
    running.stop()


def test_same_as_coredns(peers: Peers) -> None:
    check(peers, QUESTIONS, INTENDED)
    assert " cname " in peers.ask("kdns", "lb.outside.test.outside.svc.cluster.local A"), "autopath"
