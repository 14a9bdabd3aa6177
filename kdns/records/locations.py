"""Where a Service is found: addresses, each with a port and the label that an endpoint is known by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from kdns.records.objects import Endpoint, Port, Service, Slice
from kdns.records.outcome import Asked, View
from kdns.wire import rdata
from kdns.wire.constants import Type
from kdns.wire.message import Record
from kdns.wire.names import MAX_LABEL, Name


class Location(Struct, frozen=True, gc=False):
    """One address with a port: what both A/AAAA and SRV records are made from."""

    address: str
    port: Port | None
    """None for a Service or slice that declares no ports: it has addresses but no SRV."""
    label: str = ""
    """The endpoint's label; "" for a ClusterIP."""
    cluster: str = ""
    """Stands after the label, for an endpoint in a clusterset."""

    @property
    def below(self) -> Name:
        """Its own name, below the Service's."""
        return (self.label, self.cluster) if self.cluster else (self.label,)


def cluster_locations(service: Service, asked: Asked) -> list[Location]:
    """The ClusterIPs with the ports that are asked for."""
    ports: Iterable[Port | None] = service.ports or (None,)
    return [
        Location(address, port)
        for port in ports
        if port_matches(asked, port)
        for address in service.cluster_ips
    ]


def ready_locations(
    ready: Iterable[tuple[Slice, Endpoint]], asked: Asked, view: View
) -> Iterator[Location]:
    """The addresses of ready endpoints, with the ports and under the label that are asked for."""
    for piece, endpoint in ready:
        ports: Iterable[Port | None] = piece.ports or (None,)
        cluster = piece.cluster.lower()
        for address in endpoint.addresses:
            label = endpoint_label(endpoint, address, view.endpoint_pod_names).lower()
            if not asked.endpoint or (asked.endpoint, asked.cluster) == (label, cluster):
                for port in ports:
                    if port_matches(asked, port):
                        yield Location(address, port, label, cluster)


def endpoint_label(endpoint: Endpoint, address: str, pod_names: bool) -> str:
    """The label an endpoint is known by: its host name, its Pod's name if wished, its address."""
    if endpoint.hostname:
        return endpoint.hostname
    if pod_names and endpoint.pod and len(endpoint.pod) <= MAX_LABEL:
        return endpoint.pod
    return dashed(address)


def dashed(address: str) -> str:
    """The label that an address makes: ``10-0-0-1``, ``fd00--1``."""
    label = address.replace(".", "-").replace(":", "-")
    return label + "0" if label.endswith("-") else label


def port_matches(asked: Asked, port: Port | None) -> bool:
    """An empty port or protocol label matches any, as with the peer."""
    if not asked.port and not asked.protocol:
        return True
    if port is None:
        return False
    return (not asked.port or asked.port == port.name.lower()) and (
        not asked.protocol or asked.protocol == port.protocol
    )


def pack(address: str) -> bytes:
    """The address in network order."""
    return rdata.aaaa(address) if ":" in address else bytes(map(int, address.split(".")))


def types_at(addresses: Iterable[str], has_ports: bool) -> list[Type]:
    """Of the records at a name with these addresses."""
    is_ipv6 = {":" in address for address in addresses}
    there = ((Type.A, False in is_ipv6), (Type.AAAA, True in is_ipv6), (Type.SRV, has_ports))
    return [kind for kind, is_there in there if is_there]


def address_record(owner: bytes, address: str, ttl: int) -> Record:
    """An A or AAAA record."""
    packed = pack(address)
    return Record(owner, Type.A if len(packed) == 4 else Type.AAAA, ttl, packed)
