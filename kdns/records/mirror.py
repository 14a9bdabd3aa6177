"""What a cluster's controllers make of declared objects: EndpointSlices.

``from_pods`` does the work of the EndpointSlice controller, ``from_endpoints`` that of the
EndpointSliceMirroring controller; both follow Kubernetes 1.36. A slice is never split (the
controllers do at 100 and at 1,000 endpoints) and an empty one is left out: DNS sees no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final, TypeAlias

from msgspec import Struct

from kdns.records import allocation
from kdns.records.manifest_shapes import (
    ContainerPort,
    EndpointAddress,
    Endpoints,
    EndpointSubset,
    Family,
    Labels,
    Pod,
    PodStatus,
    Service,
    ServicePort,
)
from kdns.records.objects import HEADLESS, Endpoint, Port, Slice
from kdns.records.trimming import canonical_address
from kdns.wire.names import MAX_LABEL

SERVICE_NAME: Final = "kubernetes.io/service-name"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
HEADLESS_LABEL: Final = "service.kubernetes.io/headless"
ZONE_LABEL: Final = "topology.kubernetes.io/zone"
SLICE_CONTROLLER: Final = "endpointslice-controller.k8s.io"
MIRRORING_CONTROLLER: Final = "endpointslicemirroring-controller.k8s.io"
SKIP_MIRROR: Final = "endpointslice.kubernetes.io/skip-mirror"
LEADER_ELECTION: Final = "control-plane.alpha.kubernetes.io/leader"

MAX_MIRRORED: Final = 1000
"""Addresses of a subset beyond these are not mirrored (--mirroring-max-endpoints-per-subset)."""


class Located(Struct, frozen=True):
    """A Pod with its addresses and its zone, which come from elsewhere."""

    pod: Pod
    ips: tuple[str, ...]
    zone: str = ""


class Made(Struct, frozen=True):
    """A slice that a controller would have created, and the labels it would bear."""

    slice: Slice
    labels: Mapping[str, str]


_Group: TypeAlias = tuple[Family, tuple[Port, ...]]


def from_pods(service: Service, pods: Iterable[Located]) -> list[Made]:
    """Return the slices of a Service from the Pods in its namespace that its selector matches."""
    supported = allocation.families(service.spec)
    groups: dict[_Group, list[Endpoint]] = {}
    for located in sorted(pods, key=lambda each: each.pod.metadata.name):
        if located.pod.status.phase in {"Succeeded", "Failed"}:
            continue
        ports = _ports(service, located.pod)
        for family in supported:
            addresses = tuple(ip for ip in located.ips if allocation.family(ip) == family)
            if addresses:
                endpoint = _pod_endpoint(service, located, addresses)
                groups.setdefault((family, ports), []).append(endpoint)
    return _made(service, _labels(service), groups)


def from_endpoints(service: Service, endpoints: Endpoints) -> list[Made]:
    """Return the slices that mirror Endpoints; none when they are not to be mirrored."""
    metadata = endpoints.metadata
    skipped = metadata.labels.get(SKIP_MIRROR) == "true" or LEADER_ELECTION in metadata.annotations
    if service.spec.selector or skipped:
        return []
    groups: dict[_Group, list[Endpoint]] = {}
    for ports, addresses in _repacked(endpoints.subsets):
        for address, ready in addresses[:MAX_MIRRORED]:
            family = allocation.family(address.ip)
            group = groups.setdefault((family, ports), [])
            group.append(_address_endpoint(address, ready=ready))
    labels = metadata.labels | {
        SERVICE_NAME: metadata.name,
        MANAGED_BY: MIRRORING_CONTROLLER,
    }
    return _made(service, labels, groups)


def is_ready(status: PodStatus) -> bool:
    """Whether the Pod's Ready condition is true."""
    return any(each.type == "Ready" and each.status == "True" for each in status.conditions)


def _made(
    service: Service, labels: Labels, groups: Mapping[_Group, Sequence[Endpoint]]
) -> list[Made]:
    metadata = service.metadata
    return [
        Made(
            Slice(
                namespace=metadata.namespace,
                name=f"{metadata.name}-{_suffix(group)}",
                service=metadata.name,
                endpoints=tuple(dict.fromkeys(endpoints)),
                ports=group[1],
            ),
            labels,
        )
        for group, endpoints in groups.items()
    ]


def _suffix(group: _Group) -> str:
    """Stand in for the random suffix of ``generateName``: same group, same name.

    Upper case, which no given object can have, so that the names never meet.
    """
    family, ports = group
    text = family + "".join(f" {each.name} {each.protocol} {each.number}" for each in ports)
    return sha256(text.encode()).hexdigest()[:8].upper()


