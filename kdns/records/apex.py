"""The zone's own records: SOA, NS, and the addresses of the name servers (RFC 1035 section 3.3.13)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Final

from kdns.records.index import Index
from kdns.records.locations import address_record, endpoint_label
from kdns.records.lookup import is_exposed
from kdns.records.objects import Service, Slice
from kdns.records.outcome import View
from kdns.wire import rdata
from kdns.wire.constants import Type
from kdns.wire.message import Key, Record
from kdns.wire.names import BadNameError, to_wire

# The peer's values: secondaries of the zone see the same SOA from either server.
_REFRESH: Final = 7200
_RETRY: Final = 1800
_EXPIRE: Final = 86400
_MAX_SOA_TTL: Final = 300
_ARPA: Final = to_wire(("arpa",))

NAME_SERVER: Final = ("ns", "dns")
"""The name below the zone that stands for this server when no Service does."""


def soa(index: Index, view: View, zone: bytes) -> Record:
    """The SOA of a zone whose wire form is ``zone``; also what says how long a negative answer lasts.

    RFC 2308 section 5: the negative TTL is the lesser of the record's own TTL and its last field.
    """
    return _soa(zone, index.serial, view.ttl)


@lru_cache(maxsize=256)  # every negative answer has it; a zone is asked for in few letter cases
def _soa(zone: bytes, serial: int, ttl: int) -> Record:
    data = rdata.soa(
        to_wire(NAME_SERVER, zone),
        to_wire(("hostmaster",), zone),
        serial,
        (_REFRESH, _RETRY, _EXPIRE, ttl),
    )
    return Record(zone, Type.SOA, min(ttl, _MAX_SOA_TTL), data)


class NameServers:
    """Who serves the zone: the Services that this server's own addresses are endpoints of, or itself."""

    def __init__(self, index: Index, view: View, local: tuple[str, ...]) -> None:
        self.index, self.view, self.local = index, view, local

    def keys(self) -> tuple[Key, ...]:
        """What the name servers depend on: also Services that are not there yet, or not exposed."""
        keys: dict[Key, None] = {}
        for address in self.local:
            keys["ip", address] = None
            for piece in self.index.slices_at(address):
                keys["ns", piece.namespace] = None
                keys["svc", piece.namespace, piece.service] = None
        return tuple(keys)

    def records(self, zone: bytes, owner: bytes) -> tuple[tuple[Record, ...], tuple[Record, ...]]:
        """The NS records and their addresses, each once."""
        names: dict[bytes, Record] = {}
        addresses: dict[tuple[bytes, str], Record] = {}
        for target, address in self._targets(zone):
            names.setdefault(target, Record(owner, Type.NS, self.view.ttl, target))
            record = address_record(target, address, self.view.ttl)
            addresses.setdefault((target, address), record)
        return tuple(names.values()), tuple(addresses.values())

    def addresses(self) -> list[str]:
        """Where ``ns.dns`` leads: the ClusterIPs of this server's Services, or its own addresses."""
        found = [a for *_, service, _, _ in self._through_services() for a in service.cluster_ips]
        return list(dict.fromkeys(found or self.local))

    def _targets(self, zone: bytes) -> list[tuple[bytes, str]]:
        """Names with their addresses; those of Services are in the primary zone for a reverse one."""
        reverse = zone.lower().endswith(_ARPA)
        services = to_wire(self.view.primary) if reverse else zone
        found = []
        for namespace, name, service, label, address in self._through_services():
            labels = (name, namespace, "svc")
            with suppress(BadNameError):  # a host name that is no label: nothing that can be told
                if service.headless:
                    found.append((to_wire((label, *labels), services), address))
                found += [(to_wire(labels, services), each) for each in service.cluster_ips]
        return found or [(to_wire(NAME_SERVER, zone), address) for address in self.local]

    def _through_services(self) -> Iterator[tuple[str, str, Service, str, str]]:
        """Namespace, name, Service, endpoint label and address of each endpoint that is this server."""
        for address in self.local:
            for piece in self.index.slices_at(address):
                service = self._exposed_service(piece)
                if service is None:
                    continue
                for endpoint in piece.endpoints:
                    if endpoint.ready and address in endpoint.addresses:
                        label = endpoint_label(endpoint, address, self.view.endpoint_pod_names)
                        yield service.namespace, service.name, service, label, address

    def _exposed_service(self, piece: Slice) -> Service | None:
        if not is_exposed(self.index, self.view, piece.namespace):
            return None
        return self.index.service(piece.namespace, piece.service)
