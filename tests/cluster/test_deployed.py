"""``deploy/base`` on a control plane: accepted whole, and kdns as its ServiceAccount with its rights.

With each right taken away in turn. What its Pods do on a node: tests/node.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import dns.rcode
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster import dashboards
from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import free_port, wait_until
from tests.cluster.rest import Json
from tests.conformance.client import ask, question
from tests.conformance.subjects import Server
from tests.fakes.nameserver import NameServer

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
NAMESPACE: Final = "deployed"
SYSTEM: Final = "kube-system"
ACCOUNT: Final = f"system:serviceaccount:{SYSTEM}:coredns"
SECONDS: Final = 60
HEADLESS: Final = {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 80}]}


def manifests() -> list[Json]:
    """All objects of the base, and what an overlay adds of kinds that every cluster has."""
    paths = sorted((DEPLOY / "base").glob("*.yaml"))
    paths.append(DEPLOY / "overlays/autoscaled/horizontalpodautoscaler.yaml")
    objects = [each for path in paths for each in yaml.safe_load_all(path.read_text())]
    return [_in_system(each) for each in objects if each["kind"] != "Kustomization"]


def _in_system(manifest: Json) -> Json:
    """As kustomize writes the namespace into it."""
    if manifest["kind"].startswith("ClusterRole"):
        return manifest
    return {**manifest, "metadata": {**manifest["metadata"], "namespace": SYSTEM}}


def named(kind: str) -> Json:
    return next(each for each in manifests() if each["kind"] == kind)


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    """With what is deployed, a Service, a headless one with an endpoint, and a Pod to verify."""
    api = control_plane.api
    for each in (named("ServiceAccount"), named("ClusterRole"), named("ClusterRoleBinding")):
        api.apply_strictly(each)
    status = {"podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}], "phase": "Running"}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    api.apply(
        [
            _object("Pod", "headless-0", labels=HEADLESS["selector"]) | {"status": status | ready},
            _object("Service", "headless") | {"spec": HEADLESS},
            _object("Service", "plain") | {"spec": {"ports": [{"port": 80}]}},
        ]
    )
    slices = "kubernetes.io/service-name=headless"
    wait_until(
        lambda: any(each["endpoints"] for each in api.list("EndpointSlice", NAMESPACE, slices)),
        SECONDS,
        "the controller's slice",
    )
    for right in RIGHTS:
        control_plane.wait_right(ACCOUNT, "list", right.resource)
    yield control_plane
    api.delete("Namespace", "", NAMESPACE)
    for each in manifests():
        api.delete(each["kind"], each["metadata"].get("namespace", ""), each["metadata"]["name"])


def _object(kind: str, name: str, **metadata: object) -> Json:
    metadata = {"name": name, "namespace": NAMESPACE, **metadata}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


@pytest.mark.parametrize("manifest", manifests(), ids=lambda manifest: str(manifest["kind"]))
def test_accepted(plane: ControlPlane, manifest: Json) -> None:
    made = plane.api.apply_strictly(manifest)
    assert made["metadata"]["uid"]


# ---- kdns as its ServiceAccount


class Right(NamedTuple):
    """A resource of the ClusterRole, and a question that cannot be answered without it."""

    resource: str
    title: str
    question: str
    answer: str


SERVICES: Final = Right("services", "services", f"plain.{NAMESPACE}.svc", "NOERROR 10.")
SLICES: Final = "endpointslices.discovery.k8s.io"
RIGHTS: Final = (
    SERVICES,
    Right("namespaces", "namespaces", "a.nosuch.svc", "NXDOMAIN"),
    Right("endpointslices", SLICES, f"headless.{NAMESPACE}.svc", "NOERROR 10.1.2.3"),
    Right("pods", "pods", f"10-1-2-3.{NAMESPACE}.pod", "NOERROR 10.1.2.3"),
)


class Deployed(Server):
    """kdns with the base's Corefile, as far as it can be had outside of a Pod."""

    def __init__(self, plane: ControlPlane, folder: Path, upstreams: str = "127.0.0.1:9") -> None:
        self.http, self.metrics = free_port(), free_port()
        places = {
            "prometheus :9153": f"prometheus 127.0.0.1:{self.metrics}",
            "    ready\n": f"    ready 127.0.0.1:{self.http}\n    bind 127.0.0.1\n",
            "health {": f"health 127.0.0.1:{free_port()} {{",
            "lameduck 5s": "lameduck 0s",
            "pods insecure": f"pods verified\n kubeconfig {_kubeconfig(plane, folder)}",
            "/etc/resolv.conf": upstreams,
            ".:53 {": ". {",
        }
        text = named("ConfigMap")["data"]["Corefile"]
        for there, here in places.items():
            assert there in text
            text = text.replace(there, here)
        super().__init__("kdns", text, folder)

    def asked(self, name: str) -> tuple[str, str]:
        """The response code with the addresses, and the Extended DNS Error."""
        reply = ask(self.port, question(f"{name} A", edns=0))
        data = [str(record) for rrset in reply.answer for record in rrset]
        errors = [str(option) for option in reply.options if int(option.otype) == 15]
        return " ".join([str(reply.rcode().name), *data]), " ".join(errors)

    def answers(self, right: Right) -> bool:
        """Whether the question that needs this right is answered as it should be."""
        return self.asked(right.question)[0].startswith(right.answer)

    def page(self, port: int, path: str) -> tuple[int, str]:
        """Status and text; 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as page:
                return page.status, page.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def ready(self) -> tuple[int, str]:
        return self.page(self.http, "/ready")

    def wait_ready(self) -> None:
        self.process.wait_ready(lambda: self.ready()[0] == 200, SECONDS)


def _kubeconfig(plane: ControlPlane, folder: Path) -> Path:
    """As a Pod of the ServiceAccount: kubelet's token instead of a certificate."""
    config = json.loads(plane.kubeconfig.reader.read_text())
    config["users"][0]["user"] = {"token": plane.api.token(SYSTEM, "coredns")}
    path = folder / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


