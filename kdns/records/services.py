"""The records of one Service (Kubernetes DNS specification 1.1.0, sections 2.3 to 2.5).

Three shapes: a cluster Service has its ClusterIPs, a headless one its ready endpoints, an ExternalName
a CNAME. The names below it are an endpoint's label, ``_port._proto``, and with ``zonal`` a zone's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.records.endpoint_records import (
    address_records,
    srv_records,
    target_records,
    types_of,
)
from kdns.records.index import Index
from kdns.records.locations import (
    WIDTHS,
    Addresses,
    matching,
    pack,
    packed_record,
    port_matches,
    ready_addresses,
    types_at,
)
from kdns.records.objects import Kind, Port, Service
from kdns.records.outcome import Asked, Outcome, Reason, View
from kdns.wire import rdata
from kdns.wire.constants import Type
from kdns.wire.message import Key, Record
from kdns.wire.names import BadNameError, Name, is_address, skip, to_wire, wire_from_text

PROTOCOLS: Final = frozenset({"tcp", "udp", "sctp"})
_SLICES: Final = (Kind.SLICE,)


class Subject(Struct, frozen=True, gc=False):
    """The query, as far as the records of a Service depend on it."""

    zone: Name
    qname: bytes
    depth: int
    """Number of labels left of the zone."""
    qtype: int
    asked: Asked
    keys: tuple[Key, ...] = ()
    """What the Service and its namespace are known by to caches."""

    def service_name(self) -> bytes:
        """The Service's name, with the zone's letter case of the query."""
        origin = skip(self.qname, self.depth)
        return to_wire((self.asked.service, self.asked.namespace, "svc"), origin)


def service_records(
    index: Index, view: View, subject: Subject, service: Service, below: Name
) -> Outcome:
    """What is at the Service's name, or ``below`` it."""
    if service.external_name:
        return _external(view, subject, service, below)
    if view.ignore_empty and hides(index, view, service):
        return _no_endpoints(view, subject)
    if view.zonal and _has_zones(view, subject, service) and below[-1:] == ("_zone",):
        return _zonal(index, view, subject, service, below)
    if len(below) > 2:
        return _absent(subject, Reason.NO_SUCH_ENDPOINT)
    if service.headless or subject.asked.endpoint:
        return _endpoints(index, view, subject, service)
    return cluster_ip_records(view, subject, service)


def _has_zones(view: View, subject: Subject, service: Service) -> bool:
    return service.headless and subject.zone not in view.multicluster


def hides(index: Index, view: View, service: Service) -> bool:
    """Whether ``ignore empty_service`` makes it as good as missing."""
    if not view.ignore_empty or service.headless:
        return False
    return not index.ready_addresses(service.namespace, service.name, view.endpoint_pod_names)


def _no_endpoints(view: View, subject: Subject) -> Outcome:
    if not view.endpoints:  # as in CoreDNS, a Service is then as good as empty
        return _absent(subject, Reason.ENDPOINTS_NOT_WATCHED)
    return _absent(subject, Reason.NO_READY_ENDPOINT, _SLICES)


def _absent(subject: Subject, reason: Reason, needs: tuple[Kind, ...] = ()) -> Outcome:
    return Outcome(False, (), (), subject.keys, reason, subject.asked, needs)


def _empty(subject: Subject, reason: Reason) -> Outcome:
    return Outcome(True, (), (), subject.keys, reason, subject.asked)


def _other_types(subject: Subject, has: tuple[Type, ...]) -> Outcome:
    """NODATA, where there are records of these types."""
    if subject.qtype in has:  # as of endpoints whose labels are none
        has = tuple([rtype for rtype in has if rtype != subject.qtype])
    asked = subject.asked
    return Outcome(True, (), (), subject.keys, Reason.NO_SUCH_TYPE, asked, has=has)


def _found(
    subject: Subject, answer: Sequence[Record], additional: Sequence[Record] = ()
) -> Outcome:
    return Outcome(True, answer, additional, subject.keys, None, subject.asked)


# ---- the three shapes


def _external(view: View, subject: Subject, service: Service, below: Name) -> Outcome:
    if below:
        return _absent(subject, Reason.BELOW_EXTERNAL_NAME)
    target = external_target(service.external_name)
    if target is None:
        return _absent(subject, Reason.EXTERNAL_NAME_IS_ADDRESS)
    record = Record(subject.qname, Type.CNAME, view.ttl, target)
    follow = subject.qtype not in {Type.CNAME, Type.ANY}
    return Outcome(
        answer=(record,),
        keys=subject.keys,
        asked=subject.asked,
        target=target if follow else b"",
    )


def external_target(text: str) -> bytes | None:
    """The wire form of ``spec.externalName``; None when it is an address or no domain name."""
    if is_address(text):
        return None
    try:
        return wire_from_text(text.rstrip(".") + ".")
    except BadNameError:
        return None


