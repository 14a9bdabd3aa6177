"""The records of one Service (Kubernetes DNS specification 1.1.0, sections 2.3 to 2.5).

Three shapes: a cluster Service has its ClusterIPs, a headless one its ready endpoints, an ExternalName
a CNAME. The names below it are an endpoint's label, ``_port._proto``, and with ``zonal`` a zone's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

from kdns.records.index import Index
from kdns.records.locations import (
    Location,
    address_record,
    cluster_locations,
    pack,
    ready_locations,
    types_at,
)
from kdns.records.objects import Endpoint, Kind, Port, Service, Slice
from kdns.records.outcome import Asked, Outcome, Reason, View
from kdns.wire import rdata
from kdns.wire.constants import Type
from kdns.wire.message import Record
from kdns.wire.names import BadNameError, Name, is_address, skip, to_wire, wire_from_text

PROTOCOLS: Final = frozenset({"tcp", "udp", "sctp"})
_SLICES: Final = (Kind.SLICE,)


class Subject(Struct, frozen=True):
    """The question, as far as the records of a Service depend on it."""

    zone: Name
    qname: bytes
    depth: int
    """Number of labels left of the zone."""
    qtype: int
    asked: Asked

    def below_zone(self, labels: Name) -> bytes:
        """A name in the zone, whose part of it is written as the asker did."""
        return to_wire(labels, skip(self.qname, self.depth))


def service_records(
    index: Index, view: View, subject: Subject, service: Service, below: Name
) -> Outcome:
    """What is at the Service's name, or ``below`` it."""
    if service.external_name:
        return _external(view, subject, service, below)
    if hides(index, view, service):
        return _no_endpoints(view)
    has_zones = view.zonal and service.headless and subject.zone not in view.multicluster
    if has_zones and below[-1:] == ("_zone",):
        return _zonal(index, view, subject, service, below)
    if len(below) > 2:
        return _absent(Reason.NO_SUCH_ENDPOINT)
    if service.headless or subject.asked.endpoint:
        return _headless(index, view, subject, service)
    return _cluster(view, subject, service)


def hides(index: Index, view: View, service: Service) -> bool:
    """Whether ``ignore empty_service`` makes it as good as missing."""
    if not view.ignore_empty or service.headless:
        return False
    return next(index.ready(service.namespace, service.name), None) is None


def _no_endpoints(view: View) -> Outcome:
    if not view.endpoints:  # as with the peer, a Service is then as good as empty
        return _absent(Reason.ENDPOINTS_NOT_WATCHED)
    return _absent(Reason.NO_READY_ENDPOINT, _SLICES)


def _absent(reason: Reason, needs: tuple[Kind, ...] = ()) -> Outcome:
    return Outcome(exists=False, reason=reason, needs=needs)


def _empty(reason: Reason = Reason.NO_SUCH_TYPE) -> Outcome:
    return Outcome(reason=reason)


# ---- the three shapes


def _external(view: View, subject: Subject, service: Service, below: Name) -> Outcome:
    if below:
        return _absent(Reason.BELOW_EXTERNAL_NAME)
    target = external_target(service.external_name)
    if target is None:
        return _absent(Reason.EXTERNAL_NAME_IS_ADDRESS)
    record = Record(subject.qname, Type.CNAME, view.ttl, target)
    follow = subject.qtype not in {Type.CNAME, Type.ANY}
    return Outcome(answer=(record,), target=target if follow else b"")


def external_target(text: str) -> bytes | None:
    """The wire form of ``spec.externalName``; None when it is an address or no domain name."""
    if is_address(text):
        return None
    try:
        return wire_from_text(text.rstrip(".") + ".")
    except BadNameError:
        return None


def _cluster(view: View, subject: Subject, service: Service) -> Outcome:
    found = cluster_locations(service, subject.asked)
    if not found:
        return _missing_port(subject)
    return located_records(view, subject, found)


def _headless(index: Index, view: View, subject: Subject, service: Service) -> Outcome:
    asked = subject.asked
    if not view.endpoints:
        return _unwatched(subject, service)
    ready = list(index.ready(service.namespace, service.name))
    found = list(ready_locations(ready, asked, view))
    if found:
        return located_records(view, subject, found)
    if asked.endpoint:
        return _missing_endpoint(subject, service, ready)
    if asked.port is not None and ready:
        return _missing_port(subject)
    # Section 2.4.1: without a ready endpoint the answer should be NXDOMAIN
    return _absent(Reason.NO_READY_ENDPOINT, _SLICES)


