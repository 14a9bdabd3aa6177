"""Where the node keeps what, and its addresses, none of which exists outside its network namespace."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
HERE: Final = Path(__file__).parent
CACHE: Final = Path(os.environ.get("KDNS_CACHE") or Path.home() / ".cache" / "kdns")
PROGRAMS: Final = CACHE / "bin"
NODE: Final = CACHE / "node"
"""What takes long to make (root file systems, images), and ``run``, the running node's folder."""

NAMESPACE: Final = os.environ.get("KDNS_NODE_NAME", "kdns-node")
"""Of the network; also the node's name."""

NODE_ADDRESSES: Final = ("10.99.0.1", "fd00:10:99::1")
POD_RANGES: Final = ("10.244.0.0/16", "fd00:10:244::/56")
SERVICE_RANGES: Final = ("10.96.0.0/16", "fd00:10:96::/112")
API: Final = "10.96.0.1"
DNS: Final = "10.96.0.10"
"""The Service kube-dns, which kubelet writes into the Pods' resolv.conf."""

KDNS: Final = "docker.io/library/kdns:dev"
COREDNS: Final = "registry.k8s.io/coredns/coredns:v1.15.0"
MUSL: Final = "docker.io/library/client-musl:1"
GLIBC: Final = "docker.io/library/client-glibc:1"
