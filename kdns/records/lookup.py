"""From a name below the cluster's zones to its records.

A name is taken apart from the right: ``svc`` or ``pod``, the namespace, the Service, then up to an
endpoint or a port and protocol; what no Service can be called is decided without looking one up. Pure:
reads the index, waits for nothing, and says with each negative outcome why and what it depends on.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from kdns.records.index import Index
from kdns.records.locations import address_of_label, endpoint_label, pack
from kdns.records.objects import Kind, Slice
from kdns.records.outcome import Asked, Outcome, PodMode, Reason, View
from kdns.records.reverse import prefix_of
from kdns.records.services import Subject, service_records
from kdns.wire import rdata
from kdns.wire.constants import Type
from kdns.wire.message import Key, Record
from kdns.wire.names import BadNameError, Name, address_of, skip, to_wire

SPEC_VERSION: Final = "1.1.0"  # Kubernetes DNS specification, section 2.2
_NAMESPACES: Final = (Kind.NAMESPACE,)
_SERVICES: Final = (Kind.SERVICE,)
APEX_TYPES: Final = (Type.SOA, Type.NS)
SPEC_VERSION_TTL: Final = 28800  # seconds; the value of the specification's example


def lookup(index: Index, view: View, zone: Name, qname: bytes, name: Name, qtype: int) -> Outcome:
    """Records of ``qtype`` at ``name``, which lies in ``zone``, one of the view's.

    ``qname`` is the name as asked; owners echo its letter case.
    """
    if zone[-1:] == ("arpa",):
        return _reverse(index, view, zone, name, qname, qtype)
    if zone in view.multicluster:
        index = index.clusterset
    labels = name[: len(name) - len(zone)]
    asked = parse(labels, clusterset=True) if zone in view.multicluster else _parse(labels)
    if asked.kind == "svc" and asked.service:
        return _service(index, view, zone, asked, qname, qtype)
    if asked.kind == "pod" and asked.service:
        return _pod(index, view, asked, qname, qtype)
    return _structure(index, view, labels, asked, qname, qtype)


def shown(index: Index, view: View, zone: Name) -> Index:
    """What the names of a zone are made from: the cluster's objects, or those of its clusterset."""
    return index.clusterset if zone in view.multicluster else index


def parse(labels: Name, *, clusterset: bool = False) -> Asked:
    """Take apart what stands left of the zone; ``clusterset`` is whether ServiceImports are in it."""
    asked = _parse(labels)
    if not clusterset:
        return asked
    first, second = (*labels[:-3], "", "")[:2]
    if len(labels) == 5 and asked.kind == "svc" and "_" not in {first[:1], second[:1]}:
        asked = replace(asked, endpoint=first, cluster=second, port=None, protocol=None)
    return replace(asked, title="ServiceImport")


def _parse(labels: Name) -> Asked:
    if not labels:
        return Asked("apex")
    kind = labels[-1]
    if kind not in {"svc", "pod"}:
        return Asked("other", labels=labels)
    count = len(labels)
    namespace = labels[-2] if count > 1 else ""
    service = labels[-3] if count > 2 else ""
    if kind == "pod":
        return Asked("pod", namespace, service, labels=labels)
    if count == 4:
        return Asked("svc", namespace, service, labels[0], labels=labels)
    if count == 5:
        port, protocol = labels[0].removeprefix("_"), labels[1].removeprefix("_")
        return Asked("svc", namespace, service, "", port, protocol, labels)
    return Asked("svc", namespace, service, "", None, None, labels)


def is_exposed(index: Index, view: View, namespace: str) -> bool:
    """Whether names below a namespace exist: its object does, and the options do not hide it."""
    if view.namespaces and namespace not in view.namespaces:
        return False
    if namespace in index.namespaces:
        return True
    # Namespaces cannot be listed (RBAC) or not yet: a Service proves that its namespace exists.
    return Kind.NAMESPACE not in index.synced and not view.labelled and namespace in index.services


def nodata(asked: Asked, *keys: Key, has: tuple[Type, ...] = ()) -> Outcome:
    """The name exists without such a record; without ``has``, only names below it have any."""
    reason = Reason.NO_SUCH_TYPE if has else Reason.EMPTY_NON_TERMINAL
    return Outcome(keys=keys, reason=reason, asked=asked, has=has)


def nxdomain(asked: Asked, reason: Reason, *keys: Key, needs: tuple[Kind, ...] = ()) -> Outcome:
    """The name does not exist."""
    return Outcome(exists=False, keys=keys, reason=reason, asked=asked, needs=needs)


def _structure(
    index: Index, view: View, labels: Name, asked: Asked, qname: bytes, qtype: int
) -> Outcome:
    """Names that exist for the tree's sake: the apex, dns-version, svc, pod and the namespaces."""
    if labels == ("dns-version",):
        record = Record(qname, Type.TXT, SPEC_VERSION_TTL, rdata.strings(SPEC_VERSION))
        return Outcome(answer=(record,)) if qtype == Type.TXT else nodata(asked, has=(Type.TXT,))
    if labels in {(), ("svc",), ("pod",), ("dns",)}:
        return nodata(asked, has=() if labels else APEX_TYPES)
    if asked.kind == "other":
        return nxdomain(asked, Reason.NOT_A_KUBERNETES_NAME)
    if asked.kind == "pod" and view.pods is PodMode.DISABLED:
        return nxdomain(asked, Reason.PODS_DISABLED)
    key = ("ns", asked.namespace)
    if is_exposed(index, view, asked.namespace):
        return nodata(asked, key)
    return nxdomain(asked, Reason.NO_NAMESPACE, key, needs=(Kind.NAMESPACE,))


