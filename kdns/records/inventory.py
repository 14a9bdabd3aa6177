"""What an index holds, found both ways: by what objects are called, and by the addresses they have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from kdns.records.holders import Id, Prefixes
from kdns.records.locations import Addresses, ready_addresses
from kdns.records.objects import (
    Endpoint,
    Import,
    Kind,
    Namespace,
    Node,
    Object,
    Pod,
    Service,
    Slice,
)


class Inventory:
    """The objects of one cluster, for who reads; ``Index`` changes them."""

    clusterset: Self
    """ServiceImports and their endpoints, found as Services are."""

    def __init__(self, cluster: Self | None = None) -> None:
        """``cluster`` is given for what its clusterset holds: Services of its own, the same Pods."""
        self.serial = 0
        """Unix time of the last change that matters to DNS; 0 before any."""
        self.synced: set[Kind] = set()
        """Kinds of which a whole list has been seen."""
        self.namespaces: dict[str, Namespace] = cluster.namespaces if cluster else {}
        self.services: dict[str, dict[str, Service]] = {}
        self.pods: dict[Id, Pod] = cluster.pods if cluster else {}
        self.nodes: dict[str, Node] = {}
        self._slices: dict[Id, Slice] = {}
        self._service_slices: dict[Id, tuple[Slice, ...]] = {}
        self._ready: dict[tuple[str, str, bool], tuple[Addresses, ...]] = {}
        self._named: dict[str, tuple[str, ...]] = {}
        self._service_ips: dict[str, tuple[Id, ...]] = {}
        self._external_ips: dict[str, tuple[Id, ...]] = {}
        self._slice_ips: dict[str, tuple[Id, ...]] = {}
        self._pod_ips: dict[str, tuple[Id, ...]] = cluster._pod_ips if cluster else {}
        self._prefixes = Prefixes()
        self.clusterset = self if cluster else type(self)(self)

    def service(self, namespace: str, name: str) -> Service | None:
        services = self.services.get(namespace)
        return services.get(name) if services else None

    def slices(self, namespace: str, service: str) -> Iterable[Slice]:
        """The EndpointSlices labelled with this Service, whether or not it exists."""
        return self._service_slices.get((namespace, service), ())

    def ready(self, namespace: str, service: str) -> Iterator[tuple[Slice, Endpoint]]:
        """The ready endpoints of a Service, each with its slice."""
        for piece in self.slices(namespace, service):
            for endpoint in piece.endpoints:
                if endpoint.ready:
                    yield piece, endpoint

    def ready_addresses(self, namespace: str, service: str, pod_names: bool) -> list[Addresses]:
        """The addresses of a Service's ready endpoints, slice by slice; see ``locations``."""
        found: list[Addresses] = []
        for piece in self.slices(namespace, service):
            found += self.ready_in(piece, pod_names)
        return found

    def ready_in(self, piece: Slice, pod_names: bool) -> tuple[Addresses, ...]:
        """The addresses of the ready endpoints of a slice that is held here.

        They are packed when they are first read: those of most slices never are.
        """
        key = (piece.namespace, piece.name, pod_names)
        found = self._ready.get(key)
        if found is None:
            found = self._ready[key] = ready_addresses(piece, pod_names)
        return found

    def namespaces_with(self, service: str) -> tuple[str, ...]:
        """The namespaces that have a Service of this name."""
        return self._named.get(service, ())

    def services_at(self, address: str) -> Iterator[Service]:
        """The Services with this address among their ClusterIPs."""
        for namespace, name in self._service_ips.get(address, ()):
            yield self.services[namespace][name]

    def services_outside(self, address: str) -> Iterator[Service]:
        """The Services that are reached at this address from outside the cluster."""
        for namespace, name in self._external_ips.get(address, ()):
            yield self.services[namespace][name]

    def slices_at(self, address: str) -> Iterator[Slice]:
        """The EndpointSlices with an endpoint at this address, ready or not."""
        return (self._slices[key] for key in self._slice_ips.get(address, ()))

    def pods_at(self, address: str) -> Iterator[Pod]:
        return (self.pods[key] for key in self._pod_ips.get(address, ()))

    def sole_pod(self, address: str) -> Pod | None:
        """The Pod with this address; None where it may be another one, as of the node's network."""
        pods = tuple(self.pods_at(address))
        return pods[0] if len(pods) == 1 and not pods[0].host_network else None

    def addresses(self) -> Iterator[str]:
        """The ClusterIPs and the addresses of endpoints, each once."""
        yield from self._service_ips
        yield from (address for address in self._slice_ips if address not in self._service_ips)

    def has_addresses_below(self, prefix: str) -> bool:
        """Whether a ClusterIP or endpoint address starts with this (see ``reverse.prefixes``)."""
        return prefix in self._prefixes

    def sizes(self) -> dict[Kind, int]:
        """How many objects of each kind there are."""
        return {
            Kind.SERVICE: sum(map(len, self.services.values())),
            Kind.SLICE: len(self._slices),
            Kind.POD: len(self.pods),
            Kind.NAMESPACE: len(self.namespaces),
            Kind.NODE: len(self.nodes),
            Kind.IMPORT: sum(map(len, self.clusterset.services.values())),
        }

    def objects(self, kind: Kind) -> Iterator[Object]:
        """All objects of a kind."""
        match kind:
            case Kind.SERVICE:
                return (service for names in self.services.values() for service in names.values())
            case Kind.SLICE:
                return iter(self._slices.values())
            case Kind.POD:
                return iter(self.pods.values())
            case Kind.NAMESPACE:
                return iter(self.namespaces.values())
            case Kind.NODE:
                return iter(self.nodes.values())
            case Kind.IMPORT:
                imports = self.clusterset.services.values()
                return (Import(service) for names in imports for service in names.values())

    def copy(self) -> Self:
        """The same objects, for who reads on while these change."""
        other = type(self)()
        for name, held in [pair for pair in vars(self).items() if pair[1] is not self]:
            fresh = held.copy() if isinstance(held, (dict, set, Inventory)) else held
            if isinstance(fresh, dict):
                fresh |= {key: each.copy() for key, each in fresh.items() if type(each) is dict}
            setattr(other, name, fresh)
        return other
