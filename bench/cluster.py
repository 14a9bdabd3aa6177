"""What is in the measured cluster, by number, so that every run asks the same questions.

Services ``svc-0 …`` have a ClusterIP and two ports, and the first ones a slice made by hand (there are
no selectors, so that no controller takes part). ``set-0 …`` are headless with 20 endpoints each.
Clusters only grow: the small one first, then the large one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias

from msgspec import Struct

from tests.cluster.rest import Api, ApiError

Manifest: TypeAlias = dict[str, Any]

NAMESPACE: Final = "bench"
DOMAIN: Final = f"{NAMESPACE}.svc.cluster.local"
ENDPOINTS: Final = 20
SLICED: Final = 200
"""Services that have a slice: the objects of the churn."""

_SERVICE_LABEL: Final = "kubernetes.io/service-name"
_WRITERS: Final = 4
_EXISTS: Final = 409
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


def grow(api: Api, before: Size, after: Size) -> None:
    """Make what ``after`` has more than ``before``. A minute for the large cluster."""
    api.ensure_namespace(NAMESPACE)
    with ThreadPoolExecutor(_WRITERS) as writers:
        for made in _missing(before, after):
            for each in [writers.submit(_create, api, manifest) for manifest in made]:
                each.result()


def _missing(before: Size, after: Size) -> Iterator[Iterable[Manifest]]:
    sliced = range(before.services, min(after.services, SLICED))
    headless = range(before.headless, after.headless)
    yield map(service, range(before.services, after.services))
    yield map(headless_service, headless)
    yield (slice_of(f"svc-{at}", _addresses(at, 3, second=128)) for at in sliced)
    yield (slice_of(f"set-{at}", _addresses(at, ENDPOINTS)) for at in headless)


def _create(api: Api, manifest: Manifest) -> None:
    try:
        api.create(manifest)
    except ApiError as error:
        if error.status != _EXISTS:
            raise


def service(at: int) -> Manifest:
    return _service(f"svc-{at}", {})


def headless_service(at: int) -> Manifest:
    return _service(f"set-{at}", {"clusterIP": "None"})


def _service(name: str, spec: Manifest) -> Manifest:
    ports = [{"name": port, "port": number} for port, number in _PORTS]
    metadata = {"name": name, "namespace": NAMESPACE}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"ports": ports, **spec},
    }


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


def cluster_ips(api: Api) -> dict[str, str]:
    """The ClusterIPs that the API server gave, by name of the Service."""
    return {
        each["metadata"]["name"]: each["spec"]["clusterIP"]
        for each in api.list("Service", NAMESPACE)
        if each["spec"].get("clusterIP") not in {None, "None"}
    }


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
