"""The Corefiles that clusters come with, byte for byte, on port 53: kdns says what CoreDNS says."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cluster import own_node, programs
from tests.cluster.certificates import Authority
from tests.cluster.conftest import provide
from tests.cluster.controlplane import ControlPlane
from tests.cluster.own_node import Node, Said
from tests.cluster.processes import Process, wait_until
from tests.cluster.rest import Json
from tests.plugins.peers import alike

COREFILES: Final = Path(__file__).parents[1] / "config" / "corefiles"
NAMES: Final = sorted(path.stem for path in COREFILES.glob("*.Corefile"))
NAMESPACE: Final = "corefiles"
ACCOUNT: Final = "kube-system/serviceaccounts/coredns"

OBJECTS: Final[list[Json]] = [
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {
            "clusterIP": "10.96.77.1",
            "externalIPs": ["203.0.113.7"],
            "ports": [{"name": "http", "port": 80}],
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "db", "namespace": NAMESPACE},
        "spec": {"clusterIP": "None", "ports": [{"name": "sql", "port": 5432}]},
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "elsewhere", "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "www.example.test"},
    },
    {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "db-1",
            "namespace": NAMESPACE,
            "labels": {"kubernetes.io/service-name": "db"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}],
        "endpoints": [
            {"addresses": ["10.244.77.1"], "hostname": "db-0", "conditions": {"ready": True}},
            {"addresses": ["10.244.77.2"], "hostname": "db-1", "conditions": {"ready": True}},
        ],
    },
]
UPSTREAM: Final = [
    "www.example.test. 300 IN A 192.0.2.1",
    "v6.example.test. 300 IN AAAA 2001:db8::1",
    "alias.example.test. 300 IN CNAME www.example.test.",
    "www.example.com. 300 IN A 192.0.2.2",
    "www.foo.com. 300 IN A 192.0.2.3",
    "9.2.0.192.in-addr.arpa. 9 IN PTR x.test.",
    # What the cluster's own servers answer to those of a node.
    "kubernetes.default.svc.cluster.local. 30 IN A 10.96.0.1",
    "1.0.96.10.in-addr.arpa. 30 IN PTR kubernetes.default.svc.cluster.local.",
]
QUESTIONS: Final = [
    "kubernetes.default.svc.cluster.local A",
    "kubernetes.default.svc.cluster.local AAAA",
    "KUBERNETES.default.svc.cluster.local A +edns=1232",
    "kubernetes.default.svc.cluster.local A +tcp",
    "kubernetes.default.svc.cluster.local A +norec",
    "_https._tcp.kubernetes.default.svc.cluster.local SRV",
    "web.corefiles.svc.cluster.local A",
    "web.corefiles.svc.cluster.local MX",
    "_http._tcp.web.corefiles.svc.cluster.local SRV",
    "db.corefiles.svc.cluster.local A",
    "db-0.db.corefiles.svc.cluster.local A",
    "_sql._tcp.db.corefiles.svc.cluster.local SRV",
    "elsewhere.corefiles.svc.cluster.local A",
    "missing.corefiles.svc.cluster.local A",
    "web.missing.svc.cluster.local A",
    "10-244-77-1.corefiles.pod.cluster.local A",
    "cluster.local SOA",
    "1.0.96.10.in-addr.arpa PTR",
    "2.77.244.10.in-addr.arpa PTR",
    "9.2.0.192.in-addr.arpa PTR",
    "www.example.test A",
    "WWW.example.test A +edns=4096",
    "www.example.test A +tcp",
    "www.example.test AAAA",
    "v6.example.test AAAA",
    "alias.example.test A",
    "missing.example.test A",
    "www.example.com A",
    "web A",
]
MORE_QUESTIONS: Final = {
    "aks": [
        "a.b.c.d.e.internal.cloudapp.net A",
        "a.internal.cloudapp.net A",
        "x.reddog.microsoft.com A",
    ],
    "gardener": ["web.corefiles.svc.garden.internal A", "kubernetes.garden.internal A"],
    "k3s": ["node-1 A", "missing-node A", "1.1.168.192.in-addr.arpa PTR"],
    "kops": ["api.internal.k8s.local A"],
    "kubespray": [
        "website.tld A",
        "db.corefiles.example.org A",
        "web.corefiles.example.org A",
        "host.lan A",
        "www.example.com A @127.0.0.1:1053",
        "www.example.test A @127.0.0.1:1053",
    ],
    "minikube": ["host.minikube.internal A", "host.minikube.internal AAAA"],
    "nodelocal": ["kubernetes.default.svc.cluster.local A @10.96.0.10:53"],
    "openshift": ["www.foo.com A", "hostname.bind TXT +ch"],
}
FILES: Final = {
    "k3s": {"NodeHosts": "192.168.1.1 node-1\n"},
    "kubespray": {"hosts": "192.168.1.9 host.lan\n"},
}
PORTS: Final = {"gardener": 8053, "openshift": 5353}
AS: Final = {"kubeadm-old": "eks"}
"""CoreDNS refuses these since 1.5: beside it stands what they became."""
EACH_ITS_TTL: Final = {"elsewhere.corefiles.svc.cluster.local A": "each record has its own TTL"}
INTENDED: Final[Mapping[str, Mapping[str, str]]] = dict.fromkeys(
    ("eks", "k3s", "kubeadm-old", "kubespray", "openshift"), EACH_ITS_TTL
)
"""By Corefile and question, why the two differ: docs/differences.md has it."""
HTTP: Final = {"nodelocal": ["http://169.254.20.10:8080/health", "http://127.0.0.1:9253/metrics"]}
NOT_ALWAYS: Final = {
    "coredns_hosts_reload_timestamp_seconds{}": "there with hosts",
    "coredns_proxy_conn_cache_hits_total{proto,proxy_name,to}": "there from the first hit",
}
SERIES: Final = re.compile(r"^(coredns_\w+)(?:\{([^}]*)\})? ", re.MULTILINE)


@pytest.fixture(scope="module")
def outfit(
    request: pytest.FixtureRequest,
    control_plane: ControlPlane,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, Any]]:
    """What the nodes of all Corefiles share: credentials, and the ways out."""
    provide(request, *programs.CONTROL_PLANE, programs.COREDNS)
    if not own_node.possible():
        pytest.skip("no network namespaces here: they need root or user namespaces, and iproute2")
    folder = tmp_path_factory.mktemp("corefiles")
    token = _account(control_plane)
    control_plane.api.apply(OBJECTS)
    authority = Authority(folder / "pki")
    bundle = folder / "bundle.crt"
    ours, theirs = authority.certificate, control_plane.folder / "pki" / "ca.crt"
    bundle.write_text(theirs.read_text() + ours.read_text())
    socket = folder / "api.socket"
    command = [sys.executable, "-m", "tests.cluster.own_node", "relay", str(socket)]
    relay = Process([*command, str(control_plane.port)], folder / "relay.log")
    wait_until(socket.exists, 60, "relay to the API server")
    with ExitStack() as stack:
        stack.callback(relay.kill)
        yield {
            "api_socket": str(socket),
            "token": token,
            "authority": str(bundle),
            "upstream": UPSTREAM,
            "upstream_tls": tuple(map(str, authority.server("dns.foo.com"))),
        }


def _account(plane: ControlPlane) -> str:
    """A token of the ServiceAccount ``coredns``, with the rights that it has in clusters."""
    plane.api.ensure_namespace("kube-system")
    account = {"name": "coredns", "namespace": "kube-system"}
    plane.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    plane.grant_account("coredns", "kube-system")
    path = f"/api/v1/namespaces/{ACCOUNT}/token"
    return str(plane.api.request("POST", path, {"spec": {}})["status"]["token"])


def node(
    name: str, corefile: str, command: list[str], folder: Path, outfit: dict[str, Any]
) -> Node:
    local = name == "nodelocal"
    port = PORTS.get(name, 53)
    return Node(
        command=command,
        folder=str(folder),
        corefile=(COREFILES / f"{corefile}.Corefile").read_text(),
        questions=[*QUESTIONS, *MORE_QUESTIONS.get(name, [])],
        address=("169.254.20.10" if local else "127.0.0.1", port),
        files=FILES.get(name, {}),
        addresses=["169.254.20.10", "10.96.0.10"] if local else [],
        upstream_addresses=["10.96.0.11"] if local else ["1.1.1.1", "2.2.2.2"],
        pages=HTTP.get(name, ["http://127.0.0.1:8080/health", "http://127.0.0.1:9153/metrics"]),
        **outfit,
    )


@pytest.mark.parametrize("name", NAMES)
def test_says_what_coredns_says(name: str, tmp_path: Path, outfit: dict[str, Any]) -> None:
    coredns = str(programs.require(programs.COREDNS))
    nodes = (
        node(name, name, [sys.executable, "-m", "kdns"], tmp_path / "kdns", outfit),
        node(name, AS.get(name, name), [coredns], tmp_path / "coredns", outfit),
    )
    with ThreadPoolExecutor() as pool:
        ours, theirs = pool.map(own_node.run, nodes)
    replies = {q: without_ra(said, theirs.replies[q]) for q, said in ours.replies.items()}
    pairs = {q: (replies[q], said) for q, said in theirs.replies.items()}
    seconds = max(ours.seconds, theirs.seconds)
    different = {q: pair for q, pair in pairs.items() if not alike(*pair, seconds)}
    unexpected = {q: pair for q, pair in different.items() if q not in INTENDED.get(name, {})}
    lines = [f"{q}\n    kdns    {a}\n    coredns {b}" for q, (a, b) in unexpected.items()]
    assert not lines, "\n".join(lines)
    assert set(INTENDED.get(name, {})) <= set(different), "these are no differences any more"
    assert series(theirs) - series(ours) <= NOT_ALWAYS.keys()


def without_ra(ours: str, theirs: str) -> str:
    """RA is what this server offers with ``forward .``: CoreDNS leaves it out of its own answers."""
    head, semicolon, rest = ours.partition(";")
    return ours if " RA" in theirs else head.replace(" RA", "") + semicolon + rest


def series(said: Said) -> set[str]:
    """Names of series with the names of their labels."""
    (text,) = (page for url, page in said.pages.items() if url.endswith("metrics"))
    found = set()
    for name, labels in SERIES.findall(text):
        words = re.findall(r'(\w+)="', labels)
        found.add(f"{name}{{{','.join(sorted(words))}}}")
    return found