def _service(
    index: Index, view: View, zone: Name, asked: Asked, qname: bytes, qtype: int
) -> Outcome:
    keys: tuple[Key, ...] = (
        ("ns", asked.namespace),
        ("svc", asked.namespace, asked.service),
    )
    if not is_exposed(index, view, asked.namespace):
        return Outcome(False, (), (), keys, Reason.NO_NAMESPACE, asked, _NAMESPACES)
    service = index.service(asked.namespace, asked.service)
    if service is None:
        return Outcome(False, (), (), keys, Reason.NO_SERVICE, asked, _SERVICES)
    subject = Subject(zone, qname, len(asked.labels), qtype, asked, keys)
    return service_records(index, view, subject, service, asked.labels[:-3])


def _pod(index: Index, view: View, asked: Asked, qname: bytes, qtype: int) -> Outcome:
    if view.pods is PodMode.DISABLED:
        return nxdomain(asked, Reason.PODS_DISABLED)
    key = ("ns", asked.namespace)
    if not is_exposed(index, view, asked.namespace):
        return nxdomain(asked, Reason.NO_NAMESPACE, key, needs=(Kind.NAMESPACE,))
    address = address_of_label(asked.service)
    if address is None:
        return nxdomain(asked, Reason.POD_NAME_IS_NO_ADDRESS, key)
    keys: tuple[Key, ...] = (key,)
    if view.pods is PodMode.VERIFIED:
        keys = (key, ("pod", str(address)))
        if all(pod.namespace != asked.namespace for pod in index.pods_at(str(address))):
            return nxdomain(asked, Reason.NO_POD_AT_ADDRESS, *keys, needs=(Kind.POD,))
    kind = Type.A if address.version == 4 else Type.AAAA
    if qtype != kind:
        return nodata(asked, *keys, has=(kind,))
    return Outcome(answer=(Record(qname, qtype, view.ttl, address.packed),), keys=keys)


def _reverse(index: Index, view: View, zone: Name, name: Name, qname: bytes, qtype: int) -> Outcome:
    asked = Asked("other")
    if name == zone:
        return nodata(asked, has=APEX_TYPES)
    if name == ("dns", *zone):  # above ns.dns, which the SOA of every zone names
        return nodata(asked)
    needs = (Kind.SERVICE, Kind.SLICE) if view.endpoints else (Kind.SERVICE,)
    address = address_of(name)
    if address is None:
        prefix = prefix_of(name)
        key = ("prefix", prefix or "")
        if prefix and index.has_addresses_below(prefix):
            return nodata(asked, key)
        return nxdomain(asked, Reason.NO_NAME_AT_ADDRESS, key, needs=needs)
    keys, targets = _names_at(index, view, address)
    if not targets:
        if len(keys) > 1:  # what has the address is not exposed, as far as is known
            needs = (*needs, Kind.NAMESPACE)
        return nxdomain(asked, Reason.NO_NAME_AT_ADDRESS, *keys, needs=needs)
    if qtype != Type.PTR:
        return nodata(asked, *keys, has=(Type.PTR,))
    records = tuple([Record(qname, Type.PTR, view.ttl, target) for target in targets])
    return Outcome(answer=records, keys=keys)


def _names_at(index: Index, view: View, address: str) -> tuple[tuple[Key, ...], list[bytes]]:
    """The PTR targets of an address: its Service, else each endpoint name, each once.

    Specification section 2.3.3: a ClusterIP has exactly one PTR; section 2.4.3: a ready endpoint has
    one below each headless Service. Endpoints of ClusterIP Services are given theirs too, as the peer does.
    """
    keys: list[Key] = [("ip", address)]
    for service in index.services_at(address):
        keys.append(("ns", service.namespace))
        if is_exposed(index, view, service.namespace):
            return tuple(keys), _pointers(view, service.name, service.namespace)
    targets: dict[bytes, None] = {}
    for piece in index.slices_at(address):
        keys.append(("ns", piece.namespace))
        if piece.service and is_exposed(index, view, piece.namespace):
            targets.update(dict.fromkeys(_endpoint_names(index, view, piece, address)))
    return tuple(keys), list(targets)


def _endpoint_names(index: Index, view: View, piece: Slice, address: str) -> list[bytes]:
    names, packed = [], pack(address)
    for each in index.ready_in(piece, view.endpoint_pod_names):
        for position in each.where(packed):
            endpoint = piece.endpoints[each.numbers[position]]
            label = endpoint_label(endpoint, address, view.endpoint_pod_names)
            names += _pointers(view, label, piece.service, piece.namespace)
    return names


def _pointers(view: View, *labels: str) -> list[bytes]:
    """The name in the primary zone; none where one is no label, so that nobody could ask for it."""
    try:
        return [to_wire((*labels, "svc", *view.primary))]
    except BadNameError:
        return []


def zone_wire(qname: bytes, name: Name, zone: Name) -> bytes:
    """The zone part of a name as asked, in the asker's letter case."""
    return skip(qname, len(name) - len(zone))
