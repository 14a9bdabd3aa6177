"""The contents of the measured cluster, by number, so that every run sends the same queries.

Services ``svc-0 …`` are spread over 50 namespaces and have a ClusterIP and two ports, and the first ones a
slice made by hand (there are no selectors, so that no controller takes part). ``set-0 …`` are headless with
20 endpoints each, in one namespace. Clusters only grow: the small one first, then the large one; only the
Services with very many endpoints come and go. All are written into etcd as the API server would, because
thousands of requests would take it many minutes on two cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from ipaddress import ip_address
from typing import Any, Final, TypeAlias
from uuid import uuid4

from msgspec import Struct

from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import wait_until
from tests.cluster.rest import Api

Manifest: TypeAlias = dict[str, Any]

NAMESPACE: Final = "bench"
DOMAIN: Final = f"{NAMESPACE}.svc.cluster.local"
NAMESPACES: Final = 50
"""Over which the Services with a ClusterIP are spread."""
ENDPOINTS: Final = 20
SLICED: Final = 200
"""Services that have a slice: the objects of the churn."""

_SERVICE_LABEL: Final = "kubernetes.io/service-name"
_PORTS: Final = (("http", 80), ("metrics", 9090))


class Size(Struct, frozen=True):
    """How many Services there are, with a ClusterIP and headless."""

    services: int = 0
    headless: int = 0

    def __str__(self) -> str:
        if not self.services and not self.headless:
            return "empty cluster"
        return f"{self.services:,} Services + {self.headless:,} headless of {ENDPOINTS}"


EMPTY: Final = Size()
SMALL: Final = Size(1_000, 200)
LARGE: Final = Size(10_000, 5_000)


def grow(plane: ControlPlane, before: Size, after: Size) -> None:
    """Make what ``after`` has more than ``before``; returns when the API shows it."""
    for name in (NAMESPACE, *map(namespace, range(NAMESPACES))):
        plane.api.ensure_namespace(name)
    plane.store(dict(_missing(before, after)))
    last = after.services - 1
    for number, place, name in (
        (after.services, namespace(last), f"svc-{last}"),
        (after.headless, NAMESPACE, f"set-{after.headless - 1}"),
    ):
        if number:
            wait_until(partial(_is_there, plane.api, place, name), 60, f"Service {name} in the API")


def _is_there(api: Api, place: str, name: str) -> bool:
    return api.get("Service", place, name) is not None


def namespace(at: int) -> str:
    """The namespace of ``svc-AT``."""
    return f"{NAMESPACE}-{at % NAMESPACES}"


def _missing(before: Size, after: Size) -> Iterator[tuple[str, Manifest]]:
    """Objects by their keys in etcd."""
    for at in range(before.services, after.services):
        name, place, address = f"svc-{at}", namespace(at), cluster_ip(at)
        yield f"services/specs/{place}/{name}", _stored(_service(name, place, address))
        yield f"ipaddresses/{address}", _stored(_allocation(name, place, address))
    for at in range(before.headless, after.headless):
        name = f"set-{at}"
        yield from _headless(name, NAMESPACE, [addresses(at)])
    for at in range(before.services, min(after.services, SLICED)):
        made = slice_of(f"svc-{at}", addresses(at, 3, second=128), namespace(at))
        yield _slice_key(made), _stored(made)


def _headless(
    name: str, place: str, slices: Iterable[Iterable[str]]
) -> Iterator[tuple[str, Manifest]]:
    yield f"services/specs/{place}/{name}", _stored(_service(name, place, "None"))
    for number, addresses in enumerate(slices, 1):
        made = slice_of(name, addresses, place, number)
        yield _slice_key(made), _stored(made)


# ---- Services with very many endpoints

LARGE_NAMESPACE: Final = "large"
LARGE_DOMAIN: Final = f"{LARGE_NAMESPACE}.svc.cluster.local"
_SLICE_SIZE: Final = 100
"""Endpoints in a slice, as kube-controller-manager makes them."""


def large_name(endpoints: int, number: int) -> str:
    """The ``number``-th headless Service of so many endpoints."""
    return f"large-{endpoints}-{number}"


def large_address(endpoints: int, number: int, at: int = 0) -> str:
    """The address of an endpoint of such a Service. Different for up to 32 Services of up to 32,768."""
    return str(ip_address(11 << 24 | endpoints.bit_length() << 20 | number << 15 | at))


def add_large(plane: ControlPlane, endpoints: int, numbers: Iterable[int]) -> None:
    """Add headless Services of so many endpoints, in slices of 100."""
    plane.api.ensure_namespace(LARGE_NAMESPACE)
    for number in numbers:
        each = [large_address(endpoints, number, at) for at in range(endpoints)]
        slices = [each[at : at + _SLICE_SIZE] for at in range(0, endpoints, _SLICE_SIZE)]
        for key, manifest in _headless(large_name(endpoints, number), LARGE_NAMESPACE, slices):
            # Each has a revision of its own: a watch that breaks off is resumed behind a revision.
            plane.store({key: manifest})


def remove_large(plane: ControlPlane) -> None:
    """Delete these Services again; returns when they are gone."""
    plane.api.delete("Namespace", "", LARGE_NAMESPACE)
    wait_until(
        lambda: plane.api.get("Namespace", "", LARGE_NAMESPACE) is None, 60, "their namespace gone"
    )


def _slice_key(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    return f"endpointslices/{metadata['namespace']}/{metadata['name']}"


def _stored(manifest: Manifest) -> Manifest:
    """With what the API server adds when an object is created."""
    made = {"uid": str(uuid4()), "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
    return {**manifest, "metadata": {**manifest["metadata"], **made}}


def cluster_ip(at: int) -> str:
    """From the lower part of the range; the API server chooses others from all of it."""
    return f"10.{100 + (at >> 16)}.{at >> 8 & 255}.{at & 255}"


def _service(name: str, place: str, address: str) -> Manifest:
    ports = [
        {"name": port, "port": number, "protocol": "TCP", "targetPort": number}
        for port, number in _PORTS
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": place},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "clusterIPs": [address],
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "None",
            "ports": ports,
        },
    }


def _allocation(name: str, place: str, address: str) -> Manifest:
    """What the API server notes about a ClusterIP; without it, it would repair them one by one."""
    labels = {
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    }
    parent = {"group": "", "resource": "services", "namespace": place, "name": name}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IPAddress",
        "metadata": {"name": address, "labels": labels},
        "spec": {"parentRef": parent},
    }


def service(name: str) -> Manifest:
    """A Service to be created, with an address of the API server's choice."""
    ports = [{"name": port, "port": number} for port, number in _PORTS]
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}}


