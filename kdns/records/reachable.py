"""Where Services are reached from outside the cluster, and how much of that is shown.

Addresses and host names, each with a port: what the load balancer got and ``spec.externalIPs``, or else
what the options ask for.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from msgspec import Struct

from kdns.records.holders import outside
from kdns.records.index import Index
from kdns.records.locations import Addresses, matching, port_matches
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


def endpoints(index: Index, view: View, shown: Shown, service: Service) -> list[Addresses]:
    """The ready endpoints, where they are to be shown: of Services without external address."""
    if not shown.headless or outside(service):
        return []
    return index.ready_addresses(service.namespace, service.name, view.endpoint_pod_names)


def endpoints_at(ready: list[Addresses], service: Service, below: Name) -> list[Addresses]:
    """Those that are meant by what stands before the Service: one's label, or port and protocol.

    One of a Service with an address of its own is found at its label alone.
    """
    if len(below) == 1:
        return matching(ready, Asked("svc", endpoint=below[0]))
    return matching(ready, _asked(below)) if service.headless and len(below) < 3 else []


def places(index: Index, shown: Shown, service: Service) -> list[Place]:
    """The external addresses, or else host names; or what else is to be shown beside endpoints."""
    hosts = outside(service)
    if not hosts:
        return [
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


def _alias(service: Service) -> Iterator[Place]:
    return (Place(service.external_name, port) for port in service.ports or (None,))


def _nodes(index: Index, service: Service) -> Iterator[Place]:
    ports = [Port(p.name, p.protocol, p.node_port) for p in service.ports if p.node_port]
    nodes = (node for node in index.nodes.values() if node.addresses)
    for node in islice(nodes if ports else (), MAX_NODES):
        for address in node.addresses:
            yield from (Place(address, port) for port in ports)


def matches(place: Place, below: Name) -> bool:
    """Whether a place is meant by what stands before the Service: nothing, or port and protocol."""
    return len(below) in {0, 2} and port_matches(_asked(below), place.port)


def _asked(below: Name) -> Asked:
    port, protocol = (label.removeprefix("_") for label in below) if below else (None, None)
    return Asked("svc", port=port, protocol=protocol)
