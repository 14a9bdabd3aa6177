"""Kubernetes objects, trimmed to what DNS needs, and the changes that sources report about them.

A new field costs memory in every cluster (10,000 Services and 100,000 endpoints are usual sizes), so
each one here is read by some answer. ``schema`` makes these values from API objects.
The values are immutable trees, so the garbage collector need not track them: with 100,000 of them a
full collection would otherwise be a pause of its own.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeAlias

from msgspec import Struct

HEADLESS: Final = "None"  # Kubernetes API: spec.clusterIP of a headless Service


class Kind(Enum):
    """The object kinds that are watched; the value is the plural resource name."""

    SERVICE = "services"
    SLICE = "endpointslices"
    POD = "pods"
    NAMESPACE = "namespaces"
    NODE = "nodes"
    IMPORT = "serviceimports"

    # Enum's own is a Python function, and events and look-ups hash kinds.
    __hash__ = object.__hash__


class Port(Struct, frozen=True, gc=False):
    """A port of a Service or of an EndpointSlice."""

    name: str
    protocol: str
    """Lower case: ``tcp``, ``udp``, ``sctp``."""
    number: int
    node_port: int = 0
    """Of a Service, at every node's address; 0 when it has none."""


class Service(Struct, frozen=True, gc=False):
    """A Service; ``cluster_ips`` is empty when it is headless or of type ExternalName."""

    namespace: str
    name: str
    headless: bool = False
    cluster_ips: tuple[str, ...] = ()
    ports: tuple[Port, ...] = ()
    external_name: str = ""
    """The target as written; non-empty exactly for type ExternalName."""
    external_ips: tuple[str, ...] = ()
    ingress: tuple[str, ...] = ()
    """Addresses and host names of status.loadBalancer.ingress."""
    selects: bool = True
    """Whether it has a selector: one without gets its endpoints by hand."""


class Endpoint(Struct, frozen=True, gc=False):
    """One entry of an EndpointSlice, ready or not."""

    addresses: tuple[str, ...]
    ready: bool = True
    """``conditions.ready``; absent means ready (Kubernetes API, EndpointConditions)."""
    hostname: str = ""
    pod: str = ""
    """Name of the Pod in ``targetRef``."""
    zone: str = ""
    terminating: bool = False
    """``conditions.terminating`` of one that is not ready: why it is not."""


class Imported(Struct, frozen=True, gc=False):
    """What an EndpointSlice is part of in a clusterset (Multi-Cluster Services API, KEP 1645)."""

    service: str
    """From the label ``multicluster.kubernetes.io/service-name``."""
    cluster: str
    """From ``multicluster.kubernetes.io/source-cluster``; "" when it has none."""


class Slice(Struct, frozen=True, gc=False):
    """An EndpointSlice."""

    namespace: str
    name: str
    service: str
    """From the label ``kubernetes.io/service-name``; "" when it has none."""
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[Port, ...] = ()
    triggered: float = 0.0
    """Unix time in ``endpoints.kubernetes.io/last-change-trigger-time``; 0 when absent."""
    imported: Imported | None = None
    cluster: str = ""
    """Only among those of a ServiceImport: the cluster that its endpoints are in."""


class Pod(Struct, frozen=True, gc=False):
    """A Pod that is neither Succeeded nor Failed."""

    namespace: str
    name: str
    ips: tuple[str, ...] = ()
    host_network: bool = False
    """Such Pods share the node's address, so the address does not tell which one asks."""


class Namespace(Struct, frozen=True, gc=False):
    """A Namespace."""

    name: str


class Node(Struct, frozen=True, gc=False):
    """A node, of which only node ports make use."""

    name: str
    addresses: tuple[str, ...] = ()
    """The external ones, or else the internal ones; none while it is not ready."""


class Import(Struct, frozen=True, gc=False):
    """A ServiceImport, as the Service that it is in the clusterset."""

    service: Service

    @property
    def namespace(self) -> str:
        return self.service.namespace

    @property
    def name(self) -> str:
        return self.service.name


Object: TypeAlias = Service | Slice | Pod | Namespace | Node | Import

KINDS: Final[dict[type[Object], Kind]] = {
    Service: Kind.SERVICE,
    Slice: Kind.SLICE,
    Pod: Kind.POD,
    Namespace: Kind.NAMESPACE,
    Node: Kind.NODE,
    Import: Kind.IMPORT,
}
TYPES: Final = {kind: cls for cls, kind in KINDS.items()}
LISTS: Final[dict[Kind, type[tuple[Object, ...]]]] = {
    Kind.SERVICE: tuple[Service, ...],
    Kind.SLICE: tuple[Slice, ...],
    Kind.POD: tuple[Pod, ...],
    Kind.NAMESPACE: tuple[Namespace, ...],
    Kind.NODE: tuple[Node, ...],
    Kind.IMPORT: tuple[Import, ...],
}
"""What to decode several objects of a kind as."""


class Replaced(Struct, frozen=True):
    """All objects of a kind as they are now: what is not among them is gone. Applied atomically."""

    kind: Kind
    objects: tuple[Object, ...]


class Put(Struct, frozen=True):
    """An object was created or changed."""

    object: Object


class Gone(Struct, frozen=True):
    """An object was deleted, or no longer matches the selector it is watched by."""

    kind: Kind
    namespace: str
    """"" for a Namespace and a Node."""
    name: str


Change: TypeAlias = Replaced | Put | Gone
