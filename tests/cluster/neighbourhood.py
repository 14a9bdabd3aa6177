"""All names that a cluster's objects own, and the names next to them, which must not exist by mistake."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Final

from tests.cluster.observation import ZONE, Question
from tests.cluster.rest import Json

TYPES: Final = ["A", "AAAA", "SRV", "PTR", "TXT", "CNAME", "NS", "SOA", "HTTPS", "ANY"]
_LABEL: Final = range(1, 63)  # one is left for a misspelling
_FEW: Final = ("A", "SRV", "SOA", "PTR")


def questions(objects: Iterable[Json]) -> list[Question]:
    """Every name by every type; the usual types with EDNS and in mixed letter case too."""
    owners = sorted(set(_owners(list(objects))))
    names = {*owners, *(near for name in owners for near in _near(name)), ZONE}
    return [
        *(Question(name, rdtype) for name in sorted(names) for rdtype in TYPES),
        *(Question(name, rdtype, True) for name in sorted(names) for rdtype in _FEW),
        *(Question(_mixed(name), rdtype) for name in owners for rdtype in _FEW),
    ]


def _owners(objects: list[Json]) -> Iterator[str]:
    for labels in ("dns-version", "ns.dns", "svc", "pod", "dns"):
        yield f"{labels}.{ZONE}"
    for item in objects:
        match item["kind"]:
            case "Namespace":
                yield f"{item['metadata']['name']}.svc.{ZONE}"
                yield f"{item['metadata']['name']}.pod.{ZONE}"
            case "Service":
                yield from _of_service(item)
            case "Pod":
                yield from _of_pod(item)
            case "EndpointSlice":
                yield from _of_slice(item)
            case _:
                pass


def _key(item: Json) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _of_service(service: Json) -> Iterator[str]:
    namespace, name = _key(service)
    full = f"{name}.{namespace}.svc.{ZONE}"
    yield full
    for port in service["spec"].get("ports", ()):
        protocol = port["protocol"].lower()
        yield f"_{port.get('name', 'unnamed')}._{protocol}.{full}"
        yield f"_{protocol}.{full}"
    for address in service["spec"].get("clusterIPs", ()):
        if address != "None":
            yield reverse(address)


def _of_pod(pod: Json) -> Iterator[str]:
    namespace, name = _key(pod)
    yield f"{name}.{namespace}.pod.{ZONE}"
    for ip in pod.get("status", {}).get("podIPs", ()):
        yield f"{_dashed(ip['ip'])}.{namespace}.pod.{ZONE}"
        yield reverse(ip["ip"])


def _of_slice(piece: Json) -> Iterator[str]:
    namespace, _ = _key(piece)
    service = piece["metadata"].get("labels", {}).get("kubernetes.io/service-name", "unlabelled")
    full = f"{service}.{namespace}.svc.{ZONE}"
    for endpoint in piece["endpoints"] or ():
        for address in endpoint["addresses"]:
            yield f"{endpoint.get('hostname', _dashed(address))}.{full}"
            yield f"{_dashed(address)}.{full}"
            yield reverse(address)
        if zone := endpoint.get("zone"):
            yield f"{zone}.pin._zone.{full}"
            yield f"mars.prefer._zone.{full}"
        if len(pod := endpoint.get("targetRef", {}).get("name", "")) in _LABEL:
            yield f"{pod}.{full}"


def reverse(address: str) -> str:
    return f"{ip_address(address).reverse_pointer}."


def _dashed(address: str) -> str:
    return address.replace(".", "-").replace(":", "-")


def _near(name: str) -> Iterator[str]:
    """A label put before it, its first one taken away and misspelt, the parent misspelt."""
    first, _, rest = name.partition(".")
    if name.endswith(".arpa."):
        yield rest
        yield f"9.{name}"
        return
    yield f"nope.{name}"
    yield f"{first}x.{rest}"
    if rest.lower() != ZONE:
        yield rest
        second, _, after = rest.partition(".")
        if after.endswith(ZONE):
            yield f"{first}.{second}x.{after}"


def _mixed(name: str) -> str:
    return "".join(c.upper() if n % 2 else c for n, c in enumerate(name))
