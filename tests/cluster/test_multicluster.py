"""ServiceImports of a real API server: beside CoreDNS, with and without their CustomResourceDefinition."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import dns.rcode
import pytest
import yaml

from tests.cluster import programs
from tests.cluster.conftest import provide
from tests.cluster.controlplane import ControlPlane
from tests.cluster.observation import Asker, Observation, Question
from tests.cluster.peer_rules import without_reasons
from tests.cluster.processes import wait_until
from tests.cluster.rest import Json
from tests.conformance.client import ask, question
from tests.conformance.subjects import Server

DOMAIN: Final = "clusterset.local."
CRD: Final = yaml.safe_load("""\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: serviceimports.multicluster.x-k8s.io
  annotations: {api-approved.kubernetes.io: "https://github.com/kubernetes/enhancements/pull/1748"}
spec:
  group: multicluster.x-k8s.io
  scope: Namespaced
  names: {plural: serviceimports, singular: serviceimport, kind: ServiceImport, listKind: ServiceImportList}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
""")
IMPORTS: Final = """\
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceImport
metadata: {name: web, namespace: mcs}
spec: {type: ClusterSetIP, ips: [10.42.0.1, "fd00:42::1"], ports: [{name: http, protocol: TCP, port: 80}]}
---
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceImport
metadata: {name: db, namespace: mcs}
spec: {type: Headless, ports: [{name: sql, protocol: TCP, port: 5432}]}
---
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceImport
metadata: {name: nobody, namespace: mcs}
spec: {type: Headless, ports: [{name: sql, protocol: TCP, port: 5432}]}
---
apiVersion: v1
kind: Service
metadata: {name: local, namespace: mcs}
spec: {ports: [{port: 80}]}
"""


def piece(cluster: str, service: str, *endpoints: Json) -> Json:
    labels = {
        "multicluster.kubernetes.io/service-name": service,
        "multicluster.kubernetes.io/source-cluster": cluster,
    }
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{service}-{cluster}", "namespace": "mcs", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "sql" if service == "db" else "http", "protocol": "TCP", "port": 5432}],
        "endpoints": list(endpoints),
    }


SLICES: Final = (
    piece(
        "east", "db", {"addresses": ["10.1.0.1"], "hostname": "db-0"}, {"addresses": ["10.1.0.2"]}
    ),
    piece("west", "db", {"addresses": ["10.2.0.1"], "hostname": "db-0"}),
    piece("east", "web", {"addresses": ["10.1.0.9"], "hostname": "web-0"}),
)
OWNERS: Final = (
    *("web.mcs.svc", "_http._tcp.web.mcs.svc", "_nope._tcp.web.mcs.svc", "web-0.east.web.mcs.svc"),
    *("db.mcs.svc", "_sql._tcp.db.mcs.svc", "db-0.east.db.mcs.svc", "db-0.west.db.mcs.svc"),
    *(
        "10-1-0-2.east.db.mcs.svc",
        "db-0.north.db.mcs.svc",
        "db-0.db.mcs.svc",
        "a.db-0.east.db.mcs.svc",
    ),
    *(
        "nobody.mcs.svc",
        "none.mcs.svc",
        "local.mcs.svc",
        "x.nowhere.svc",
        "nope",
        "mcs.svc",
        "svc",
        "",
    ),
)
LISTED: Final = {(owner, "TXT") for owner in ("mcs.svc", "svc", "")}
"""As in the cluster's own zone: names that have others below them exist for TXT too."""


@pytest.fixture(scope="module")
def plane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """One of its own: the definition comes and goes."""
    provide(request, *programs.CONTROL_PLANE, programs.COREDNS)
    plane = ControlPlane(tmp_path_factory.mktemp("multicluster"))
    try:
        plane.start()
        yield plane
    finally:
        plane.stop()


def served(plane: ControlPlane, subject: str, folder: Path) -> Server:
    text = f"""\
. {{
    bind 127.0.0.1
    errors
    kubernetes cluster.local clusterset.local in-addr.arpa {{
        kubeconfig {plane.kubeconfig.reader}
        multicluster clusterset.local
    }}
}}
"""
    return Server(subject, text, folder)


def says(server: Server, text: str) -> str:
    reply = ask(server.port, question(text), tcp=True)
    data = [item.to_text() for rrset in reply.answer for item in rrset]
    return " ".join([dns.rcode.to_text(reply.rcode()), *data])


def test_imports(plane: ControlPlane, tmp_path: Path) -> None:
    kdns = served(plane, "kdns", tmp_path)
    try:
        kdns.wait_synced()
        # Without the definition there are no imports, which is known; the log says so.
        web = f"web.mcs.svc.{DOMAIN} A"
        wait_until(lambda: says(kdns, web) == "NXDOMAIN", 60, "no imports")
        assert says(kdns, "kubernetes.default.svc.cluster.local. A").startswith("NOERROR 10.")
        absent = "serviceimports.multicluster.x-k8s.io is not installed"
        wait_until(lambda: absent in kdns.process.tail(50), 60, "the log")

        plane.api.create(CRD)
        wait_until(lambda: _is_served(plane), 60, "the definition")
        plane.api.apply([*yaml.safe_load_all(IMPORTS), *SLICES])
        wait_until(lambda: "10.42.0.1" in says(kdns, web), 60, "imports")
        west = f"db-0.west.db.mcs.svc.{DOMAIN} A"
        wait_until(lambda: "10.2.0.1" in says(kdns, west), 60, "their endpoints")
        coredns = served(plane, "coredns", tmp_path)
        try:
            coredns.wait_synced()
            _compare(kdns, coredns)
        finally:
            coredns.stop()

        plane.api.delete("EndpointSlice", "mcs", "db-west")
        wait_until(lambda: says(kdns, west) == "NXDOMAIN", 60, "the change")
        plane.api.delete("CustomResourceDefinition", "", CRD["metadata"]["name"])
        wait_until(lambda: says(kdns, web) == "NXDOMAIN", 60, "their end")
    finally:
        kdns.stop()


def _is_served(plane: ControlPlane) -> bool:
    return plane.api.raw("GET", "/apis/multicluster.x-k8s.io/v1alpha1/serviceimports")[0] == 200


def _compare(kdns: Server, coredns: Server) -> None:
    different: dict[str, tuple[Observation, Observation]] = {}
    with closing(Asker(kdns.port)) as ours, closing(Asker(coredns.port)) as theirs:
        for owner in OWNERS:
            for rdtype in ("A", "AAAA", "SRV", "TXT"):
                name = f"{owner}.{DOMAIN}" if owner else DOMAIN
                asked = Question(name, rdtype)
                mine, other = without_reasons(ours.ask(asked)), theirs.ask(asked)
                if mine != other and not (
                    (owner, rdtype) in LISTED and mine.nodata and other.nxdomain
                ):
                    different[str(asked)] = (mine, other)
    shown = "\n".join(f"{q}\n  kdns {a}\n  CoreDNS {b}" for q, (a, b) in different.items())
    assert not different, shown
