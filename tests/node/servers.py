"""The cluster's DNS: kdns from deploy/, CoreDNS as kubeadm installs it, and either in the other's place."""

from __future__ import annotations

import re
import time
from typing import Final

from tests.cluster.processes import wait_until
from tests.node import places
from tests.node.images import kubernetes_sources
from tests.node.node import Node

SYSTEM: Final = ("-n", "kube-system")
DEPLOYMENT: Final = "deployment/coredns"

_VALUES: Final = {
    "DNSIP": places.DNS,
    "DeploymentName": "coredns",
    "Replicas": "2",
    "ControlPlaneTaintKey": "node-role.kubernetes.io/control-plane",
    "Image": places.COREDNS,
    "DNSDomain": "cluster.local",
}
"""What kubeadm fills in by default."""


def kubeadm_objects() -> str:
    """CoreDNS's objects from kubeadm's own templates, as ``kubeadm init`` fills them in."""
    source = kubernetes_sources() / "cmd/kubeadm/app/phases/addons/dns/manifests.go"
    templates = re.findall(r"= `\n(.*?)`", source.read_text(), re.DOTALL)
    text = "\n---\n".join(templates)
    # {{- if .DNSDomain }} is true here; the hyphens take the white space before or after
    text = re.sub(r"\s*\{\{- (?:if \.DNSDomain|end) \}\}", "", text)
    text = re.sub(r"\{\{ \.(\w+) \}\}", lambda found: _VALUES[found[1]], text)
    return re.sub(r"^  resourceVersion: .*\n", "", text, flags=re.MULTILINE)


def remove(node: Node) -> None:
    """Whatever is deployed."""
    node.kubectl(*SYSTEM, "delete", "--ignore-not-found", "deployment/coredns", "daemonset/coredns")
    node.kubectl(*SYSTEM, "delete", "--ignore-not-found", "service/kube-dns", "configmap/coredns")
    node.kubectl(*SYSTEM, "delete", "--ignore-not-found", "pdb/coredns", "serviceaccount/coredns")
    node.kubectl("delete", "--ignore-not-found", "clusterrole/system:coredns")
    node.kubectl("delete", "--ignore-not-found", "clusterrolebinding/system:coredns")
    node.kubectl(*SYSTEM, "wait", "--for=delete", "pod", "-l", "k8s-app=kube-dns", "--timeout=60s")


def deploy_kdns(node: Node, overlay: str = "base") -> float:
    """Install from ``deploy/``; seconds until it was rolled out."""
    start = time.monotonic()
    node.kubectl(
        "apply", "--server-side", "--validate=strict", "-k", places.ROOT / "deploy" / overlay
    )
    kind = "daemonset" if overlay.endswith("nodelocal") else "deployment"
    return _rolled_out(node, start, f"{kind}/coredns")


def deploy_coredns(node: Node) -> float:
    """Install CoreDNS as kubeadm does; seconds until it was rolled out."""
    start = time.monotonic()
    node.apply(kubeadm_objects())
    return _rolled_out(node, start)


def set_image(node: Node, image: str) -> float:
    """Change the image of what is deployed, and nothing else; seconds until it was rolled out."""
    start = time.monotonic()
    node.kubectl(*SYSTEM, "set", "image", DEPLOYMENT, f"coredns={image}")
    return _rolled_out(node, start)


def undo(node: Node) -> float:
    start = time.monotonic()
    node.kubectl(*SYSTEM, "rollout", "undo", DEPLOYMENT)
    return _rolled_out(node, start)


def restart(node: Node) -> float:
    start = time.monotonic()
    node.kubectl(*SYSTEM, "rollout", "restart", DEPLOYMENT)
    return _rolled_out(node, start)


def pods(node: Node) -> list[str]:
    """Names of the Pods that serve."""
    listed = node.kubectl(*SYSTEM, "get", "pods", "-l", "k8s-app=kube-dns", "-o", "name")
    return [line.removeprefix("pod/") for line in listed.split()]


def logs(node: Node) -> str:
    return node.kubectl(*SYSTEM, "logs", "-l", "k8s-app=kube-dns", "--prefix", "--tail=40")


def _rolled_out(node: Node, start: float, what: str = DEPLOYMENT) -> float:
    try:
        node.kubectl(*SYSTEM, "rollout", "status", what, "--timeout=90s")
    except Exception as error:
        described = node.kubectl(*SYSTEM, "describe", "pods", "-l", "k8s-app=kube-dns")
        raise AssertionError(f"{error}\n{described[-1500:]}\n{logs(node)}") from error
    return time.monotonic() - start


def wait_answering(node: Node, seconds: float = 20) -> None:
    """Until a Pod has an answer through the Service: kube-proxy follows a moment later."""
    name = "kubernetes.default.svc.cluster.local"
    wait_until(
        lambda: (
            "10.96.0.1" in node.in_pod("glibc", "dig", "+short", "+time=1", "+tries=1", name)[1]
        ),
        seconds,
        "an answer through the Service",
    )