def cluster_ip_records(view: View, subject: Subject, service: Service) -> Outcome:
    """The ClusterIPs, at the Service's name or at that of a port."""
    asked, qtype = subject.asked, subject.qtype
    ports: Sequence[Port | None] = service.ports or (None,)
    if asked.port is not None:
        ports = [port for port in ports if port_matches(asked, port)]
    packed = [pack(address) for address in service.cluster_ips]
    if not ports or not packed:
        return _missing_port(subject)
    if width := WIDTHS.get(qtype):
        answer = [
            Record(subject.qname, qtype, view.ttl, each) for each in packed if len(each) == width
        ]
        if answer:
            return _found(subject, tuple(answer))
    elif qtype == Type.SRV:
        # The weight shares 100 among the records, as in CoreDNS (specification 2.3.2 leaves it open).
        weight = max(100 // (len(ports) * len(packed)), 1)
        target = subject.service_name()
        numbers = dict.fromkeys([port.number for port in ports if port is not None])
        data = [rdata.srv(0, weight, number, target) for number in numbers]
        if data:
            answer = [Record(subject.qname, Type.SRV, view.ttl, each) for each in data]
            addresses = [packed_record(target, each, view.ttl) for each in packed]
            return _found(subject, tuple(answer), tuple(addresses))
    widths = [*map(len, packed)]
    has = types_at(ipv4=4 in widths, ipv6=16 in widths, ports=any(ports))
    return _other_types(subject, has)


def _endpoints(index: Index, view: View, subject: Subject, service: Service) -> Outcome:
    """The ready endpoints: all of a headless Service's, or those of one label or port."""
    asked = subject.asked
    if not view.endpoints:
        return _unwatched(subject, service)
    ready = index.ready_addresses(service.namespace, service.name, view.endpoint_pod_names)
    if found := matching(ready, asked):
        return endpoint_records(view, subject, found)
    if asked.endpoint:
        return _missing_endpoint(subject, service, ready)
    if asked.port is not None and ready:
        return _missing_port(subject)
    # Section 2.4.1: without a ready endpoint the answer should be NXDOMAIN
    return _absent(subject, Reason.NO_READY_ENDPOINT, _SLICES)


def _zonal(index: Index, view: View, subject: Subject, service: Service, below: Name) -> Outcome:
    """``ZONE.pin._zone`` and ``ZONE.prefer._zone``: only the endpoints of a topology zone."""
    pod_names = view.endpoint_pod_names
    ready = index.ready_addresses(service.namespace, service.name, pod_names)
    if not ready:
        return _absent(subject, Reason.NO_READY_ENDPOINT, _SLICES)
    mode = below[-2] if len(below) > 1 else ""
    if mode not in {"", "pin", "prefer"}:
        return _absent(subject, Reason.NO_SUCH_ENDPOINT)
    if len(below) < 3:
        return _empty(subject, Reason.EMPTY_NON_TERMINAL)
    zone = ".".join(below[:-2])
    near: list[Addresses] = []
    for piece in index.slices(service.namespace, service.name):
        endpoints = tuple([each for each in piece.endpoints if each.zone.lower() == zone])
        if endpoints:
            near += ready_addresses(replace(piece, endpoints=endpoints), pod_names)
    if not near and mode == "prefer":
        near = ready
    if near:
        return endpoint_records(view, subject, near)
    return _empty(subject, Reason.NO_ENDPOINT_IN_ZONE)


# ---- negatives


def _missing_port(subject: Subject) -> Outcome:
    if subject.asked.port is None:
        return _empty(subject, Reason.NO_SUCH_TYPE)
    return _absent(subject, Reason.NO_SUCH_PORT)


def _missing_endpoint(subject: Subject, service: Service, ready: Sequence[Addresses]) -> Outcome:
    asked = subject.asked
    is_cluster = not asked.cluster and any(each.cluster == asked.endpoint for each in ready)
    ports: Iterable[Port | None] = service.ports
    if service.headless:
        ports = (port for each in ready for port in each.ports)
    if is_cluster or _is_above_ports(subject, ports):
        return _empty(subject, Reason.EMPTY_NON_TERMINAL)
    return _absent(subject, Reason.NO_SUCH_ENDPOINT, _SLICES)


def _unwatched(subject: Subject, service: Service) -> Outcome:
    """The option ``noendpoints``; names of a ClusterIP Service's ports exist without endpoints."""
    if not service.headless and _is_above_ports(subject, service.ports):
        return _empty(subject, Reason.EMPTY_NON_TERMINAL)
    return _absent(subject, Reason.ENDPOINTS_NOT_WATCHED)


def _is_above_ports(subject: Subject, ports: Iterable[Port | None]) -> bool:
    """Whether the name is such as ``_tcp``: an empty non-terminal above SRV names (RFC 8020)."""
    protocol = subject.asked.endpoint.removeprefix("_")
    return protocol in PROTOCOLS and any(p and p.protocol == protocol and p.name for p in ports)


# ---- endpoints


def endpoint_records(view: View, subject: Subject, found: Sequence[Addresses]) -> Outcome:
    """What is answered where at least one endpoint was found."""
    qname, qtype, ttl = subject.qname, subject.qtype, view.ttl
    if qtype == Type.SRV:
        target = subject.service_name()
        if answer := srv_records(found, qname, ttl, target):
            return _found(subject, answer, target_records(found, ttl, target))
    elif records := address_records(found, qname, qtype, ttl):
        return _found(subject, records)
    return _other_types(subject, types_of(found))
