"""What the cluster holds, arranged for look-ups by name and by address.

The index holds Services, not names: ``lookup`` takes a name apart and finds the object. ``apply`` costs
as much as the changed object, whatever the size of the cluster, and returns the keys of what changed,
so that kept answers that depend on it can be dropped. Forgetting an object costs only its own entries.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from kdns.records import holders
from kdns.records.holders import Endpoints, Id, identity
from kdns.records.inventory import Inventory
from kdns.records.objects import (
    Change,
    Gone,
    Import,
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

MANY_SLICES: Final = 4
"""A Service with more has its addresses packed as they come, since its first query would wait for all."""


class Index(Inventory):
    """One cluster's objects. Only ``apply`` changes them."""

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
            self.serial = self.clusterset.serial = max(self.serial, int(now))
            keys.add(("serial",))
        return keys

    def _replace(self, kind: Kind, items: Iterable[Object], keys: set[Key]) -> None:
        if kind not in self.synced:
            self.synced.add(kind)
            if kind is not Kind.SERVICE:
                self.clusterset.synced.add(Kind.SERVICE if kind is Kind.IMPORT else kind)
            keys.add(("synced",))
        stale = {identity(item) for item in self.objects(kind)}
        for item in items:
            stale.discard(identity(item))
            self._put(item, keys)
        for key in stale:
            self._remove(kind, key, keys)

    def _put(self, item: Object, keys: set[Key]) -> None:
        match item:
            case Service():
                self._put_service(item, keys)
            case Slice():
                self._put_slice(item, keys)
                self._put_imported(item, keys)
            case Import(service):
                self.clusterset._put_service(service, keys)
            case Pod():
                self._put_pod(item, keys)
            case Namespace() | Node():
                self._put_unplaced(item, keys)

    def _remove(self, kind: Kind, key: Id, keys: set[Key]) -> None:
        match kind:
            case Kind.SERVICE:
                self._remove_service(key, keys)
            case Kind.SLICE:
                self._remove_slice(key, keys)
                self.clusterset._remove_slice(key, keys)
            case Kind.IMPORT:
                self.clusterset._remove_service(key, keys)
            case Kind.POD:
                self._remove_pod(key, keys)
            case Kind.NAMESPACE | Kind.NODE:
                self._remove_unplaced(kind, key[1], keys)

    # ---- what is in no namespace

    def _put_unplaced(self, item: Namespace | Node, keys: set[Key]) -> None:
        name = item.name
        if isinstance(item, Node):
            if self.nodes.get(name) != item:
                self.nodes[name] = item
                keys.add(("nodes",))
        elif name not in self.namespaces:
            self.namespaces[name] = item
            keys.update((("ns", name), ("namespaces",)))

    def _remove_unplaced(self, kind: Kind, name: str, keys: set[Key]) -> None:
        if kind is Kind.NODE:
            if self.nodes.pop(name, None):
                keys.add(("nodes",))
        elif self.namespaces.pop(name, None):
            keys.update((("ns", name), ("namespaces",)))

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
        gone, come = holders.differences(old.cluster_ips if old else (), new.cluster_ips)
        holders.move(self._service_ips, identity(new), gone, come)
        self._prefixes.count(gone, come, keys)
        self._move_outside(
            identity(new), holders.outside(old) if old else (), holders.outside(new), keys
        )

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
        gone, come = holders.differences(old.cluster_ips, ())
        holders.move(self._service_ips, key, gone, come)
        self._prefixes.count(gone, come, keys)
        self._move_outside(key, holders.outside(old), (), keys)

    def _move_outside(
        self, key: Id, old: tuple[str, ...], new: tuple[str, ...], keys: set[Key]
    ) -> None:
        if old != new:
            gone, come = holders.differences(old, new)
            holders.move(self._external_ips, key, gone, come)
            keys.update([("ip", address) for address in gone | come])

    # ---- EndpointSlices

    def _put_slice(self, new: Slice, keys: set[Key]) -> None:
        key = identity(new)
        old = self._slices.get(key)
        if old == new:
            return
        if old is not None and old.service != new.service:
            self._remove_slice(key, keys)
            old = None
        self._slices[key] = new
        self._forget_ready(key)
        owner = (new.namespace, new.service)
        pieces = self._service_slices.get(owner, ())
        if old is None:
            self._service_slices[owner] = (*pieces, new)
        else:
            self._service_slices[owner] = tuple([new if p is old else p for p in pieces])
        if len(pieces) >= MANY_SLICES:
            self.ready_in(new, pod_names=False)
        if old is None or not holders.same_content(old, new):
            keys.add(("svc", *owner))
            self._move_endpoints(key, old.endpoints if old else (), new.endpoints, keys)

    def _put_imported(self, new: Slice, keys: set[Key]) -> None:
        """The same endpoints again, as those of a ServiceImport, if they are."""
        if new.imported is None:
            self.clusterset._remove_slice(identity(new), keys)
        else:
            self.clusterset._put_slice(holders.in_clusterset(new, new.imported), keys)

    def _remove_slice(self, key: Id, keys: set[Key]) -> None:
        old = self._slices.pop(key, None)
        if old is None:
            return
        self._forget_ready(key)
        owner = (old.namespace, old.service)
        rest = tuple([piece for piece in self._service_slices[owner] if piece is not old])
        if rest:
            self._service_slices[owner] = rest
        else:
            del self._service_slices[owner]
        keys.add(("svc", *owner))
        self._move_endpoints(key, old.endpoints, (), keys)

    def _forget_ready(self, key: Id) -> None:
        for pod_names in (False, True):
            self._ready.pop((*key, pod_names), None)

    def _move_endpoints(self, key: Id, old: Endpoints, new: Endpoints, keys: set[Key]) -> None:
        # Changed are also those that differ in readiness or host name alone.
        for endpoint in holders.changed(old, new):
            keys.update([("ip", address) for address in endpoint.addresses])
        gone, come = holders.differences(holders.addresses_of(old), holders.addresses_of(new))
        holders.move(self._slice_ips, key, gone, come)
        gone, come = holders.differences(holders.ready_in(old), holders.ready_in(new))
        self._prefixes.count(gone, come, keys)

    # ---- Pods

    def _put_pod(self, new: Pod, keys: set[Key]) -> None:
        key = identity(new)
        old = self.pods.get(key)
        if old == new:
            return
        self.pods[key] = new
        was = old.ips if old else ()
        holders.move(self._pod_ips, key, *holders.differences(was, new.ips))
        keys.update([("pod", address) for address in {*was, *new.ips}])

    def _remove_pod(self, key: Id, keys: set[Key]) -> None:
        old = self.pods.pop(key, None)
        if old is not None:
            holders.move(self._pod_ips, key, *holders.differences(old.ips, ()))
            keys.update([("pod", address) for address in old.ips])
