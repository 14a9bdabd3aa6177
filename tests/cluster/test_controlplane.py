from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.controlplane import ADVERTISED, ControlPlane
from tests.cluster.processes import wait_until
from tests.cluster.rest import ApiError, Json

NAMESPACE = "controlplane-test"


@pytest.fixture(scope="module")
def plane(control_plane: ControlPlane) -> Iterator[ControlPlane]:
    control_plane.api.ensure_namespace(NAMESPACE)
    yield control_plane
    control_plane.api.delete("Namespace", "", NAMESPACE)


def service(name: str, **spec: object) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"ports": [{"name": "http", "port": 80}], **spec},
    }


def pod(name: str, *addresses: str, ready: bool = True) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"app": "web"}},
        "status": {
            "phase": "Running",
            "podIP": addresses[0],
            "podIPs": [{"ip": address} for address in addresses],
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def endpoints(plane: ControlPlane, name: str) -> dict[str, bool]:
    slices = plane.api.list("EndpointSlice", NAMESPACE, f"kubernetes.io/service-name={name}")
    return {
        address: endpoint["conditions"]["ready"]
        for one in slices
        for endpoint in one["endpoints"] or ()
        for address in endpoint["addresses"]
    }


def get_as(plane: ControlPlane, kubeconfig: Path, path: str) -> int:
    """The status that the user of ``kubeconfig`` gets, by nothing but what the file says."""
    config = json.loads(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    context.load_cert_chain(user["client-certificate"], user["client-key"])
    try:
        with urllib.request.urlopen(cluster["server"] + path, context=context, timeout=30) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_real_controllers_make_slices_of_both_families(plane: ControlPlane) -> None:
    dual = service("dual", selector={"app": "web"}, ipFamilyPolicy="RequireDualStack")
    plane.api.apply([dual, pod("a", "10.1.0.1", "fd00:1::1"), pod("b", "10.1.0.2", ready=False)])
    made = plane.api.get("Service", NAMESPACE, "dual")
    assert made is not None
    assert [":" in address for address in made["spec"]["clusterIPs"]] == [False, True]
    wanted = {"10.1.0.1": True, "10.1.0.2": False, "fd00:1::1": True}
    wait_until(lambda: endpoints(plane, "dual") == wanted, 60, f"endpoints {wanted}")


def test_the_kubernetes_service_is_there(plane: ControlPlane) -> None:
    made = plane.api.get("Service", "default", "kubernetes")
    assert made is not None
    assert made["spec"]["clusterIP"] == "10.96.0.1"
    slices = plane.api.list("EndpointSlice", "default")
    assert [e["addresses"] for s in slices for e in s["endpoints"]] == [[ADVERTISED]]


@pytest.mark.parametrize(
    ("user", "resource", "status"),
    [
        ("admin", "/api/v1/configmaps", 200),
        ("reader", "/api/v1/services", 200),
        ("reader", "/apis/discovery.k8s.io/v1/endpointslices", 200),
        ("reader", "/api/v1/configmaps", 403),
        ("restricted", "/api/v1/services", 200),
        ("restricted", "/apis/discovery.k8s.io/v1/endpointslices", 403),
    ],
)
def test_rights(plane: ControlPlane, user: str, resource: str, status: int) -> None:
    assert get_as(plane, getattr(plane.kubeconfig, user), resource) == status


def test_a_service_account_gets_a_token(plane: ControlPlane) -> None:
    wait_until(lambda: plane.api.get("ServiceAccount", NAMESPACE, "default") is not None, 60, "it")
    assert plane.api.token(NAMESPACE, "default").count(".") == 2  # a JSON Web Token


def test_a_paused_api_server_is_silent(plane: ControlPlane) -> None:
    plane.pause_apiserver()
    try:
        with pytest.raises(urllib.error.URLError, match="timed out"):
            urllib.request.urlopen(plane.url, timeout=0.5, context=ssl._create_unverified_context())
    finally:
        plane.resume_apiserver()
    assert plane.wait_ready() < 30


def test_after_compaction_an_old_watch_is_gone(plane: ControlPlane) -> None:
    first = plane.api.create(service("compacted"))["metadata"]["resourceVersion"]
    plane.api.delete("Service", NAMESPACE, "compacted")
    assert plane.compact_etcd() > int(first)
    plane.kill_apiserver()  # whose watch cache remembers what etcd has forgotten
    plane.start_apiserver()
    events = plane.api.raw(
        "GET", f"/api/v1/services?watch=1&resourceVersion={first}&timeoutSeconds=1"
    )
    assert '"code":410' in events[1]


def test_the_api_names_what_it_refuses(plane: ControlPlane) -> None:
    with pytest.raises(ApiError, match=r"409 services .* already exists"):
        plane.api.create({**service("kubernetes"), "metadata": {"name": "kubernetes"}})
