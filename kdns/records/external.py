"""Names of Services for askers outside the cluster: ``web.shop.example.org`` and its reverse.

Data are the external addresses of a Service: ``spec.externalIPs`` and what its load balancer got. For
Services that have none, options show what else there is: endpoints, node ports, the target of an
ExternalName. Pure, like ``lookup``, whose sister it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from kdns.records import reachable
from kdns.records.endpoint_records import (
    address_records,
    srv_records,
    target_records,
    types_of,
)
from kdns.records.explain import listed, no_such_type
from kdns.records.holders import outside
from kdns.records.index import Index
from kdns.records.locations import Addresses, address_record, pack, types_at
from kdns.records.lookup import APEX_TYPES, is_exposed
from kdns.records.objects import Kind, Port, Service
from kdns.records.outcome import Asked, View
from kdns.records.reachable import Place, Shown
from kdns.records.services import external_target
from kdns.wire import rdata
from kdns.wire.constants import Type
from kdns.wire.message import Key, Record
from kdns.wire.names import Name, address_of, is_address, skip, to_wire

_TIMES: Final = (7200, 1800, 86400)
"""Refresh, retry and expire of the SOA in seconds; the peer's."""
_SERVER: Final = "ns1"
_MASTER: Final = "hostmaster"


class Found(Struct, frozen=True):
    """The result of one look-up."""

    exists: bool = True
    answer: Sequence[Record] = ()
    additional: Sequence[Record] = ()
    keys: tuple[Key, ...] = ()
    why: str = ""
    """Why there is no answer."""
    missing: Asked | None = None
    """Likewise: the Service or namespace that is not there."""
    needs: tuple[Kind, ...] = ()
    """Kinds that must be synced before a negative result is the truth."""
    target: bytes = b""
    """Where an alias in ``answer`` leads."""
    note: str = ""
    """What is to be known of the answer."""
    hosts: tuple[bytes, ...] = ()
    """Names that SRV records lead to, whose addresses are not known here."""