def _labels(service: Service) -> Labels:
    reserved = {SERVICE_NAME, MANAGED_BY, HEADLESS_LABEL}
    labels = {key: value for key, value in service.metadata.labels.items() if key not in reserved}
    if service.spec.given_ips[:1] == (HEADLESS,):
        labels[HEADLESS_LABEL] = ""
    return labels | {SERVICE_NAME: service.metadata.name, MANAGED_BY: SLICE_CONTROLLER}


def _pod_endpoint(service: Service, located: Located, addresses: tuple[str, ...]) -> Endpoint:
    pod = located.pod
    serving = pod.by_hand or is_ready(pod.status)
    names_itself = pod.spec.hostname and pod.spec.subdomain == service.metadata.name
    terminating = bool(pod.metadata.deletion_timestamp)
    # "ready" is never true for a terminating Pod, unless not ready addresses are published.
    ready = service.spec.publish_not_ready_addresses or (serving and not terminating)
    return Endpoint(
        addresses=addresses,
        ready=ready,
        terminating=terminating and not ready,
        hostname=pod.spec.hostname if names_itself else "",
        pod=_label(pod.metadata.name),
        zone=located.zone.lower(),
    )


def _label(name: str) -> str:
    return name if len(name) <= MAX_LABEL else ""


def _ports(service: Service, pod: Pod) -> tuple[Port, ...]:
    found = ((each, _target(each, pod)) for each in service.spec.ports)
    return _sorted(
        Port(port.name, port.protocol.lower(), number) for port, number in found if number
    )


def _sorted(ports: Iterable[Port]) -> tuple[Port, ...]:
    return tuple(sorted(ports, key=lambda port: (port.name, port.protocol, port.number)))


def _target(port: ServicePort, pod: Pod) -> int:
    """Return the number that ``targetPort`` means in this Pod; 0 if it has no such named port."""
    if not port.target_port:
        return port.port
    if isinstance(port.target_port, int):
        return port.target_port
    for each in _container_ports(pod):
        if each.name == port.target_port and each.protocol == port.protocol:
            return each.container_port
    return 0


def _container_ports(pod: Pod) -> Iterable[ContainerPort]:
    sidecars = (each for each in pod.spec.init_containers if each.restart_policy == "Always")
    for container in (*pod.spec.containers, *sidecars):
        yield from container.ports


_Ready: TypeAlias = tuple[EndpointAddress, bool]


def _repacked(
    subsets: Iterable[EndpointSubset],
) -> list[tuple[tuple[Port, ...], tuple[_Ready, ...]]]:
    """Bring subsets into the canonical form: ports that the same addresses offer, together.

    Not ready trumps ready; an address is known by its IP and the UID of its target. (RepackSubsets in
    ``k8s.io/kubernetes/pkg/api/v1/endpoints``.)
    """
    known: dict[tuple[str, str], EndpointAddress] = {}
    offers: dict[Port | None, dict[tuple[str, str], bool]] = {}
    for subset in subsets:
        for port in _subset_ports(subset):
            offer = offers.setdefault(port, {})
            for address, ready in _subset_addresses(subset):
                key = (address.ip, address.target_ref.uid)
                known.setdefault(key, address)
                offer[key] = offer.get(key, True) and ready
    together: dict[tuple[tuple[tuple[str, str], bool], ...], list[Port]] = {}
    for port, offer in offers.items():
        ports = together.setdefault(tuple(sorted(offer.items())), [])
        ports += [port] if port else []
    return [
        (_sorted(ports), tuple((known[key], ready) for key, ready in offer))
        for offer, ports in together.items()
    ]


def _subset_ports(subset: EndpointSubset) -> Sequence[Port | None]:
    """Addresses without ports count too: None stands for their having none."""
    ports = [Port(each.name, each.protocol.lower(), each.port) for each in subset.ports]
    return ports or [None]


def _subset_addresses(subset: EndpointSubset) -> Iterable[_Ready]:
    yield from ((each, True) for each in subset.addresses)
    yield from ((each, False) for each in subset.not_ready_addresses)


def _address_endpoint(address: EndpointAddress, *, ready: bool) -> Endpoint:
    return Endpoint(
        addresses=(canonical_address(address.ip) or address.ip,),
        ready=ready,
        hostname=address.hostname,
        pod=_label(address.target_ref.name),
    )
