"""From the shape of an API object to the trimmed value that is kept.

What is invalid is left out, with its reason appended to the caller's list; what is valid counts.
Strings that recur (namespaces, port names, zones) are interned and equal tuples of ports are
shared, so that 100,000 endpoints stay small. Knows nothing of JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from sys import intern
from typing import Final

from kdns.records.objects import (
    HEADLESS,
    Endpoint,
    Import,
    Imported,
    Kind,
    Namespace,
    Node,
    Object,
    Pod,
    Port,
    Service,
    Slice,
)
from kdns.records.shapes import (
    EndpointShape,
    ImportShape,
    ImportSpec,
    IngressShape,
    Metadata,
    NamespaceShape,
    NodeShape,
    NodeStatus,
    PodShape,
    PodStatus,
    PortShape,
    ServiceShape,
    ServiceSpec,
    SliceLabels,
    SliceMetadata,
    SliceShape,
)
from kdns.wire.names import MAX_LABEL

_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4: Final = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}", re.ASCII).fullmatch

ENDED_PHASES: Final = frozenset({"Succeeded", "Failed", "Unknown"})
"""Pods in these phases hold no address any more; the same set as in CoreDNS's watch."""

_CLUSTER_SCOPED: Final = frozenset({Kind.NAMESPACE, Kind.NODE})

Reasons = list[str]


def canonical_address(text: str) -> str | None:
    """Return the address in the form in which it is compared and kept; None if it is not one.

    IPv6 is compressed and lower case (RFC 5952); IPv4-mapped IPv6 is IPv4, as in Go's ``net.IP``.
    A zone index (``fe80::1%eth0``) means nothing to a client elsewhere, so it is not valid.
    """
    if _IPV4(text):
        return text
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return str(address.ipv4_mapped or address)
    return str(address)


def trim(kind: Kind, shape: object, reasons: Reasons) -> Object | None:
    """Return the value to keep; None when it has no name, or is a Pod that has ended."""
    trimmed: Object | None = _TRIM[kind](shape, reasons)
    return trimmed


def identity(kind: Kind, metadata: Metadata | None) -> tuple[str, str] | None:
    """Return (namespace, name), the first "" for what has none; None if it lacks either."""
    if metadata is None or not metadata.name:
        return None
    if kind in _CLUSTER_SCOPED:
        return "", intern(metadata.name)
    if not metadata.namespace:
        return None
    return intern(metadata.namespace), metadata.name


def _named(kind: Kind, metadata: Metadata | None, reasons: Reasons) -> tuple[str, str] | None:
    found = identity(kind, metadata)
    if found is None:
        reasons.append("metadata: no name, or no namespace")
    return found


def _namespace(shape: NamespaceShape, reasons: Reasons) -> Namespace | None:
    found = _named(Kind.NAMESPACE, shape.metadata, reasons)
    return Namespace(found[1]) if found else None


def _service(shape: ServiceShape, reasons: Reasons) -> Service | None:
    found = _named(Kind.SERVICE, shape.metadata, reasons)
    if found is None:
        return None
    spec = shape.spec or ServiceSpec()
    external = spec.type == "ExternalName"
    ips = [] if external else _cluster_ips(spec)
    headless = HEADLESS in ips
    balancer = shape.status and shape.status.load_balancer
    return Service(
        namespace=found[0],
        name=intern(found[1]),
        headless=headless,
        cluster_ips=() if headless else _addresses(ips, "spec.clusterIPs", reasons),
        ports=_ports(spec.ports, reasons),
        external_name=_external_name(spec, reasons) if external else "",
        external_ips=_addresses(spec.external_ips or (), "spec.externalIPs", reasons),
        ingress=_ingress((balancer and balancer.ingress) or (), reasons),
        selects=bool(spec.selector),
    )


def _cluster_ips(spec: ServiceSpec) -> list[str]:
    return spec.cluster_ips or ([spec.cluster_ip] if spec.cluster_ip else [])


def _external_name(spec: ServiceSpec, reasons: Reasons) -> str:
    if not spec.external_name:
        reasons.append("spec.externalName: missing")
    return spec.external_name or ""


def _ingress(entries: Iterable[IngressShape], reasons: Reasons) -> tuple[str, ...]:
    kept: list[str] = []
    for at, entry in enumerate(entries):
        if entry.ip:
            kept += _addresses((entry.ip,), f"status.loadBalancer.ingress[{at}]", reasons)
        elif entry.hostname:
            kept.append(entry.hostname)
    return tuple(kept)


def _slice(shape: SliceShape, reasons: Reasons) -> Slice | None:
    found = _named(Kind.SLICE, shape.metadata, reasons)
    if found is None:
        return None
    metadata = shape.metadata if isinstance(shape.metadata, SliceMetadata) else SliceMetadata()
    labels = metadata.labels or SliceLabels()
    service = labels.service or ""
    if not (service or labels.imported):
        reasons.append("no label kubernetes.io/service-name")
    return Slice(
        namespace=found[0],
        name=found[1],
        service=intern(service),
        endpoints=_endpoints(shape, reasons),
        ports=_ports(shape.ports, reasons),
        triggered=_unix_time((metadata.annotations and metadata.annotations.triggered) or ""),
        imported=_imported(labels),
    )


