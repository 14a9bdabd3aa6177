"""deploy/ on a real node: accepted whole, ready, and no more powerful than it says.

What each right of its ClusterRole is for: tests/cluster/test_deployed.py.
"""

from __future__ import annotations

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.processes import wait_until
from tests.node import places, servers
from tests.node.conftest import Say
from tests.node.node import Node
from tests.node.shell import run

OVERLAYS: Final = ("base", "overlays/kind", "overlays/nodelocal", "overlays/autoscaled")
NET_BIND_SERVICE: Final = 1 << 10
KDNS: Final = "/usr/local/bin/python3.11 -I /coredns"
COREDNS: Final = "/coredns"
OPERATOR: Final = "github.com/prometheus-operator/prometheus-operator@v0.85.0"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays(clients: Node, overlay: str, say: Say) -> None:
    servers.remove(clients)
    took = servers.deploy_kdns(clients, overlay)
    servers.wait_answering(clients)
    say(f"{overlay}: rolled out in {took:.1f} s")


@pytest.fixture
def deployed(clients: Node) -> Node:
    servers.remove(clients)
    servers.deploy_kdns(clients)
    servers.wait_answering(clients)
    return clients


def test_confined(deployed: Node, say: Say) -> None:
    """Not root, one capability, no way to more, a root file system that is read-only."""
    processes = _processes(deployed, KDNS)
    assert len(processes) == 2
    for process in processes:
        status = _status(deployed, process)
        assert set(status["Uid"].split()) == {"65532"}
        for which in ("CapEff", "CapPrm", "CapBnd"):
            assert int(status[which], 16) == NET_BIND_SERVICE
        assert status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        mounts = deployed.run("cat", f"/proc/{process}/mountinfo").splitlines()
        options = next(line.split()[5] for line in mounts if line.split()[4] == "/")
        assert "ro" in options.split(",")
        say(f"memory: {_resident(deployed, process):.0f} MiB resident")


def _processes(node: Node, program: str) -> list[str]:
    """Of the node's pid namespace."""
    return node.run("pgrep", "-f", f"^{program} -conf").split()


def _status(node: Node, process: str) -> dict[str, str]:
    lines = node.run("cat", f"/proc/{process}/status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_questions_can_be_watched(deployed: Node) -> None:
    """``kdns tail`` in the Pod, though its root file system is read-only."""
    path = "jsonpath={.data.Corefile}"
    text = deployed.kubectl(*servers.SYSTEM, "get", "configmap", "coredns", "-o", path)
    watched = text.replace("    errors\n", "    errors\n    debug {\n        socket\n    }\n", 1)
    change = json.dumps({"data": {"Corefile": watched}})
    deployed.kubectl(*servers.SYSTEM, "patch", "configmap", "coredns", "-p", change)
    deployed.kubectl(*servers.SYSTEM, "scale", servers.DEPLOYMENT, "--replicas=1")
    servers.restart(deployed)
    wait_until(lambda: len(servers.pods(deployed)) == 1, 60, "the end of the old Pods")
    servers.wait_answering(deployed)
    tail = ("exec", servers.DEPLOYMENT, "--", "kdns", "tail", "--count", "1", "watched.example.com")
    with ThreadPoolExecutor() as running:
        told = running.submit(deployed.kubectl, *servers.SYSTEM, *tail, seconds=30)

        def asked() -> bool:
            deployed.in_pod("glibc", "dig", "+short", "watched.example.com")
            return told.done()

        wait_until(asked, 20, "a question that is told")
        assert "watched.example.com. A NXDOMAIN" in told.result()


def test_cold_start(deployed: Node, say: Say) -> None:
    """From a Pod's container being started to its being ready."""
    servers.restart(deployed)
    wait_until(lambda: len(servers.pods(deployed)) == 2, 60, "the end of the old Pods")
    started_at = "{.status.containerStatuses[0].state.running.startedAt}"
    ready_at = '{.status.conditions[?(@.type=="Ready")].lastTransitionTime}'
    for pod in servers.pods(deployed):
        path = f"jsonpath={started_at} {ready_at}"
        started, ready = deployed.kubectl(*servers.SYSTEM, "get", "pod", pod, "-o", path).split()
        seconds = _seconds(ready) - _seconds(started)
        say(f"ready {seconds:.0f} s after the container's start (whole seconds)")
        assert seconds <= 10


def test_memory_with_a_thousand_services(deployed: Node, say: Say) -> None:
    """Below the limit of 170 MiB that kubeadm sets, from a cold start; CoreDNS's beside it."""
    ports = "spec: {ports: [{port: 80}]}"
    many = [
        f"{{apiVersion: v1, kind: Service, metadata: {{name: s{n}, namespace: many}}, {ports}}}"
        for n in range(1000)
    ]
    deployed.apply("{apiVersion: v1, kind: Namespace, metadata: {name: many}}", *many)
    try:
        servers.restart(deployed)
        assert max(_all_resident(deployed, KDNS, say)) < 120
        servers.remove(deployed)
        servers.deploy_coredns(deployed)
        _all_resident(deployed, COREDNS, say)
    finally:
        deployed.kubectl("delete", "namespace", "many", "--wait=false")


def _all_resident(node: Node, program: str, say: Say) -> list[float]:
    wait_until(lambda: len(servers.pods(node)) == 2, 60, "the end of the old Pods")
    servers.wait_answering(node)
    resident = [_resident(node, process) for process in _processes(node, program)]
    each = ", ".join(f"{mebibytes:.0f} MiB" for mebibytes in resident)
    say(f"memory with 1,000 Services: {each} ({program})")
    return resident


def _resident(node: Node, process: str) -> float:
    """MiB, the most so far."""
    return int(_status(node, process)["VmHWM"].split()[0]) / 1024


def _seconds(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def test_prometheus_overlay(node: Node) -> None:
    """With the kinds as Prometheus Operator defines them; the operator itself is not here."""
    folder = Path(json.loads(run("go", "mod", "download", "-json", OPERATOR))["Dir"])
    for kind in ("servicemonitors", "prometheusrules"):
        name = f"monitoring.coreos.com_{kind}.yaml"
        node.apply((folder / "example/prometheus-operator-crd" / name).read_text())
        what = f"crd/{kind}.monitoring.coreos.com"
        node.kubectl("wait", "--for=condition=Established", what, "--timeout=30s")
    overlay = places.ROOT / "deploy/overlays/prometheus"
    node.kubectl("apply", "--server-side", "--validate=strict", "-k", overlay)
    made = node.kubectl(*servers.SYSTEM, "get", "-o", "name", "servicemonitors,prometheusrules")
    assert len(made.split()) == 2


def test_component_changes_only_the_image(node: Node, tmp_path: Path) -> None:
    """``overlays/swap-image`` on manifests of CoreDNS that somebody keeps."""
    (tmp_path / "coredns.yaml").write_text(servers.kubeadm_objects())
    own = tmp_path / "kustomization.yaml"
    own.write_text("resources: [coredns.yaml]\n")
    before = node.kubectl("kustomize", tmp_path)
    shutil.copytree(places.ROOT / "deploy/overlays/swap-image", tmp_path / "swap-image")
    own.write_text("resources: [coredns.yaml]\ncomponents: [swap-image]\n")
    after = node.kubectl("kustomize", tmp_path)
    assert after == before.replace(places.COREDNS, "kdns:dev")
    assert after != before
