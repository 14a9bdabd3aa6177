"""The configurations that are measured, the same for kdns and CoreDNS but for ports.

kubeadm's default is as kubeadm writes it, with loopback addresses for what else would be ports of the
machine, and our own upstream for ``/etc/resolv.conf``: no query leaves the machine.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from msgspec import Struct

from kdns.plugins.chain import SUPPORTED

_KUBERNETES: Final = """\
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
       kubeconfig {kubeconfig}
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }}
"""

_KUBEADM: Final = {
    "errors": "    errors\n",
    "health": "    health 127.0.0.1:{health} {{\n       lameduck 5s\n    }}\n",
    "ready": "    ready 127.0.0.1:{ready}\n",
    "kubernetes": _KUBERNETES,
    "prometheus": "    prometheus 127.0.0.1:{metrics}\n",
    "forward": "    forward . 127.0.0.1:{upstream} {{\n       max_concurrent 1000\n    }}\n",
    "cache": (
        "    cache 30 {{\n       disable success cluster.local\n"
        "       disable denial cluster.local\n    }}\n"
    ),
    "loop": "    loop\n",
    "reload": "    reload\n",
    "loadbalance": "    loadbalance\n",
}

NOT_YET: Final = tuple(name for name in _KUBEADM if name not in SUPPORTED)
"""Directives of kubeadm's default that kdns does not have (yet)."""


class Ports(Struct, frozen=True):
    """Where a server listens, and where its upstream does. All on 127.0.0.1."""

    dns: int
    health: int
    ready: int
    metrics: int
    upstream: int


def kubeadm(ports: Ports, kubeconfig: Path, without: Collection[str] = ()) -> str:
    """What kubeadm writes, without some directives."""
    lines = [text for name, text in _KUBEADM.items() if name not in without]
    return _block("".join(lines), ports, kubeconfig)


def kubernetes_alone(ports: Ports, kubeconfig: Path) -> str:
    """Nothing but ``kubernetes`` (and ``ready``, so that we know when it is)."""
    return _block(_KUBEADM["ready"] + _KUBERNETES, ports, kubeconfig)


def with_shortnames(ports: Ports, kubeconfig: Path, namespace: str) -> str:
    """kubeadm's, with names completed in a namespace. For kdns alone: the directive is its own."""
    return _block(f"    shortnames {namespace}\n" + "".join(_KUBEADM.values()), ports, kubeconfig)


def _block(body: str, ports: Ports, kubeconfig: Path) -> str:
    text = f".:{{dns}} {{{{\n    bind 127.0.0.1\n{body}}}}}\n"
    return text.format(
        dns=ports.dns,
        health=ports.health,
        ready=ports.ready,
        metrics=ports.metrics,
        upstream=ports.upstream,
        kubeconfig=kubeconfig,
    )
