"""Every record of a cluster's zone, one after the other: for transfers, dumps and comparisons.

Made from the objects by the same steps that answer questions, in time linear in their number. Left out
is what has no end: labels that match any port (``_._tcp``), ``prefer._zone`` of zones without endpoints
and, with ``pods insecure``, addresses that no known Pod has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from msgspec.structs import replace

from kdns.records.apex import NAME_SERVER, NameServers, soa
from kdns.records.index import Index
from kdns.records.locations import Addresses, address_record, dashed, ready_addresses
from kdns.records.lookup import is_exposed, lookup, parse, shown
from kdns.records.objects import Endpoint, Port, Service
from kdns.records.outcome import PodMode, View
from kdns.records.services import (
    Subject,
    cluster_ip_records,
    endpoint_records,
    hides,
    service_records,
)
from kdns.wire.constants import Type
from kdns.wire.message import Record
from kdns.wire.names import BadNameError, Name, from_wire, is_below, reverse, to_wire

_TYPES: Final = (Type.A, Type.AAAA, Type.SRV)


def cluster_records(
    index: Index, view: View, local: tuple[str, ...], zone: Name
) -> Iterator[Record]:
    """The records of ``zone``, one of the view's: the SOA first, the rest in no order of names.

    The records of one name and type follow one another. ``local`` are this server's own addresses. The
    index must not change meanwhile: who pauses between records takes a ``copy`` of it.
    """
    inner = [each for each in view.zones if len(each) > len(zone) and is_below(each, zone)]
    for record in _all(index, view, local, zone):
        if not inner or not any(is_below(from_wire(record.owner), each) for each in inner):
            yield record


def _all(index: Index, view: View, local: tuple[str, ...], zone: Name) -> Iterator[Record]:
    yield from _apex(index, view, local, to_wire(zone))
    if zone[-1:] == ("arpa",):
        yield from _pointers(index, view, zone)
        return
    yield from _found(index, view, zone, ("dns-version", *zone), Type.TXT)
    index = shown(index, view, zone)
    for namespace, services in index.services.items():
        if is_exposed(index, view, namespace):
            for service in services.values():
                yield from _service(index, view, zone, service)
    if view.pods is not PodMode.DISABLED:
        yield from _pods(index, view, zone)


def _apex(index: Index, view: View, local: tuple[str, ...], zone: bytes) -> Iterator[Record]:
    servers = NameServers(shown(index, view, from_wire(zone)), view, local)
    yield soa(index, view, zone)
    yield from servers.records(zone, zone)[0]
    owner = to_wire(NAME_SERVER, zone)
    records = [address_record(owner, address, view.ttl) for address in servers.addresses()]
    yield from sorted(records, key=lambda record: record.rtype)


def _found(index: Index, view: View, zone: Name, name: Name, *qtypes: Type) -> Iterator[Record]:
    qname = _asked(name)
    if qname:
        for qtype in qtypes:
            yield from lookup(index, view, zone, qname, name, qtype).answer


def _asked(name: Name) -> bytes:
    """The wire form; b"" for what nobody can ask for: no name, or one that is not lower case."""
    try:
        wire = to_wire(name)
    except BadNameError:
        return b""
    return wire if from_wire(wire) == name else b""


def _pointers(index: Index, view: View, zone: Name) -> Iterator[Record]:
    for address in index.addresses():
        name = reverse(address)
        if is_below(name, zone):
            yield from _found(index, view, zone, name, Type.PTR)


def _pods(index: Index, view: View, zone: Name) -> Iterator[Record]:
    seen = {(pod.namespace, address) for pod in index.pods.values() for address in pod.ips}
    for namespace, address in sorted(seen):
        name = (dashed(address), namespace, "pod", *zone)
        yield from _found(index, view, zone, name, Type.A, Type.AAAA)


# ---- Services


def _service(index: Index, view: View, zone: Name, service: Service) -> Iterator[Record]:
    base = (service.name, service.namespace, "svc")
    if service.external_name:
        if qname := _asked((*base, *zone)):
            subject = Subject(zone, qname, len(base), Type.CNAME, parse(base))
            yield from service_records(index, view, subject, service, ()).answer
        return
    if hides(index, view, service):
        return
    at_endpoints = _endpoints(index, view, zone, service)
    names = [] if service.headless else [(), *dict.fromkeys(_port_names(service.ports))]
    for below in (*names, *at_endpoints):
        labels = (*below, *base)
        qname = _asked((*labels, *zone))
        asked = parse(labels, clusterset=zone in view.multicluster)
        for qtype in _TYPES if qname else ():
            subject = Subject(zone, qname, len(labels), qtype, asked)
            found = at_endpoints.get(below)
            if found is None:
                yield from cluster_ip_records(view, subject, service).answer
            else:
                yield from endpoint_records(view, subject, found).answer


_Found: TypeAlias = dict[Name, list[Addresses]]
"""The addresses at each name below a Service, its own being ``()``."""


def _endpoints(index: Index, view: View, zone: Name, service: Service) -> _Found:
    if not view.endpoints:
        return {}
    ready = index.ready_addresses(service.namespace, service.name, view.endpoint_pod_names)
    found = _at_endpoints(ready)
    if service.headless:
        found |= _at_service(ready)
        if view.zonal and zone not in view.multicluster:
            found |= _zonal(index, view, service)
    return found


def _port_names(ports: Iterable[Port | None]) -> list[Name]:
    """The labels of SRV names, port by port."""
    return [(f"_{port.name.lower()}", f"_{port.protocol}") for port in ports if port and port.name]


def _at_service(ready: Iterable[Addresses]) -> _Found:
    found = defaultdict[Name, list[Addresses]](list)
    for each in ready:
        found[()].append(each)
        for port in each.ports:
            for name in _port_names((port,)):
                found[name].append(each.with_ports((port,)))
    return found


def _at_endpoints(ready: Iterable[Addresses]) -> _Found:
    """One walk over all: a look-up for each endpoint's name would look at all slices again."""
    found = defaultdict[Name, list[Addresses]](list)
    for each in ready:
        for position, label in enumerate(each.names()):
            below = (label, each.cluster) if each.cluster else (label,)
            found[below].append(each.at(position))
    return found


def _zonal(index: Index, view: View, service: Service) -> _Found:
    found = defaultdict[Name, list[Addresses]](list)
    for piece in index.slices(service.namespace, service.name):
        near = defaultdict[str, list[Endpoint]](list)
        for endpoint in piece.endpoints:
            near[endpoint.zone.lower()].append(endpoint)
        for zone, endpoints in near.items():
            part = replace(piece, endpoints=tuple(endpoints))
            if addresses := ready_addresses(part, view.endpoint_pod_names):
                for mode in ("pin", "prefer"):
                    found[*zone.split("."), mode, "_zone"] += addresses
    return found