def _zonal(index: Index, view: View, subject: Subject, service: Service, below: Name) -> Outcome:
    """``ZONE.pin._zone`` and ``ZONE.prefer._zone``: only the endpoints of a topology zone."""
    ready = list(index.ready(service.namespace, service.name))
    if not ready:
        return _absent(Reason.NO_READY_ENDPOINT, _SLICES)
    mode = below[-2] if len(below) > 1 else ""
    if mode not in {"", "pin", "prefer"}:
        return _absent(Reason.NO_SUCH_ENDPOINT)
    if len(below) < 3:
        return _empty(Reason.EMPTY_NON_TERMINAL)
    zone = ".".join(below[:-2])
    near = [(piece, endpoint) for piece, endpoint in ready if endpoint.zone.lower() == zone]
    if not near and mode == "prefer":
        near = ready
    found = list(ready_locations(near, Asked("svc"), view))
    return located_records(view, subject, found) if found else _empty(Reason.NO_ENDPOINT_IN_ZONE)


# ---- negatives


def _missing_port(subject: Subject) -> Outcome:
    return _empty() if subject.asked.port is None else _absent(Reason.NO_SUCH_PORT)


def _missing_endpoint(
    subject: Subject, service: Service, ready: list[tuple[Slice, Endpoint]]
) -> Outcome:
    ports = _ports(piece for piece, _ in ready) if service.headless else service.ports
    asked = subject.asked
    is_cluster = not asked.cluster and any(p.cluster.lower() == asked.endpoint for p, _ in ready)
    if is_cluster or _is_above_ports(subject, ports):
        return _empty(Reason.EMPTY_NON_TERMINAL)
    return _absent(Reason.NO_SUCH_ENDPOINT, _SLICES)


def _unwatched(subject: Subject, service: Service) -> Outcome:
    """The option ``noendpoints``; names of a ClusterIP Service's ports exist without endpoints."""
    if not service.headless and _is_above_ports(subject, service.ports):
        return _empty(Reason.EMPTY_NON_TERMINAL)
    return _absent(Reason.ENDPOINTS_NOT_WATCHED)


def _is_above_ports(subject: Subject, ports: Iterable[Port]) -> bool:
    """Whether the name is such as ``_tcp``: an empty non-terminal above SRV names (RFC 8020)."""
    protocol = subject.asked.endpoint.removeprefix("_")
    return protocol in PROTOCOLS and any(p.protocol == protocol and p.name for p in ports)


def _ports(pieces: Iterable[Slice]) -> Iterator[Port]:
    return (port for piece in pieces for port in piece.ports)


# ---- records


def located_records(view: View, subject: Subject, found: list[Location]) -> Outcome:
    """What is answered where at least one place was found."""
    match subject.qtype:
        case Type.A | Type.AAAA:
            records = _addresses(view, subject, found)
            return Outcome(answer=records) if records else _other_types(subject, found)
        case Type.SRV:
            return _locators(view, subject, found)
        case _:
            return _other_types(subject, found)


def _other_types(subject: Subject, found: list[Location]) -> Outcome:
    """NODATA, where there are records of another type."""
    ports = any(location.port is not None for location in found)
    types = types_at([location.address for location in found], ports)
    has = tuple([kind for kind in types if kind != subject.qtype])
    return Outcome(reason=Reason.NO_SUCH_TYPE, has=has)


def _addresses(view: View, subject: Subject, found: list[Location]) -> tuple[Record, ...]:
    """A or AAAA records, each address once."""
    wanted = {location.address: None for location in found}
    return tuple(
        [
            Record(subject.qname, subject.qtype, view.ttl, packed)
            for address in wanted
            if len(packed := pack(address)) == (4 if subject.qtype == Type.A else 16)
        ]
    )


def _locators(view: View, subject: Subject, found: list[Location]) -> Outcome:
    """SRV records with the addresses of their targets (RFC 2782).

    The weight shares 100 among the records before duplicates go (specification 2.3.2 leaves it open;
    this is the peer's). A Service without ports has none, but its share counts.
    """
    weight = max(100 // len(found), 1)
    asked = subject.asked
    answer: dict[bytes, Record] = {}
    additional: dict[tuple[bytes, str], Record] = {}
    for location in found:
        if location.port is None:
            continue
        labels: Name = (asked.service, asked.namespace, "svc")
        if location.label:
            labels = (*location.below, *labels)
        try:
            target = subject.below_zone(labels)
        except BadNameError:
            continue
        data = rdata.srv(0, weight, location.port.number, target)
        answer.setdefault(data, Record(subject.qname, Type.SRV, view.ttl, data))
        record = address_record(target, location.address, view.ttl)
        additional.setdefault((target, location.address), record)
    if not answer:
        return _other_types(subject, found)
    return Outcome(answer=tuple(answer.values()), additional=tuple(additional.values()))
