"""The JSON shape of the API objects that are watched: only the fields that are served.

Kubernetes API reference v1 (Service, Pod, Namespace, List, Status) and discovery.k8s.io/v1
(EndpointSlice). Every field may be absent or null: Go writes ``null`` for a nil slice, and broken
writers leave things out. What the values mean is told in ``trimming``. All values here are
short-lived trees without cycles, so the garbage collector need not track them.
"""

from __future__ import annotations

from typing import Generic, TypeVar

from msgspec import Struct, field

T = TypeVar("T")


class Metadata(Struct, gc=False):
    """ObjectMeta, common part."""

    name: str | None = None
    namespace: str | None = None
    resource_version: str | None = field(default=None, name="resourceVersion")


class NamespaceShape(Struct, gc=False):
    """v1 Namespace."""

    metadata: Metadata | None = None


class PortShape(Struct, gc=False):
    """ServicePort and discovery EndpointPort."""

    name: str | None = None
    protocol: str | None = None
    port: int | None = None
    node_port: int | None = field(default=None, name="nodePort")


class ServiceSpec(Struct, gc=False, rename="camel"):
    """v1 ServiceSpec."""

    type: str | None = None
    cluster_ip: str | None = field(default=None, name="clusterIP")
    cluster_ips: list[str] | None = field(default=None, name="clusterIPs")
    ports: list[PortShape] | None = None
    external_name: str | None = None
    external_ips: list[str] | None = field(default=None, name="externalIPs")
    selector: dict[str, object] | None = None


class IngressShape(Struct, gc=False):
    """v1 LoadBalancerIngress."""

    ip: str | None = None
    hostname: str | None = None


class LoadBalancerShape(Struct, gc=False):
    """v1 LoadBalancerStatus."""

    ingress: list[IngressShape] | None = None


class ServiceStatus(Struct, gc=False, rename="camel"):
    """v1 ServiceStatus."""

    load_balancer: LoadBalancerShape | None = None


class ServiceShape(Struct, gc=False):
    """v1 Service."""

    metadata: Metadata | None = None
    spec: ServiceSpec | None = None
    status: ServiceStatus | None = None


class SliceLabels(Struct, gc=False):
    """The labels that are read."""

    service: str | None = field(default=None, name="kubernetes.io/service-name")
    imported: str | None = field(default=None, name="multicluster.kubernetes.io/service-name")
    cluster: str | None = field(default=None, name="multicluster.kubernetes.io/source-cluster")


class SliceAnnotations(Struct, gc=False):
    """The one annotation that is read."""

    triggered: str | None = field(
        default=None, name="endpoints.kubernetes.io/last-change-trigger-time"
    )


class SliceMetadata(Metadata, gc=False):
    """ObjectMeta of an EndpointSlice."""

    labels: SliceLabels | None = None
    annotations: SliceAnnotations | None = None


class Conditions(Struct, gc=False):
    """discovery EndpointConditions."""

    ready: bool | None = None
    terminating: bool | None = None


class TargetRef(Struct, gc=False):
    """v1 ObjectReference."""

    kind: str | None = None
    name: str | None = None


class EndpointShape(Struct, gc=False, rename="camel"):
    """discovery Endpoint."""

    addresses: list[str] | None = None
    conditions: Conditions | None = None
    hostname: str | None = None
    target_ref: TargetRef | None = None
    zone: str | None = None


class SliceShape(Struct, gc=False, rename="camel"):
    """discovery EndpointSlice."""

    metadata: SliceMetadata | None = None
    address_type: str | None = None
    endpoints: list[EndpointShape] | None = None
    ports: list[PortShape] | None = None


class PodSpec(Struct, gc=False, rename="camel"):
    """v1 PodSpec."""

    host_network: bool | None = None


class PodAddress(Struct, gc=False):
    """v1 PodIP."""

    ip: str | None = None


class PodStatus(Struct, gc=False):
    """v1 PodStatus."""

    phase: str | None = None
    pod_ip: str | None = field(default=None, name="podIP")
    pod_ips: list[PodAddress] | None = field(default=None, name="podIPs")


class PodShape(Struct, gc=False):
    """v1 Pod."""

    metadata: Metadata | None = None
    spec: PodSpec | None = None
    status: PodStatus | None = None


class ImportSpec(Struct, gc=False):
    """multicluster.x-k8s.io/v1alpha1 ServiceImportSpec."""

    type: str | None = None
    ips: list[str] | None = None
    ports: list[PortShape] | None = None


class ImportShape(Struct, gc=False):
    """multicluster.x-k8s.io/v1alpha1 ServiceImport."""

    metadata: Metadata | None = None
    spec: ImportSpec | None = None


class NodeAddress(Struct, gc=False):
    """v1 NodeAddress."""

    type: str | None = None
    address: str | None = None


class NodeCondition(Struct, gc=False):
    """v1 NodeCondition."""

    type: str | None = None
    status: str | None = None


class NodeStatus(Struct, gc=False):
    """v1 NodeStatus."""

    addresses: list[NodeAddress] | None = None
    conditions: list[NodeCondition] | None = None


class NodeShape(Struct, gc=False):
    """v1 Node."""

    metadata: Metadata | None = None
    status: NodeStatus | None = None


class ListMetadata(Struct, gc=False, rename="camel"):
    """ListMeta."""

    resource_version: str | None = None
    continue_: str | None = field(default=None, name="continue")


class EventShape(Struct, Generic[T], gc=False):
    """A line of a watch: WatchEvent."""

    type: str
    object: T


class BookmarkAnnotations(Struct, frozen=True, gc=False):
    """Of a BOOKMARK."""

    initial_events_end: str | None = field(default=None, name="k8s.io/initial-events-end")


class BookmarkMetadata(Struct, frozen=True, gc=False):
    """ObjectMeta of a BOOKMARK."""

    annotations: BookmarkAnnotations = BookmarkAnnotations()


class BookmarkShape(Struct, frozen=True, gc=False):
    """The object of a BOOKMARK, beside its version."""

    metadata: BookmarkMetadata = BookmarkMetadata()


class StatusShape(Struct, gc=False):
    """v1 Status: what the API answers instead of an object."""

    code: int | None = None
    reason: str | None = None
    message: str | None = None


Shape = ServiceShape | SliceShape | PodShape | NamespaceShape | NodeShape | ImportShape