def slice_of(name: str, addresses: Iterable[str], place: str, number: int = 1) -> Manifest:
    """An EndpointSlice of a Service, all endpoints ready."""
    ports = [{"name": port, "port": number, "protocol": "TCP"} for port, number in _PORTS]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-{number}",
            "namespace": place,
            "labels": {_SERVICE_LABEL: name},
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {"ready": True},
                "nodeName": "node",
                "targetRef": {
                    "kind": "Pod",
                    "namespace": place,
                    "name": f"{name}-5d4f8c7b9-{number:03x}{at:02x}",
                },
            }
            for at, address in enumerate(addresses)
        ],
        "ports": ports,
    }


def addresses(at: int, count: int = ENDPOINTS, second: int = 0) -> list[str]:
    """The endpoints of ``set-AT``: addresses that no other Service has."""
    numbers = range(at * count, at * count + count)
    return [f"10.{second + (n >> 16)}.{n >> 8 & 255}.{n & 255}" for n in numbers]


def names(kind: str, count: int) -> list[str]:
    """The full names of the first Services of a kind (``svc`` or ``set``)."""
    if kind == "svc":
        return [f"svc-{at}.{namespace(at)}.svc.cluster.local." for at in range(count)]
    return [f"{kind}-{at}.{DOMAIN}." for at in range(count)]


Toggle: TypeAlias = Callable[[int], None]


def toggle_slices(api: Api) -> Toggle:
    """What changes a slice of one of the first Services: another address for its first endpoint."""

    def toggle(turn: int) -> None:
        at = turn % SLICED
        name = f"svc-{at}"
        moved = addresses(at, 3, second=128 + turn // SLICED % 2 * 64)
        change = {"endpoints": slice_of(name, moved, namespace(at))["endpoints"]}
        api.patch("EndpointSlice", namespace(at), f"{name}-1", change)

    return toggle
