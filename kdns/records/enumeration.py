"""Every record of a cluster's zone, one after the other: for transfers, dumps and comparisons.

Made from the objects by the same steps that answer questions, in time linear in their number. Left out
is what has no end: labels that match any port (``_._tcp``), ``prefer._zone`` of zones without endpoints
and, with ``pods insecure``, addresses that no known Pod has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from kdns.records.apex import NAME_SERVER, NameServers, soa
from kdns.records.index import Index
from kdns.records.locations import (
    Location,
    address_record,
    cluster_locations,
    dashed,
    ready_locations,
)
from kdns.records.lookup import is_exposed, lookup, parse, shown
from kdns.records.objects import Endpoint, Service, Slice
from kdns.records.outcome import Asked, PodMode, View
from kdns.records.services import Subject, hides, located_records, service_records
from kdns.wire.constants import Type
from kdns.wire.message import Record
from kdns.wire.names import BadNameError, Name, from_wire, is_below, reverse, to_wire

_TYPES: Final = (Type.A, Type.AAAA, Type.SRV)
_ALL_PORTS: Final = Asked("svc")


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
    imported = zone in view.multicluster
    for below, places in _places(index, view, service, zonal=not imported).items():
        labels = (*below, *base)
        if qname := _asked((*labels, *zone)):
            for qtype in _TYPES:
                asked = parse(labels, clusterset=imported)
                subject = Subject(zone, qname, len(labels), qtype, asked)
                yield from located_records(view, subject, places).answer


def _places(
    index: Index, view: View, service: Service, *, zonal: bool
) -> dict[Name, list[Location]]:
    """What is found at each name below a Service, its own being ``()``.

    One walk over all endpoints: a look-up for each endpoint's name would look at all the others again.
    """
    ready = list(index.ready(service.namespace, service.name)) if view.endpoints else []
    endpoints = list(ready_locations(ready, _ALL_PORTS, view))
    found = defaultdict[Name, list[Location]](list)
    for place in endpoints if service.headless else cluster_locations(service, _ALL_PORTS):
        found[()].append(place)
        if place.port and place.port.name:
            found[f"_{place.port.name.lower()}", f"_{place.port.protocol}"].append(place)
    for place in endpoints:
        found[place.below].append(place)
    if zonal and view.zonal and service.headless:
        found |= _zonal(view, ready)
    return found


def _zonal(view: View, ready: Iterable[tuple[Slice, Endpoint]]) -> dict[Name, list[Location]]:
    near = defaultdict[str, list[tuple[Slice, Endpoint]]](list)
    for piece, endpoint in ready:
        near[endpoint.zone.lower()].append((piece, endpoint))
    found: dict[Name, list[Location]] = {}
    for zone, pairs in near.items():
        if places := list(ready_locations(pairs, _ALL_PORTS, view)):
            for mode in ("pin", "prefer"):
                found[*zone.split("."), mode, "_zone"] = places
    return found
