"""What is in the measured cluster, by number, so that every run asks the same questions.

Services ``svc-0 …`` have a ClusterIP and two ports, and the first ones a slice made by hand (there are
no selectors, so that no controller takes part). ``set-0 …`` are headless with 20 endpoints each.
Clusters only grow: the small one first, then the large one. They are written into etcd as the API
server would, because thousands of requests would take it many minutes on two cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, TypeAlias
from uuid import uuid4

from msgspec import Struct

from tests.cluster.controlplane import ControlPlane
from tests.cluster.processes import wait_until
from tests.cluster.rest import Api

Manifest: TypeAlias = dict[str, Any]

NAMESPACE: Final = "bench"
DOMAIN: Final = f"{NAMESPACE}.svc.cluster.local"
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
    plane.api.ensure_namespace(NAMESPACE)
    plane.store(dict(_missing(before, after)))
    for kind, number in (("svc", after.services), ("set", after.headless)):
        if number:
            last = f"{kind}-{number - 1}"
            wait_until(partial(_is_there, plane.api, last), 60, f"Service {last} in the API")


def _is_there(api: Api, name: str) -> bool:
    return api.get("Service", NAMESPACE, name) is not None


def _missing(before: Size, after: Size) -> Iterator[tuple[str, Manifest]]:
    """Objects by their keys in etcd."""
    for at in range(before.services, after.services):
        name, address = f"svc-{at}", cluster_ip(at)
        yield f"services/specs/{NAMESPACE}/{name}", _stored(_service(name, address))
        yield f"ipaddresses/{address}", _stored(_allocation(name, address))
    for at in range(before.headless, after.headless):
        name = f"set-{at}"
        yield f"services/specs/{NAMESPACE}/{name}", _stored(_service(name, "None"))
        yield _slice_key(name), _stored(slice_of(name, _addresses(at, ENDPOINTS)))
    for at in range(before.services, min(after.services, SLICED)):
        name = f"svc-{at}"
        yield _slice_key(name), _stored(slice_of(name, _addresses(at, 3, second=128)))


def _slice_key(name: str) -> str:
    return f"endpointslices/{NAMESPACE}/{name}-1"


def _stored(manifest: Manifest) -> Manifest:
    """With what the API server adds when an object is created."""
    made = {"uid": str(uuid4()), "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
    return {**manifest, "metadata": {**manifest["metadata"], **made}}


def cluster_ip(at: int) -> str:
    """From the lower part of the range; the API server chooses others from all of it."""
    return f"10.{100 + (at >> 16)}.{at >> 8 & 255}.{at & 255}"


def _service(name: str, address: str) -> Manifest:
    ports = [
        {"name": port, "port": number, "protocol": "TCP", "targetPort": number}
        for port, number in _PORTS
    ]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": NAMESPACE},
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


def _allocation(name: str, address: str) -> Manifest:
    """What the API server notes about a ClusterIP; without it, it would repair them one by one."""
    labels = {
        "ipaddress.kubernetes.io/ip-family": "IPv4",
        "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
    }
    parent = {"group": "", "resource": "services", "namespace": NAMESPACE, "name": name}
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


def slice_of(name: str, addresses: Iterable[str], ready: bool = True) -> Manifest:
    """The one EndpointSlice of a Service."""
    ports = [{"name": port, "port": number, "protocol": "TCP"} for port, number in _PORTS]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-1",
            "namespace": NAMESPACE,
            "labels": {_SERVICE_LABEL: name},
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {"ready": ready},
                "nodeName": "node",
                "targetRef": {
                    "kind": "Pod",
                    "namespace": NAMESPACE,
                    "name": f"{name}-5d4f8c7b9-{at:05x}",
                },
            }
            for at, address in enumerate(addresses)
        ],
        "ports": ports,
    }


def _addresses(at: int, count: int, second: int = 0) -> list[str]:
    """Pod addresses that no other Service has."""
    numbers = range(at * count, at * count + count)
    return [f"10.{second + (n >> 16)}.{n >> 8 & 255}.{n & 255}" for n in numbers]


def names(kind: str, count: int) -> list[str]:
    """The names of the first Services of a kind (``svc`` or ``set``)."""
    return [f"{kind}-{at}.{DOMAIN}." for at in range(count)]


Toggle: TypeAlias = Callable[[int], None]


def toggle_slices(api: Api) -> Toggle:
    """What changes a slice of one of the first Services: another address for its first endpoint."""

    def toggle(turn: int) -> None:
        at = turn % SLICED
        name = f"svc-{at}"
        addresses = _addresses(at, 3, second=128 + turn // SLICED % 2 * 64)
        change = {"endpoints": slice_of(name, addresses)["endpoints"]}
        api.patch("EndpointSlice", NAMESPACE, f"{name}-1", change)

    return toggle
