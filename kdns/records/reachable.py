"""Where Services are reached from outside the cluster, and how much of that is shown.

Addresses and host names, each with a port: what the load balancer got and ``spec.externalIPs``, or else
what the options ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from msgspec import Struct

from kdns.records.holders import outside
from kdns.records.index import Index
from kdns.records.locations import endpoint_label, port_matches
from kdns.records.objects import Port, Service
from kdns.records.outcome import Asked, View
from kdns.wire.names import Name, is_address

MAX_NODES: Final = 16
"""Of a cluster with more nodes, so many stand in an answer: each of them forwards a node port."""


class Shown(Struct, frozen=True):
    """How the zones are shown: the options of ``k8s_external``."""

    zones: tuple[Name, ...]
    """PTRs point into the first that is no reverse zone."""
    ttl: int = 5
    """Seconds, 0 to 3600."""
    apex: Name = ("dns",)
    """Below it is the name of the zone's server."""
    headless: bool = False
    """Whether ready endpoints are shown. This and the next two are for Services without address."""
    node_ports: bool = False
    external_names: bool = False

    @property
    def primary(self) -> Name:
        return next((zone for zone in self.zones if zone[-1:] != ("arpa",)), self.zones[0])


class Place(Struct, frozen=True):
    """An address or a host name, and a port of it."""

    host: str
    port: Port | None
    label: str = ""
    """The endpoint's; "" for what the whole Service has."""
    alone: bool = False
    """Whether it is found at its label alone: an endpoint of a Service with an address of its own."""


def places(index: Index, view: View, shown: Shown, service: Service) -> list[Place]:
    """The external addresses, or else host names; or what else is to be shown."""
    hosts = outside(service)
    if not hosts:
        return [
            *(_endpoints(index, view, service) if shown.headless else ()),
            *(_alias(service) if shown.external_names and service.external_name else ()),
            *(_nodes(index, service) if shown.node_ports else ()),
        ]
    # A name with addresses can have no alias beside them (RFC 1034 section 3.6.2).
    addresses = [host for host in hosts if is_address(host)]
    ports = service.ports or (None,)
    return [Place(host, port) for host in dict.fromkeys(addresses or hosts[:1]) for port in ports]


def node_ports(service: Service) -> str:
    """For people: the ports that its nodes' addresses have, ``node ports 30080 (http)``."""
    ports = [port for port in service.ports if port.node_port]
    listed = ", ".join(f"{p.node_port} ({p.name or p.number})" for p in ports[:MAX_NODES])
    return f"node ports {listed}" if listed else ""


def _endpoints(index: Index, view: View, service: Service) -> Iterator[Place]:
    for piece, endpoint in index.ready(service.namespace, service.name):
        ports: Iterable[Port | None] = piece.ports or (None,)
        for address in endpoint.addresses:
            label = endpoint_label(endpoint, address, view.endpoint_pod_names).lower()
            for port in ports:
                yield Place(address, port, label, alone=not service.headless)


def _alias(service: Service) -> Iterator[Place]:
    return (Place(service.external_name, port) for port in service.ports or (None,))


def _nodes(index: Index, service: Service) -> Iterator[Place]:
    ports = [Port(p.name, p.protocol, p.node_port) for p in service.ports if p.node_port]
    nodes = (node for node in index.nodes.values() if node.addresses)
    for node in islice(nodes if ports else (), MAX_NODES):
        for address in node.addresses:
            yield from (Place(address, port) for port in ports)


def matches(place: Place, below: Name) -> bool:
    """Whether a place is meant by what stands before the Service: an endpoint, or port and protocol."""
    if len(below) == 1:
        return place.label == below[0]
    if place.alone or len(below) > 2:
        return False
    port, protocol = (label.removeprefix("_") for label in below) if below else (None, None)
    return port_matches(Asked("svc", port=port, protocol=protocol), place.port)