def _imported(labels: SliceLabels) -> Imported | None:
    if not labels.imported:
        return None
    return Imported(intern(labels.imported), intern(labels.cluster or ""))


def _endpoints(shape: SliceShape, reasons: Reasons) -> tuple[Endpoint, ...]:
    if shape.address_type == "FQDN":
        reasons.append("addressType FQDN: deprecated, and holds no addresses")
        return ()
    made = [_endpoint(each, at, reasons) for at, each in enumerate(shape.endpoints or ())]
    return tuple([each for each in made if each.addresses])


def _endpoint(shape: EndpointShape, at: int, reasons: Reasons) -> Endpoint:
    pod = (shape.target_ref and shape.target_ref.name) or ""
    texts = shape.addresses or ()
    if len(texts) == 1 and _IPV4(texts[0]):  # nearly always
        addresses: tuple[str, ...] = (texts[0],)
    else:
        addresses = _addresses(texts, f"endpoints[{at}].addresses", reasons)
    conditions = shape.conditions
    ready = conditions is None or conditions.ready is not False
    return Endpoint(
        addresses=addresses,
        ready=ready,
        terminating=not ready and bool(conditions and conditions.terminating),
        hostname=shape.hostname or "",
        pod=pod if len(pod) <= MAX_LABEL else "",
        zone=intern(shape.zone.lower()) if shape.zone else "",
    )


def _import(shape: ImportShape, reasons: Reasons) -> Import | None:
    found = _named(Kind.IMPORT, shape.metadata, reasons)
    if found is None:
        return None
    spec = shape.spec or ImportSpec()
    headless = spec.type == "Headless"
    service = Service(
        namespace=found[0],
        name=intern(found[1]),
        headless=headless,
        cluster_ips=() if headless else _addresses(spec.ips or (), "spec.ips", reasons),
        ports=_ports(spec.ports, reasons),
        selects=False,
    )
    return Import(service)


def _pod(shape: PodShape, reasons: Reasons) -> Pod | None:
    found = _named(Kind.POD, shape.metadata, reasons)
    status = shape.status or PodStatus()
    if found is None or status.phase in ENDED_PHASES:
        return None
    ips = [each.ip for each in status.pod_ips or () if each.ip]
    if not ips and status.pod_ip:
        ips = [status.pod_ip]
    return Pod(
        namespace=found[0],
        name=found[1],
        ips=_addresses(ips, "status.podIPs", reasons),
        host_network=bool(shape.spec and shape.spec.host_network),
    )


def _node(shape: NodeShape, reasons: Reasons) -> Node | None:
    found = _named(Kind.NODE, shape.metadata, reasons)
    if found is None:
        return None
    status = shape.status or NodeStatus()
    ready = all(c.status == "True" for c in status.conditions or () if c.type == "Ready")
    by_type: dict[str, list[str]] = {"ExternalIP": [], "InternalIP": []}
    for each in (status.addresses or ()) if ready else ():
        by_type.setdefault(each.type or "", []).append(each.address or "")
    chosen = by_type["ExternalIP"] or by_type["InternalIP"]
    return Node(found[1], _addresses(chosen, "status.addresses", reasons))


def _addresses(texts: Iterable[str], path: str, reasons: Reasons) -> tuple[str, ...]:
    kept: list[str] = []
    for text in texts:
        address = canonical_address(text)
        if address is None:
            reasons.append(f"{path}: {text!r} is not an IP address")
        elif address not in kept:
            kept.append(address)
    return tuple(kept)


def _ports(shapes: list[PortShape] | None, reasons: Reasons) -> tuple[Port, ...]:
    """Ports without a valid number are left out: an SRV record could not carry them."""
    if not shapes:
        return ()
    kept = []
    for at, shape in enumerate(shapes):
        number, outside = shape.port or 0, shape.node_port or 0
        if 0 < number <= 0xFFFF:
            node_port = outside if 0 < outside <= 0xFFFF else 0
            kept.append((shape.name or "", (shape.protocol or "tcp").lower(), number, node_port))
        else:
            reasons.append(f"ports[{at}].port: {shape.port} is not within 1-65535")
    return _shared_ports(tuple(kept))


@lru_cache(maxsize=4096)  # a cluster has few different sets of ports
def _shared_ports(values: tuple[tuple[str, str, int, int], ...]) -> tuple[Port, ...]:
    return tuple(_shared_port(*value) for value in values)


@lru_cache(maxsize=4096)
def _shared_port(name: str, protocol: str, number: int, node_port: int) -> Port:
    return Port(intern(name), intern(protocol), number, node_port)


def _unix_time(text: str) -> float:
    """RFC 3339 to Unix seconds; 0 for anything else."""
    if not text:
        return 0.0
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return 0.0


_TRIM: Final[dict[Kind, Callable[..., Object | None]]] = {
    Kind.SERVICE: _service,
    Kind.SLICE: _slice,
    Kind.POD: _pod,
    Kind.NAMESPACE: _namespace,
    Kind.NODE: _node,
    Kind.IMPORT: _import,
}