@pytest.fixture
def role(plane: ControlPlane) -> Iterator[Json]:
    """The ClusterRole, as deployed again afterwards."""
    yield named("ClusterRole")
    plane.api.apply_strictly(named("ClusterRole"))
    for right in RIGHTS:
        for verb in ("list", "watch"):
            plane.wait_right(ACCOUNT, verb, right.resource)


def without(role: Json, resource: str, verb: str) -> Json:
    rules = [
        {**rule, "resources": [each], "verbs": [v for v in rule["verbs"] if v != verb or each != resource]}
        for rule in role["rules"]
        for each in rule["resources"]
    ]  # fmt: skip
    return {**role, "rules": rules}


def test_rights_suffice(plane: ControlPlane, tmp_path: Path) -> None:
    kdns = Deployed(plane, tmp_path)
    try:
        kdns.wait_ready()
        assert all(kdns.answers(right) for right in RIGHTS)
        assert "forbidden" not in kdns.process.log.read_text()
    finally:
        assert kdns.stop() == 0


@pytest.mark.parametrize("right", RIGHTS, ids=lambda right: str(right.resource))
def test_without_list(plane: ControlPlane, role: Json, right: Right, tmp_path: Path) -> None:
    """Log, ``/ready`` and the answer itself name it; whatever does not need it is answered."""
    plane.api.apply_strictly(without(role, right.resource, "list"))
    plane.wait_right(ACCOUNT, "list", right.resource, allowed=False)
    said = f"forbidden: cannot list {right.title} at the cluster scope (RBAC: list, watch)"
    kdns = Deployed(plane, tmp_path)
    try:
        wait_until(lambda: said in kdns.ready()[1], SECONDS, f"/ready saying {said}")
        assert kdns.ready()[0] == 503
        others = [each for each in RIGHTS if right not in {each, SERVICES}]
        wait_until(lambda: all(kdns.answers(other) for other in others), SECONDS, "the rest")
        wait_until(lambda: said in kdns.process.log.read_text(), SECONDS, "the log")
        code, reason = kdns.asked(right.question)
        assert code == "SERVFAIL"
        assert said in reason
        plane.api.apply_strictly(role)
        kdns.wait_ready()
        assert kdns.answers(right)
    finally:
        assert kdns.stop() == 0


@pytest.mark.parametrize("right", RIGHTS, ids=lambda right: str(right.resource))
def test_without_watch(plane: ControlPlane, role: Json, right: Right, tmp_path: Path) -> None:
    """What the list said is served; log and metrics say that nothing newer will come."""
    plane.api.apply_strictly(without(role, right.resource, "watch"))
    plane.wait_right(ACCOUNT, "watch", right.resource, allowed=False)
    said = rf"{right.resource}: .*forbidden: cannot watch {right.title} at the cluster scope"
    kdns = Deployed(plane, tmp_path)
    try:
        wait_until(lambda: bool(re.search(said, kdns.process.log.read_text())), SECONDS, said)
        kdns.wait_ready()
        assert all(kdns.answers(each) for each in RIGHTS)
        _, text = kdns.page(kdns.metrics, "/metrics")
        age = re.search(rf'kdns_watch_age_seconds{{resource="{right.resource}",.*}} (.+)', text)
        assert age
        assert float(age[1]) > 0
    finally:
        assert kdns.stop() == 0


# ---- what dashboards and alerts made for CoreDNS ask for


@pytest.fixture(scope="module")
def scraped(
    plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[dict[str, str]]]:
    """Labels of all samples by name, after some of everything: one upstream answers, one is away."""
    with NameServer("www.test. 300 IN A 192.0.2.1") as upstream:
        addresses = f"127.0.0.1:{upstream.port} 127.0.0.1:{free_port()}"
        kdns = Deployed(plane, tmp_path_factory.mktemp("scraped"), addresses)
        try:
            kdns.wait_ready()
            plane.api.create(_object("Service", "late") | {"spec": HEADLESS})  # controllers date it
            with_dnssec = question("www.test. A", edns=0)
            with_dnssec.want_dnssec()
            for _ in range(2):
                ask(kdns.port, with_dnssec)
            ask(kdns.port, question("www.test. A"), tcp=True)
            names = iter(range(1000))

            def counted() -> bool:
                ask(kdns.port, question(f"n{next(names)}.test. A"))
                text = kdns.page(kdns.metrics, "/metrics")[1]
                return all(each in text for each in ("healthcheck_failures_total{", "service_kind"))

            wait_until(counted, 60, "a failed health check and a change of endpoints")
            upstream.rcode = dns.rcode.SERVFAIL
            ask(kdns.port, question("broken.test. A"))
            text = kdns.page(kdns.metrics, "/metrics")[1]
        finally:
            assert kdns.stop() == 0
    samples: dict[str, list[dict[str, str]]] = {}
    for metric in text_string_to_metric_families(text):
        for sample in metric.samples:
            samples.setdefault(sample.name, []).append(dict(sample.labels))
    return samples


@pytest.mark.parametrize("wanted", dashboards.SERIES, ids=lambda wanted: str(wanted.name))
def test_series_of_dashboards(
    scraped: dict[str, list[dict[str, str]]], wanted: dashboards.Series
) -> None:
    assert wanted.name in scraped
    for labels in scraped[wanted.name]:
        assert set(wanted.labels) <= labels.keys()
    for label, value in wanted.selected:
        assert value in {labels[label] for labels in scraped[wanted.name]}