class External:
    """The look-ups in one cluster. ``local`` are this server's own addresses."""

    def __init__(self, index: Index, view: View, shown: Shown, local: tuple[str, ...]) -> None:
        self.index, self.view, self.shown, self.local = index, view, shown, local

    def soa(self, zone: bytes) -> Record:
        """The SOA of a zone whose wire form is ``zone``."""
        data = rdata.soa(
            to_wire((_SERVER, *self.shown.apex), zone),
            to_wire((_MASTER, *self.shown.apex), zone),
            self.index.serial,
            (*_TIMES, self.shown.ttl),
        )
        return Record(zone, Type.SOA, self.shown.ttl, data)

    def look_up(self, zone: Name, qname: bytes, name: Name, qtype: int) -> Found:
        """Records of ``qtype`` at ``name``, which lies in ``zone``; owners echo ``qname``."""
        labels = name[: len(name) - len(zone)]
        apex = self.shown.apex
        origin = skip(qname, len(labels))
        if not labels:
            return self._apex(origin, qname, qtype)
        if labels[-len(apex) :] == apex:
            return self._server(labels[: -len(apex)], qname, qtype)
        if (address := address_of(name)) is not None:
            return self._reverse(address, qname, qtype)
        return self._service(labels, origin, qname, qtype)

    # ---- the zone itself

    def _apex(self, origin: bytes, qname: bytes, qtype: int) -> Found:
        if qtype == Type.SOA:
            return Found(answer=(self.soa(origin),), keys=(("serial",),))
        if qtype != Type.NS:
            return Found(why=no_such_type(APEX_TYPES))
        target = to_wire((_SERVER, *self.shown.apex), origin)
        addresses, keys = self._own_addresses()
        additional = [record for a in addresses for record in self._address(target, a, None)]
        record = Record(qname, Type.NS, self.shown.ttl, target)
        return Found(answer=(record,), additional=tuple(additional), keys=keys)

    def _server(self, rest: Name, qname: bytes, qtype: int) -> Found:
        if not rest:
            return Found(why="only names below this one have records")
        if rest != (_SERVER,):
            return Found(exists=False, why="no such name at the zone's servers")
        addresses, keys = self._own_addresses()
        records = [record for a in addresses for record in self._address(qname, a, qtype)]
        return Found(answer=tuple(records), keys=keys, why="the server has no such address")

    def _own_addresses(self) -> tuple[list[str], tuple[Key, ...]]:
        """Where this server is reached from outside: through its Services, or by its addresses."""
        keys: list[Key] = [("ip", address) for address in self.local]
        found: dict[str, None] = {}
        pieces = [piece for address in self.local for piece in self.index.slices_at(address)]
        for piece in pieces:
            keys.append(("svc", piece.namespace, piece.service))
            service = self.index.service(piece.namespace, piece.service)
            if service is None:
                continue
            if service.headless and self.shown.headless:
                found.update((a, None) for e in piece.endpoints if e.ready for a in e.addresses)
            else:
                found.update((host, None) for host in outside(service) if is_address(host))
        return list(found if pieces else dict.fromkeys(self.local)), tuple(keys)

    # ---- reverse

    def _reverse(self, address: str, qname: bytes, qtype: int) -> Found:
        keys: list[Key] = [("ip", address)]
        targets: dict[bytes, None] = {}
        found = self.index.services_outside(address)
        for service in sorted(found, key=lambda service: (service.namespace, service.name)):
            keys.append(("ns", service.namespace))
            if is_exposed(self.index, self.view, service.namespace):
                names = (service.name, service.namespace, *self.shown.primary)
                targets[to_wire(names)] = None
        if not targets:
            why = f"no Service has the external address {address}"
            return Found(exists=False, keys=tuple(keys), why=why, needs=(Kind.SERVICE,))
        records = [Record(qname, Type.PTR, self.shown.ttl, target) for target in targets]
        if qtype != Type.PTR:
            return Found(keys=tuple(keys), why=no_such_type((Type.PTR,)))
        return Found(answer=tuple(records), keys=tuple(keys))

    # ---- Services

    def _service(self, labels: Name, origin: bytes, qname: bytes, qtype: int) -> Found:
        namespace, rest = labels[-1], labels[:-1]
        key: Key = ("ns", namespace)
        if not is_exposed(self.index, self.view, namespace):
            missing = Asked("svc", namespace)
            return Found(exists=False, keys=(key,), missing=missing, needs=(Kind.NAMESPACE,))
        if not rest:
            return Found(keys=(key,), why="only names below this one have records")
        keys: tuple[Key, ...] = (key, ("svc", namespace, rest[-1]))
        service = self.index.service(namespace, rest[-1])
        if service is None:
            missing = Asked("svc", namespace, rest[-1])
            return Found(exists=False, keys=keys, missing=missing, needs=(Kind.SERVICE,))
        by_nodes = self.shown.node_ports and not outside(service)
        if by_nodes:
            keys += (("nodes",),)
        below = rest[:-1]
        ready = reachable.endpoints(self.index, self.view, self.shown, service)
        if endpoints := reachable.endpoints_at(ready, service, below):
            return self._endpoints(service, endpoints, origin, qname, qtype, keys)
        places = reachable.places(self.index, self.shown, service)
        matching = [place for place in places if reachable.matches(place, below)]
        if not matching:
            ports = [port for each in ready for port in each.ports]
            ports += [place.port for place in places]
            return self._nothing(service, ports, below, keys)
        if qtype == Type.SRV:
            return self._locators(service, matching, origin, qname, keys)
        found = self._addresses(matching, qname, qtype, keys)
        return replace(found, note=reachable.node_ports(service)) if by_nodes else found

    def _endpoints(
        self,
        service: Service,
        found: list[Addresses],
        origin: bytes,
        qname: bytes,
        qtype: int,
        keys: tuple[Key, ...],
    ) -> Found:
        ttl = self.shown.ttl
        if qtype == Type.SRV:
            target = to_wire((service.name, service.namespace), origin)
            answer = srv_records(found, qname, ttl, target)
            additional = target_records(found, ttl, target) if answer else ()
            return Found(True, answer, additional, keys, "the Service has no ports")
        why = no_such_type(types_of(found))
        return Found(answer=address_records(found, qname, qtype, ttl), keys=keys, why=why)

    def _nothing(
        self, service: Service, had: list[Port | None], below: Name, keys: tuple[Key, ...]
    ) -> Found:
        """Where nothing is found; ``had`` are the ports of what is found elsewhere."""
        name = f"{service.namespace}/{service.name}"
        if not had:
            why = f"Service {name} has no external address"
            needs = (Kind.SLICE, Kind.NODE) if self.shown.node_ports else (Kind.SLICE,)
            if self.shown.node_ports:
                no_node = reachable.node_ports(service) != ""
                why += " and no node is ready" if no_node else " and no node port"
            return Found(exists=False, keys=keys, why=why, needs=needs)
        protocols = {f"_{port.protocol}" for port in had if port}
        if len(below) == 1 and below[0] in protocols:
            return Found(keys=keys, why="only names below this one have records")
        why = f"Service {name} has no such port or endpoint"
        ports = dict.fromkeys(port for port in had if port and port.name)
        if ports:
            why += f"; it has {listed([f'_{port.name}._{port.protocol}' for port in ports])}"
        return Found(exists=False, keys=keys, why=why)

    # ---- records

    def _addresses(
        self, places: list[Place], qname: bytes, qtype: int, keys: tuple[Key, ...]
    ) -> Found:
        hosts = list(dict.fromkeys(place.host for place in places))
        if not is_address(hosts[0]) and (target := external_target(hosts[0])):
            record = Record(qname, Type.CNAME, self.shown.ttl, target)
            follow = qtype not in {Type.CNAME, Type.ANY}
            return Found(answer=(record,), keys=keys, target=target if follow else b"")
        records = [record for host in hosts for record in self._address(qname, host, qtype)]
        if records:
            return Found(answer=tuple(records), keys=keys)
        reached = [place for place in places if is_address(place.host)]
        widths = {len(pack(place.host)) for place in reached}
        ports = any(place.port for place in reached)
        types = types_at(ipv4=4 in widths, ipv6=16 in widths, ports=ports)
        return Found(keys=keys, why=no_such_type(types))

    def _address(self, owner: bytes, host: str, qtype: int | None) -> Iterator[Record]:
        """An A or AAAA record; nothing for a host name, or where the type is another."""
        if is_address(host):
            record = address_record(owner, host, self.shown.ttl)
            if qtype in {record.rtype, None}:
                yield record

    def _locators(
        self,
        service: Service,
        places: list[Place],
        origin: bytes,
        qname: bytes,
        keys: tuple[Key, ...],
    ) -> Found:
        """SRV records, each once; the weight shares 100 among them, as inside the cluster."""
        weight = max(100 // len(places), 1)
        answer: dict[Record, None] = {}
        additional: dict[Record, None] = {}
        hosts: dict[bytes, None] = {}
        for place in places:
            target = self._target(service, place, origin)
            if place.port is None or target is None:
                continue
            data = rdata.srv(0, weight, place.port.number, target)
            answer[Record(qname, Type.SRV, self.shown.ttl, data)] = None
            additional.update((one, None) for one in self._address(target, place.host, None))
            if not is_address(place.host):
                hosts[target] = None
        why = "the Service has no ports"
        return Found(True, tuple(answer), tuple(additional), keys, why, hosts=tuple(hosts))

    @staticmethod
    def _target(service: Service, place: Place, origin: bytes) -> bytes | None:
        if not is_address(place.host):
            return external_target(place.host)
        return to_wire((service.name, service.namespace), origin)
