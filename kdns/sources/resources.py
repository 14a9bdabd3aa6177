"""Which collections of the API are watched, and where they are."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from kdns.config.access import ApiAccess
from kdns.records.objects import Kind

LIVE_PODS: Final = "status.phase!=Succeeded,status.phase!=Failed,status.phase!=Unknown"
"""CoreDNS asks for the same; a Pod that ends leaves the selection, which arrives as DELETED."""


class Resource(Struct, frozen=True):
    """A collection at cluster scope."""

    kind: Kind
    path: str
    title: str
    """As RBAC rules and error messages of the API name it."""
    label_selector: str = ""
    field_selector: str = ""
    optional: bool = False
    """Of a CustomResourceDefinition, which may not be installed: then there are none of them."""

    @property
    def name(self) -> str:
        return self.kind.value

    def selection(self) -> dict[str, str]:
        """Return the query parameters that select the objects."""
        both = {"labelSelector": self.label_selector, "fieldSelector": self.field_selector}
        return {name: value for name, value in both.items() if value}


def watched(access: ApiAccess) -> tuple[Resource, ...]:
    """Return what to watch for these settings."""
    labels = access.labels
    slices = "/apis/discovery.k8s.io/v1/endpointslices"
    chosen = [
        Resource(Kind.SERVICE, "/api/v1/services", "services", labels),
        Resource(Kind.NAMESPACE, "/api/v1/namespaces", "namespaces", access.namespace_labels),
    ]
    if access.endpoints:
        chosen.append(Resource(Kind.SLICE, slices, "endpointslices.discovery.k8s.io", labels))
    if access.pods:
        chosen.append(Resource(Kind.POD, "/api/v1/pods", "pods", labels, LIVE_PODS))
    if access.nodes:
        chosen.append(Resource(Kind.NODE, "/api/v1/nodes", "nodes"))
    if access.imports:
        imports = "/apis/multicluster.x-k8s.io/v1alpha1/serviceimports"
        title = "serviceimports.multicluster.x-k8s.io"
        chosen.append(Resource(Kind.IMPORT, imports, title, optional=True))
    return tuple(chosen)
