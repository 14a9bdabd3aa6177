"""How to reach what is served: settings of the sources, as values that can be compared.

Two ``kubernetes`` directives with equal access share one source and one index, also across a reload.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace


class ApiAccess(Struct, frozen=True):
    """A Kubernetes API server and what to watch there.

    Without ``endpoint`` and ``kubeconfig`` the in-cluster configuration is used.
    """

    endpoint: str = ""
    tls: tuple[str, ...] = ()
    """Paths: certificate, key and CA (three), or CA alone (one)."""
    kubeconfig: str = ""
    """A path, or several joined by ``os.pathsep`` as in ``$KUBECONFIG``."""
    context: str = ""
    """"" is the kubeconfig's current context."""
    labels: str = ""
    """Label selector for Services, Pods and EndpointSlices."""
    namespace_labels: str = ""
    """Label selector for Namespaces."""
    pods: bool = False
    """Whether Pods are watched (``pods verified``, ``shortnames`` by source address)."""
    endpoints: bool = True
    """Whether EndpointSlices are watched (not with ``noendpoints``)."""
    snapshot: str = ""
    """A file that what is known is saved to, and that a start without the API server answers from."""
    nodes: bool = False
    """Whether Nodes are watched (``k8s_external`` with ``nodeports``)."""
    imports: bool = False
    """Whether ServiceImports are watched (``multicluster``)."""


class ManifestAccess(Struct, frozen=True):
    """A file or folder of Kubernetes manifests, standing in for an API server."""

    path: str
    labels: str = ""
    namespace_labels: str = ""
    pods: bool = False
    endpoints: bool = True
    nodes: bool = False
    imports: bool = False


Access: TypeAlias = ApiAccess | ManifestAccess


def base(access: Access) -> Access:
    """What directives must have in common to share a source: all but what one may want besides."""
    if isinstance(access, ApiAccess):
        return replace(access, pods=False, nodes=False, imports=False, snapshot="")
    return replace(access, pods=False, nodes=False, imports=False)
