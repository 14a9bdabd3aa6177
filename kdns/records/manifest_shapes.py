"""The fields of manifests that a cluster's controllers read, with the types that an API server insists on.

Kubernetes API reference v1 (Service, Pod, Endpoints, Namespace, Node) and discovery.k8s.io/v1
(EndpointSlice). Unlike ``shapes``, which takes what it can get, these refuse what is wrong; null has
been removed before. Knows nothing of what the values mean.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from msgspec import Meta, Struct, field

LABEL: Final = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z"
"""RFC 1123 label: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/"""
SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z"

Label: TypeAlias = Annotated[str, Meta(pattern=LABEL)]
OptionalLabel: TypeAlias = Annotated[str, Meta(pattern=rf"^\Z|{LABEL}")]
Subdomain: TypeAlias = Annotated[str, Meta(pattern=SUBDOMAIN, max_length=253)]
PortNumber: TypeAlias = Annotated[int, Meta(ge=1, le=65535)]
Protocol: TypeAlias = Literal["TCP", "UDP", "SCTP"]
Family: TypeAlias = Literal["IPv4", "IPv6"]
Labels: TypeAlias = dict[str, str]


class Metadata(Struct, frozen=True, rename="camel"):
    """ObjectMeta."""

    name: Subdomain
    namespace: Label = "default"
    labels: Labels = {}
    annotations: Labels = {}
    deletion_timestamp: str = ""


class LabelMetadata(Metadata, frozen=True, rename="camel"):
    """ObjectMeta of a kind whose name is one DNS label."""

    name: Label


class ServicePort(Struct, frozen=True, rename="camel"):
    """v1 ServicePort."""

    port: PortNumber
    name: str = ""
    protocol: Protocol = "TCP"
    target_port: int | str = 0


class ServiceSpec(Struct, frozen=True, rename="camel"):
    """v1 ServiceSpec."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    selector: Labels = {}
    ports: tuple[ServicePort, ...] = ()
    cluster_ip: str = field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = field(default=(), name="clusterIPs")
    ip_families: tuple[Family, ...] = ()
    ip_family_policy: Literal["", "SingleStack", "PreferDualStack", "RequireDualStack"] = ""
    publish_not_ready_addresses: bool = False

    @property
    def given_ips(self) -> tuple[str, ...]:
        """``clusterIPs``, which ``clusterIP`` stands for when it is absent."""
        return self.cluster_ips or ((self.cluster_ip,) if self.cluster_ip else ())


class Service(Struct, frozen=True):
    """v1 Service."""

    metadata: LabelMetadata
    spec: ServiceSpec = ServiceSpec()


class ContainerPort(Struct, frozen=True, rename="camel"):
    """v1 ContainerPort."""

    container_port: PortNumber
    name: str = ""
    protocol: Protocol = "TCP"


class Container(Struct, frozen=True, rename="camel"):
    """v1 Container."""

    ports: tuple[ContainerPort, ...] = ()
    restart_policy: str = ""


class DnsOption(Struct, frozen=True):
    """v1 PodDNSConfigOption."""

    name: str = ""
    value: str | None = None


class DnsConfig(Struct, frozen=True):
    """v1 PodDNSConfig."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[DnsOption, ...] = ()


class PodSpec(Struct, frozen=True, rename="camel"):
    """v1 PodSpec."""

    hostname: OptionalLabel = ""
    subdomain: OptionalLabel = ""
    node_name: str = ""
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    host_network: bool = False
    dns_policy: str = "ClusterFirst"
    dns_config: DnsConfig = DnsConfig()


class PodAddress(Struct, frozen=True):
    """v1 PodIP."""

    ip: str


class PodCondition(Struct, frozen=True):
    """v1 PodCondition."""

    type: str
    status: str


class PodStatus(Struct, frozen=True):
    """v1 PodStatus."""

    phase: str = ""
    pod_ip: str = field(default="", name="podIP")
    pod_ips: tuple[PodAddress, ...] = field(default=(), name="podIPs")
    conditions: tuple[PodCondition, ...] = ()


class Pod(Struct, frozen=True):
    """v1 Pod."""

    metadata: Metadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def by_hand(self) -> bool:
        """Whether no cluster has run it: without a status (or ``{}``, as ``kubectl run`` prints)."""
        return self.status == PodStatus()


class TargetReference(Struct, frozen=True):
    """v1 ObjectReference."""

    kind: str = ""
    name: str = ""
    namespace: str = ""
    uid: str = ""


class EndpointAddress(Struct, frozen=True, rename="camel"):
    """v1 EndpointAddress."""

    ip: str
    hostname: OptionalLabel = ""
    target_ref: TargetReference = TargetReference()


class EndpointPort(Struct, frozen=True):
    """v1 EndpointPort."""

    port: PortNumber
    name: str = ""
    protocol: Protocol = "TCP"


class EndpointSubset(Struct, frozen=True, rename="camel"):
    """v1 EndpointSubset."""

    addresses: tuple[EndpointAddress, ...] = ()
    not_ready_addresses: tuple[EndpointAddress, ...] = ()
    ports: tuple[EndpointPort, ...] = ()


class ServiceImport(Struct, frozen=True):
    """multicluster.x-k8s.io/v1alpha1 ServiceImport."""

    metadata: LabelMetadata


class Endpoints(Struct, frozen=True):
    """v1 Endpoints."""

    metadata: Metadata
    subsets: tuple[EndpointSubset, ...] = ()


class EndpointSlice(Struct, frozen=True):
    """discovery.k8s.io/v1 EndpointSlice; its endpoints are read by ``schema`` alone."""

    metadata: Metadata


class Namespace(Struct, frozen=True):
    """v1 Namespace."""

    metadata: LabelMetadata


class Node(Struct, frozen=True):
    """v1 Node."""

    metadata: Metadata


Manifest: TypeAlias = Service | Pod | Endpoints | EndpointSlice | Namespace | Node | ServiceImport
