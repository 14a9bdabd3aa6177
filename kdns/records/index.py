"""What the cluster holds, arranged for look-ups by name and by address.

The index holds Services, not names: ``lookup`` takes a name apart and finds the object. ``apply`` costs
as much as the changed object, whatever the size of the cluster, and returns the keys of what changed,
so that kept answers that depend on it can be dropped. Objects are found both ways, by what they are
called and by the addresses they have, and forgetting one costs only its own entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias, TypeVar

from kdns.records.holders import Id, Prefixes, differences, move
from kdns.records.objects import (
    Change,
    Endpoint,
    Gone,
    Kind,
    Namespace,
    Node,
    Object,
    Pod,
    Put,
    Replaced,
    Service,
    Slice,
)
from kdns.wire.message import Key

Endpoints: TypeAlias = tuple[Endpoint, ...]
_Found = TypeVar("_Found", Service, Pod)


class Index:
    """One cluster's objects. Readers use the properties and finders; only ``apply`` changes it."""

    def __init__(self) -> None:
        self.serial = 0
        """Unix time of the last change that matters to DNS; 0 before any."""
        self.synced: set[Kind] = set()
        """Kinds of which a whole list has been seen."""
        self.namespaces: dict[str, Namespace] = {}
        self.services: dict[str, dict[str, Service]] = {}
        self.pods: dict[Id, Pod] = {}
        self.nodes: dict[str, Node] = {}
        self._slices: dict[Id, Slice] = {}
        self._service_slices: dict[Id, tuple[Slice, ...]] = {}
        self._named: dict[str, tuple[str, ...]] = {}
        self._service_ips: dict[str, tuple[Id, ...]] = {}
        self._external_ips: dict[str, tuple[Id, ...]] = {}
        self._slice_ips: dict[str, tuple[Id, ...]] = {}
        self._pod_ips: dict[str, tuple[Id, ...]] = {}
        self._prefixes = Prefixes()

    # ---- finders

    def service(self, namespace: str, name: str) -> Service | None:
        return self.services.get(namespace, {}).get(name)

    def slices(self, namespace: str, service: str) -> Iterable[Slice]:
        """The EndpointSlices labelled with this Service, whether or not it exists."""
        return self._service_slices.get((namespace, service), ())

    def ready(self, namespace: str, service: str) -> Iterator[tuple[Slice, Endpoint]]:
        """The ready endpoints of a Service, each with its slice."""
        for piece in self.slices(namespace, service):
            for endpoint in piece.endpoints:
                if endpoint.ready:
                    yield piece, endpoint

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

    def copy(self) -> Index:
        """An index with the same objects, for who reads on while this one changes."""
        other = Index()
        for name, held in vars(self).items():
            fresh = held.copy() if isinstance(held, (dict, set)) else held
            if isinstance(fresh, dict):
                fresh |= {key: each.copy() for key, each in fresh.items() if type(each) is dict}
            setattr(other, name, fresh)
        return other

    # ---- changes

    def apply(self, change: Change, now: float) -> set[Key]:
        """Take a change in and return the keys of all that is different now; empty if nothing is."""
        keys: set[Key] = set()
        match change:
            case Put(item):
                self._put(item, keys)
            case Gone(kind, namespace, name):
                self._remove(kind, (namespace, name), keys)
            case Replaced(kind, items):
                self._replace(kind, items, keys)
        if keys:
            self.serial = max(self.serial, int(now))
            keys.add(("serial",))
        return keys

    def _replace(self, kind: Kind, items: Iterable[Object], keys: set[Key]) -> None:
        if kind not in self.synced:
            self.synced.add(kind)
            keys.add(("synced",))
        stale = {_id(item) for item in self.objects(kind)}
        for item in items:
            stale.discard(_id(item))
            self._put(item, keys)
        for key in stale:
            self._remove(kind, key, keys)

    def _put(self, item: Object, keys: set[Key]) -> None:
        match item:
            case Service():
                self._put_service(item, keys)
            case Slice():
                self._put_slice(item, keys)
            case Pod():
                self._put_pod(item, keys)
            case Namespace(name):
                if name not in self.namespaces:
                    self.namespaces[name] = item
                    keys.update((("ns", name), ("namespaces",)))
            case Node(name):
                if self.nodes.get(name) != item:
                    self.nodes[name] = item
                    keys.add(("nodes",))

    def _remove(self, kind: Kind, key: Id, keys: set[Key]) -> None:
        match kind:
            case Kind.SERVICE:
                self._remove_service(key, keys)
            case Kind.SLICE:
                self._remove_slice(key, keys)
            case Kind.POD:
                self._remove_pod(key, keys)
            case Kind.NAMESPACE:
                if self.namespaces.pop(key[1], None):
                    keys.update((("ns", key[1]), ("namespaces",)))
            case Kind.NODE:
                if self.nodes.pop(key[1], None):
                    keys.add(("nodes",))

    # ---- Services

    def _put_service(self, new: Service, keys: set[Key]) -> None:
        names = self.services.setdefault(new.namespace, {})
        old = names.get(new.name)
        if old == new:
            return
        names[new.name] = new
        if old is None:
            self._named[new.name] = (*self._named.get(new.name, ()), new.namespace)
            keys.update((("names", new.namespace), ("named", new.name)))
        keys.add(("svc", new.namespace, new.name))
        gone, come = differences(old.cluster_ips if old else (), new.cluster_ips)
        move(self._service_ips, _id(new), gone, come)
        self._prefixes.count(gone, come, keys)
        self._move_outside(_id(new), outside(old) if old else (), outside(new), keys)

    def _remove_service(self, key: Id, keys: set[Key]) -> None:
        namespace, name = key
        old = self.services.get(namespace, {}).pop(name, None)
        if old is None:
            return
        if not self.services[namespace]:
            del self.services[namespace]
        rest = tuple(other for other in self._named[name] if other != namespace)
        if rest:
            self._named[name] = rest
        else:
            del self._named[name]
        keys.update((("names", namespace), ("named", name), ("svc", namespace, name)))
        gone, come = differences(old.cluster_ips, ())
        move(self._service_ips, key, gone, come)
        self._prefixes.count(gone, come, keys)
        self._move_outside(key, outside(old), (), keys)

    def _move_outside(
        self, key: Id, old: tuple[str, ...], new: tuple[str, ...], keys: set[Key]
    ) -> None:
        if old != new:
            gone, come = differences(old, new)
            move(self._external_ips, key, gone, come)
            keys.update([("ip", address) for address in gone | come])

    # ---- EndpointSlices

    def _put_slice(self, new: Slice, keys: set[Key]) -> None:
        key = _id(new)
        old = self._slices.get(key)
        if old == new:
            return
        if old is not None and old.service != new.service:
            self._remove_slice(key, keys)
            old = None
        self._slices[key] = new
        owner = (new.namespace, new.service)
        pieces = self._service_slices.get(owner, ())
        if old is None:
            self._service_slices[owner] = (*pieces, new)
        else:
            self._service_slices[owner] = tuple([new if p is old else p for p in pieces])
        if old is None or old.endpoints != new.endpoints or old.ports != new.ports:
            keys.add(("svc", *owner))
            self._move_endpoints(key, old.endpoints if old else (), new.endpoints, keys)

    def _remove_slice(self, key: Id, keys: set[Key]) -> None:
        old = self._slices.pop(key, None)
        if old is None:
            return
        owner = (old.namespace, old.service)
        rest = tuple([piece for piece in self._service_slices[owner] if piece is not old])
        if rest:
            self._service_slices[owner] = rest
        else:
            del self._service_slices[owner]
        keys.add(("svc", *owner))
        self._move_endpoints(key, old.endpoints, (), keys)

    def _move_endpoints(self, key: Id, old: Endpoints, new: Endpoints, keys: set[Key]) -> None:
        for endpoint in _changed(old, new):  # also those that only changed readiness or host name
            keys.update([("ip", address) for address in endpoint.addresses])
        gone, come = differences(_addresses(old), _addresses(new))
        move(self._slice_ips, key, gone, come)
        self._prefixes.count(gone, come, keys)

    # ---- Pods

    def _put_pod(self, new: Pod, keys: set[Key]) -> None:
        key = _id(new)
        old = self.pods.get(key)
        if old == new:
            return
        self.pods[key] = new
        was = old.ips if old else ()
        move(self._pod_ips, key, *differences(was, new.ips))
        keys.update([("pod", address) for address in {*was, *new.ips}])

    def _remove_pod(self, key: Id, keys: set[Key]) -> None:
        old = self.pods.pop(key, None)
        if old is not None:
            move(self._pod_ips, key, *differences(old.ips, ()))
            keys.update([("pod", address) for address in old.ips])


def outside(service: Service) -> tuple[str, ...]:
    """Where a Service is reached from outside the cluster: addresses, and names of load balancers."""
    return (*service.external_ips, *service.ingress)


def _id(item: Object) -> Id:
    if isinstance(item, Namespace | Node):
        return "", item.name
    return item.namespace, item.name


def _addresses(endpoints: Endpoints) -> list[str]:
    return [address for endpoint in endpoints for address in endpoint.addresses]


def _changed(old: Endpoints, new: Endpoints) -> set[Endpoint]:
    """The endpoints that are in one of the two, wherever.

    Mostly one of many has changed and the others are where they were: what is equal at the beginning
    and at the end is passed over, since comparing costs less than hashing.
    """
    first = last = 0
    shorter = min(len(old), len(new))
    while first < shorter and old[first] == new[first]:
        first += 1
    while last < shorter - first and old[-1 - last] == new[-1 - last]:
        last += 1
    return {*old[first : len(old) - last]} ^ {*new[first : len(new) - last]}
