"""What a start does not import: CPU time until a Pod that was just started answers."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """if True:
    import sys
    import kdns.cli.coredns, kdns.server.lifecycle
    from kdns.config import corefile
    from kdns.server import generation

    generation.plan(corefile.parse(sys.stdin.read()))
    print(*sys.modules)
"""

KUBEADM = """.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
"""

LATER = {
    *("ifaddr", "importlib.metadata", "kubernetes", "prometheus_client", "pydantic"),
    *(f"kdns.plugins.{name}" for name in ("auto", "autopath", "dns64", "hosts", "k8s_external")),
    *(f"kdns.plugins.{name}" for name in ("rewrite", "secondary", "template", "transfer", "view")),
    "kdns.plugins.expressions",
}
"""Dear to import, and not needed by kubeadm's Corefile."""


def test_a_start_imports_what_its_corefile_needs() -> None:
    """A process of its own, for its modules to be counted."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=KUBEADM,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    modules = set(done.stdout.split())
    assert "kdns.plugins.loadbalance" in modules
    assert modules & LATER == set()
